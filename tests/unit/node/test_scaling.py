"""Scaling by load: up and down after their time, within bounds, and never flapping."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from sparkplug.node.scaling import Load, Scaling, load_of
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec


def spec(**scale: Any) -> AgentSpec:
    bounds = {"min": 1, "max": 8, "queue": 2, "up_after": 10, "down_after": 60, **scale}
    return AgentSpec.model_validate(
        {"name": "x", "entrypoint": "a:b", "concurrency": 4, "scale": bounds}
    )


def simulate(
    agent: AgentSpec, load: Callable[[int], float], seconds: int, replicas: int = 1
) -> list[tuple[int, int]]:
    """The changes (second, replicas) that a load leads to, in requests wanted at each second."""
    rule, changes = Scaling(), []
    for now in range(seconds):
        inflight = min(round(load(now)), replicas * agent.concurrency)
        full = inflight >= replicas * agent.concurrency
        step = rule.step(float(now), agent, replicas, Load(inflight, replicas, full=full))
        if step is not None:
            assert agent.scale is not None
            assert agent.scale.min <= step.replicas <= agent.scale.max
            assert step.replicas != replicas
            replicas = step.replicas
            changes.append((now, replicas))
    return changes


def test_more_load_for_its_time_is_more_replicas() -> None:
    assert simulate(spec(), lambda _: 4, 100) == [(10, 2)]


def test_a_peak_shorter_than_its_time_is_nothing() -> None:
    assert simulate(spec(), lambda now: 4 if 5 <= now < 14 else 1, 100) == []


def test_less_load_for_its_time_is_fewer_replicas() -> None:
    changes = simulate(spec(), lambda now: 12 if now < 30 else 1, 200, replicas=6)
    assert changes == [(90, 1)]


def test_full_replicas_ask_for_more_whatever_waits_before_them() -> None:
    changes = simulate(spec(queue=4), lambda _: 1000, 200)
    assert [replicas for _, replicas in changes] == [2, 3, 4, 5, 6, 7, 8]


def test_none_of_it_goes_past_the_bounds_and_new_bounds_hold_at_once() -> None:
    assert simulate(spec(min=2, max=3), lambda _: 1000, 100)[0] == (0, 2)
    assert simulate(spec(max=3), lambda _: 1000, 300)[-1][1] == 3
    step = Scaling().step(0.0, spec(max=3), 7, Load(0, 7))
    assert step is not None
    assert (step.replicas, step.why) == (3, "it has 1 to 3 replicas")


def test_utilization_is_of_the_concurrency() -> None:
    agent = spec(queue=None, utilization=0.5)
    assert simulate(agent, lambda _: 7, 12, replicas=2) == [(10, 4)]
    assert simulate(spec(queue=None), lambda _: 6, 12, replicas=2) == [(10, 3)]


def test_a_silent_replica_changes_nothing() -> None:
    rule, agent = Scaling(), spec()
    for now in range(300):
        assert rule.step(float(now), agent, 3, Load(0, 2, told=now % 50 != 0)) is None


def test_the_load_of_replicas() -> None:
    def replica(state: AgentState, inflight: int) -> ObservedAgent:
        return ObservedAgent(
            name="x", replica="0", runtime="python", owner="o", state=state, inflight=inflight
        )

    found = load_of(spec(), [replica(AgentState.RUNNING, 4), replica(AgentState.STARTING, 9)])
    assert found == Load(4, 1, full=True)
    assert not load_of(spec(), [replica(AgentState.STALE, 4)]).told
    assert load_of(spec(), []) == Load(0, 0)


@pytest.mark.parametrize("period", [2, 6, 10, 20, 40, 59])
@pytest.mark.parametrize("low", [0, 1, 5])
def test_a_load_that_swings_within_the_cool_down_never_flaps(period: int, low: int) -> None:
    """Whatever it rises to at first, it never goes down again."""
    changes = simulate(spec(), lambda now: 12 if now % (2 * period) < period else low, 3600)
    counts = [1, *(replicas for _, replicas in changes)]
    assert counts == sorted(counts)
    assert len(changes) <= 7


@pytest.mark.parametrize("seed", range(40))
def test_noise_around_any_level_settles(seed: int) -> None:
    """After a settling time noise of a fifth changes nothing, on the edge between two as well."""
    chance = random.Random(seed)
    level = chance.uniform(1, 15)
    changes = simulate(spec(), lambda _: level * chance.uniform(0.8, 1.2), 3600)
    assert len(changes) <= 8
    counts = [1, *(replicas for _, replicas in changes)]
    turns = sum(
        (b - a) * (c - b) < 0 for (a, b), c in zip(pairwise(counts), counts[2:], strict=False)
    )
    assert turns <= 1


@pytest.mark.parametrize("seed", range(60))
def test_changes_are_bounded_whatever_the_load_does(seed: int) -> None:
    """No two changes closer than their windows: not more than one turn in each cool-down."""
    chance = random.Random(seed)
    agent = spec(up_after=chance.choice([3, 10, 20]), down_after=chance.choice([20, 60, 120]))
    wave, swing = chance.uniform(5, 500), chance.uniform(0, 20)

    def load(now: int) -> float:
        spike = 30 if chance.random() < 0.02 else 0
        return max(0.0, swing * math.sin(now / wave) + chance.gauss(6, 4) + spike)

    seconds, replicas = 3600, 1
    changes = simulate(agent, load, seconds)
    assert agent.scale is not None
    last = 0.0
    for now, after in changes:
        window = agent.scale.up_after if after > replicas else agent.scale.down_after
        assert now - last >= window
        last, replicas = now, after
    downs = sum(b < a for a, b in pairwise([1, *(count for _, count in changes)]))
    assert downs <= seconds / agent.scale.down_after


@pytest.mark.parametrize(
    ("scale", "says"),
    [
        ({"min": 3, "max": 2}, "min is at most max"),
        ({"max": 2, "queue": 1, "utilization": 0.5}, "one of them"),
        ({"max": 2, "queue": 9}, "concurrency"),
        ({"min": 0, "max": 2}, "greater than or equal to 1"),
    ],
)
def test_a_scale_that_cannot_hold_is_refused(scale: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AgentSpec.model_validate(
            {"name": "x", "entrypoint": "a:b", "concurrency": 8, "scale": scale}
        )
