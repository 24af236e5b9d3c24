"""Choosing a replica, leaving alone what fails, asking again within bounds; loops of questions."""

from __future__ import annotations

from collections import Counter

import pytest

from sparkplug.agents.balancing import Balance, choose
from sparkplug.agents.breakers import Breakers, RetryBudget
from sparkplug.agents.routes import Whom
from sparkplug.agents.trail import MAX_HOPS, Trail
from sparkplug.bus import hubs
from sparkplug.schema.agent import AgentState, Target
from sparkplug.schema.errors import (
    DeadlineError,
    InvalidError,
    NoMeshError,
    RefusedError,
    SparkplugError,
)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def target(number: int, *, host: str = "here", state: AgentState = AgentState.IDLE) -> Target:
    return Target(
        name="a", replica=str(number), owner="o", subject=f"s{number}", host=host, state=state
    )


def chosen(
    targets: list[Target],
    balance: Balance = "weighted",
    busy: dict[str, int] | None = None,
    latency: dict[str, float] | None = None,
    draws: int = 200,
) -> Counter[str]:
    load = busy or {}
    return Counter(
        choose(
            targets,
            balance,
            outstanding=lambda t: load.get(t.subject, 0),
            latency=latency or {},
            host="here",
        ).replica
        for _ in range(draws)
    )


def test_the_least_busy_is_asked_and_equals_share() -> None:
    targets = [target(n) for n in range(3)]
    assert set(chosen(targets, "least", {"s0": 3, "s1": 1, "s2": 2})) == {"1"}
    assert set(chosen(targets, "least")) == {"0", "1", "2"}


def test_of_two_drawn_the_less_busy_is_asked() -> None:
    targets = [target(n) for n in range(4)]
    drawn = chosen(targets, "two", {"s0": 9})
    assert set(drawn) == {"1", "2", "3"}


def test_what_is_near_is_asked_while_there_is_any() -> None:
    far, near = target(0, host="there"), target(1)
    assert set(chosen([far, near], "near", {"s1": 5})) == {"1"}
    assert set(chosen([far], "near")) == {"0"}
    assert set(chosen([far, near])) == {"1"}
    # Nearness alone does not outweigh a queue.
    assert set(chosen([far, near], busy={"s1": 5})) == {"0"}


def test_what_is_slow_or_unwell_gets_less() -> None:
    slow, quick = target(0), target(1)
    assert set(chosen([slow, quick], latency={"s0": 1.0, "s1": 0.01})) == {"1"}
    assert set(chosen([slow, quick], busy={"s1": 20}, latency={"s0": 1.0, "s1": 0.01})) == {"0"}
    unwell = target(2, state=AgentState.DEGRADED)
    assert set(chosen([unwell, quick], busy={"s1": 2})) == {"1"}


def test_a_breaker_opens_tries_once_and_closes() -> None:
    clock = Clock()
    breakers = Breakers(clock)
    for _ in range(5):
        assert breakers.allows("t")
        breakers.begin("t")
        breakers.end("t", DeadlineError("no answer"))
    assert not breakers.allows("t")
    assert [(v.target, v.state, v.failures) for v in breakers.views()] == [("t", "open", 5)]
    clock.now += 5
    assert breakers.views()[0].state == "half-open"
    assert breakers.allows("t")
    breakers.begin("t")
    assert not breakers.allows("t"), "one request decides"
    breakers.end("t", NoMeshError("nobody"))
    clock.now += 5
    assert not breakers.allows("t"), "it is left alone for longer each time"
    clock.now += 5
    assert breakers.allows("t")
    breakers.begin("t")
    breakers.end("t", None)
    assert breakers.allows("t")
    assert breakers.views() == []


def test_what_an_agent_answers_is_no_failure_of_it() -> None:
    breakers = Breakers(Clock())
    for _ in range(100):
        breakers.end("t", InvalidError("n is no number"))
        breakers.end("t", RefusedError("not you"))
    assert breakers.allows("t")
    for _ in range(19):
        breakers.end("t", SparkplugError("RuntimeError"))
    assert breakers.allows("t")
    breakers.end("t", SparkplugError("RuntimeError"))
    assert not breakers.allows("t")


def test_a_probe_that_is_given_up_decides_nothing() -> None:
    clock = Clock()
    breakers = Breakers(clock)
    for _ in range(5):
        breakers.end("t", NoMeshError("nobody"))
    clock.now += 5
    breakers.begin("t")
    breakers.end("t", KeyboardInterrupt())
    assert breakers.allows("t")


def test_retries_are_a_tenth_of_what_is_asked() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    assert budget.take()
    assert not budget.take()
    for _ in range(1000):
        budget.asked()
    assert sum(budget.take() for _ in range(1000)) == 10, "no more than are saved up"
    retried = 0
    for _ in range(1000):
        budget.asked()
        retried += budget.take()
    assert 90 <= retried <= 101
    clock.now += 100
    assert sum(budget.take() for _ in range(100)) == 10


def test_a_trail_goes_on_and_names_a_loop() -> None:
    first = Trail.read({})
    ids = first.onward("b", "prompt", "x")
    second = Trail.read(ids)
    assert second.correlation == first.request
    assert second.causation == first.request
    assert second.traceparent[:36] == first.traceparent[:36]
    second.onward("b", "prompt", "y")
    second.onward("b", "act", "x")
    with pytest.raises(RefusedError, match="a loop: b was asked the same before, in b → b"):
        second.onward("b", "prompt", "x")


def test_a_chain_has_an_end() -> None:
    ids: dict[str, object] = {}
    for number in range(MAX_HOPS):
        ids = Trail.read(ids).onward(f"a{number}", "prompt", "")
    with pytest.raises(RefusedError, match=f"has passed {MAX_HOPS} agents"):
        Trail.read(ids).onward("b", "prompt", "")


def test_a_trail_that_does_not_hold_is_left_out() -> None:
    trail = Trail.read({"traceparent": "rubbish", "path": "abc", "correlation": 7 * "x" * 50})
    assert trail.path == ()
    assert len(trail.correlation) == 64
    assert len(trail.traceparent) == 55


def test_those_who_are_meant_have_a_name_together() -> None:
    assert Whom().hub == "@all"
    assert Whom(capability="fan", type="analyst").hub == "@capability:fan+type:analyst"
    assert Whom(labels=("group=blue",)).hub == "@group:blue"
    assert Whom(labels=("team=a b\r\nX: y",)).hub == "@label:team=a_b__X:_y", "nothing breaks out"
    headers = f"NATS/1.0\r\nSparkplug-Hub: {hubs.mark('@all')}\r\n\r\n".encode()
    found = hubs.read_mark(headers)
    assert found is not None
    assert found[1] == "@all"
