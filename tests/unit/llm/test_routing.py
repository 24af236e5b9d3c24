"""Whom a call goes to: pure, and explained."""

from __future__ import annotations

from typing import Any

import pytest

from sparkplug.llm.errors import ModelUnavailableError, RateLimitedError
from sparkplug.llm.health import Health
from sparkplug.llm.routing import Needs, route
from sparkplug.schema.llm import ModelState, ModelView, Reach


def view(name: str, **more: Any) -> ModelView:
    given: dict[str, Any] = {"endpoint": f"http://{name}:8000/v1", "host": "gpu-1"}
    given |= {"model": name, "abilities": ["tools", "json"], "reach": Reach.MESH}
    return ModelView(name=name, **{**given, **more})


def order(views: list[ModelView], needs: Needs | None = None, wanted: str = "auto") -> list[str]:
    return [c.view.name for c in route(wanted, needs or Needs(), views, host="gpu-1").choices]


def test_what_cannot_do_what_is_needed_is_left_out_and_says_why() -> None:
    views = [view("blind"), view("sees", abilities=["vision"]), view("short", context=100)]
    found = route("auto", Needs(frozenset({"vision"})), views, host="gpu-1")
    assert [c.view.name for c in found.choices] == ["sees"]
    assert found.left_out[0].why_not == "cannot do vision"
    found = route("auto", Needs(context=4000), views, host="gpu-1")
    assert [c.why_not for c in found.left_out] == ["takes 100 tokens, 4000 are needed"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"state": ModelState.FAILING}),
        ({"running": 1, "reach": Reach.OUTSIDE}, {"running": 9}),
        ({"running": 3}, {"running": 3, "waiting": 4}),
        ({"price_in": 9.0}, {"reach": Reach.OUTSIDE}),
        ({}, {"host": "gpu-2"}),
        ({"price_out": 1.0}, {"price_out": 2.0}),
        ({"state": ModelState.UNLOADED}, {"price_in": 0.1}),
        ({}, {"state": ModelState.UNLOADED}),
    ],
)
def test_health_then_load_then_place_then_price(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    assert order([view("z", **better), view("a", **worse)]) == ["z", "a"]


def test_the_endpoint_of_the_settings_goes_first_while_it_is_well() -> None:
    default = view("default", reach=Reach.OUTSIDE, price_in=50.0)
    assert order([view("a"), default]) == ["default", "a"]
    failing = default.model_copy(update={"state": ModelState.FAILING})
    assert order([view("a"), failing]) == ["a", "default"]


def test_one_that_listens_on_another_host_alone_is_not_asked() -> None:
    found = route("auto", Needs(), [view("a", host="gpu-2", reach=Reach.HOST)], host="gpu-1")
    assert found.choices == []
    assert found.left_out[0].why_not == "listens on gpu-2 alone"


def test_a_name_is_that_model_then_its_fallbacks_in_their_order() -> None:
    views = [view("c"), view("a", fallback=["c", "b"], price_in=9.0), view("b"), view("d")]
    assert order(views, wanted="a") == ["a", "c", "b"]
    assert order(views, wanted="nobody") == []
    # What it is called at its endpoint is a name too.
    assert order([view("a", model="llama-3")], wanted="llama-3") == ["a"]


def test_one_that_fails_is_left_alone_and_comes_back() -> None:
    views = [view("a"), view("b")]
    health = Health()
    for _ in range(2):
        health.failed(ModelUnavailableError("500"))
    assert not health.cooling
    health.failed(ModelUnavailableError("500"))
    assert health.cooling
    found = route("auto", Needs(), views, host="gpu-1", health={views[0].identity: health})
    assert [c.view.name for c in found.choices] == ["b", "a"]
    assert found.choices[1].reasons[0].startswith("left alone for")
    health.ok()
    assert not health.cooling
    health.failed(RateLimitedError("429", retry_after=20))
    assert 10 < health.cooling <= 20


def test_the_choice_is_explained_in_the_order_it_is_made() -> None:
    found = route("auto", Needs(), [view("a", running=5, price_in=1.5)], host="gpu-1")
    assert found.choices[0].reasons == (
        "named in the settings",
        "on this host",
        "5 in hand",
        "1.5 in, 0 out a million",
    )
