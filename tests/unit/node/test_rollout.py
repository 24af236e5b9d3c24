"""Which replicas may take a new generation: decided from what is wanted and what is seen."""

from __future__ import annotations

import pytest

from sparkplug.node.rollout import Paced, pace
from sparkplug.schema.agent import AgentState, Assignment, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec

IDLE, ERROR, STARTING = AgentState.IDLE, AgentState.ERROR, AgentState.STARTING


def wanted(count: int, generation: int = 2, most: int = 1, **more: object) -> DesiredAgent:
    spec = AgentSpec.model_validate(
        {"name": "a", "entrypoint": "m:f", "replicas": count, "rollout": {"max_unavailable": most}}
    )
    return DesiredAgent.model_validate({"spec": spec, "generation": generation, **more})


def decide(
    desired: DesiredAgent, seen: list[tuple[int, AgentState]], given: list[int] | None = None
) -> tuple[list[int], Paced]:
    """The generations of the replicas; `seen` is how each is, `given` what it was assigned."""
    generations = given or [generation for generation, _ in seen]
    before = {
        f"a.{n}": Assignment(agent="a", replica=n, node="h", generation=generation)
        for n, generation in enumerate(generations)
    }
    placed = {
        f"a.{n}": Assignment(agent="a", replica=n, node="h", generation=desired.generation)
        for n in range(desired.spec.replicas)
    }
    observed = {
        ("a", str(n)): ObservedAgent(
            name="a",
            replica=str(n),
            runtime="python",
            owner="o",
            state=state,
            generation=generation,
            reason="broken" if state is ERROR else None,
        )
        for n, (generation, state) in enumerate(seen)
    }
    paced = pace({"a": desired}, before, placed, observed)
    return [paced.assignments[f"a.{n}"].generation for n in range(desired.spec.replicas)], paced


def test_one_replica_after_the_other() -> None:
    desired = wanted(3)
    assert decide(desired, [(1, IDLE)] * 3)[0] == [2, 1, 1]
    # It was given the new one and has not come up: nobody else goes.
    for state in (STARTING, AgentState.STOPPING, AgentState.WAITING_GPU):
        assert decide(desired, [(1, state), (1, IDLE), (1, IDLE)], [2, 1, 1])[0] == [2, 1, 1]
    assert decide(desired, [(1, IDLE), (1, IDLE), (1, IDLE)], [2, 1, 1])[0] == [2, 1, 1]
    assert decide(desired, [(2, IDLE), (1, IDLE), (1, IDLE)])[0] == [2, 2, 1]
    assert decide(desired, [(2, IDLE), (2, AgentState.RUNNING), (1, IDLE)])[0] == [2, 2, 2]


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (2, 2), (5, 4)])
def test_as_many_at_once_as_the_spec_allows(most: int, expected: int) -> None:
    generations, _ = decide(wanted(4, most=most), [(1, IDLE)] * 4)
    assert generations.count(2) == expected


def test_a_failure_stops_the_change_and_says_which() -> None:
    generations, paced = decide(wanted(3), [(2, ERROR), (1, IDLE), (1, IDLE)])
    assert generations == [2, 1, 1]
    assert paced.progress["a"].stopped == "a/0 failed: broken"
    assert not paced.progress["a"].finished
    # The next generation begins with what failed, and goes on from there.
    undone = wanted(3, generation=3)
    assert decide(undone, [(2, ERROR), (1, IDLE), (1, IDLE)])[0] == [3, 1, 1]
    assert decide(undone, [(3, IDLE), (1, IDLE), (1, IDLE)])[0] == [3, 3, 1]


def test_what_serves_nobody_waits_for_no_turn() -> None:
    assert decide(wanted(3), [(1, ERROR)] * 3)[0] == [2, 2, 2]
    assert decide(wanted(3), [(1, ERROR), (1, IDLE), (1, IDLE)])[0] == [2, 1, 1]
    assert decide(wanted(3, run=False), [(1, IDLE)] * 3)[0] == [2, 2, 2]
    assert decide(wanted(3, all_at_once=True), [(1, IDLE)] * 3)[0] == [2, 2, 2]


def test_new_replicas_are_of_the_new_generation() -> None:
    assert decide(wanted(3), [(1, IDLE), (1, IDLE)], [1, 1])[0][2] == 2


def test_a_change_is_finished_when_all_serve() -> None:
    _, paced = decide(wanted(2), [(2, IDLE), (2, STARTING)])
    assert (paced.progress["a"].done, paced.progress["a"].finished) == (1, False)
    _, paced = decide(wanted(2), [(2, IDLE), (2, IDLE)])
    assert paced.progress["a"].finished


def test_a_replica_that_waits_runs_its_own_spec_with_what_changes_live() -> None:
    first = wanted(2, generation=1)
    second = first.model_copy(
        update={
            "spec": first.spec.model_copy(update={"entrypoint": "m:new", "labels": {"x": "y"}}),
            "folder": "/new",
        }
    )
    second.succeed(first)
    old = second.at(1)
    assert (old.spec.entrypoint, old.folder, old.generation) == ("m:f", "", 1)
    assert old.spec.labels == {"x": "y"}
    assert second.at(2) is second
    assert second.at(7) is second  # nothing is known of it
    for _ in range(10):
        later = second.model_copy()
        later.succeed(second)
        second = later
    assert len(second.former) == 3
    assert second.former[-1].generation == second.generation - 1
