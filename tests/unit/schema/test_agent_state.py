"""The state machine of a replica: whatever is said in whatever order, it holds."""

from __future__ import annotations

import random

import pytest

from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import (
    ACTIVITY,
    HISTORY,
    RECOVERY_WORDS,
    SERVING,
    TERMINAL,
    TRANSITIONS,
    AgentState,
    ReasonKind,
    Recovery,
    StateSource,
    is_allowed,
    recovery,
)


def replica(state: AgentState = AgentState.DEPLOYING) -> ObservedAgent:
    return ObservedAgent(name="a", replica="0", runtime="python", owner="me", state=state)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_agent_says_nothing_about_its_own_end(state: AgentState) -> None:
    """A late word of a process that is gone meets a state that only others may leave."""
    assert not any(is_allowed(state, after, StateSource.AGENT) for after in AgentState)
    assert not any(
        is_allowed(state, after, StateSource.FACE) for after in set(AgentState) - {state}
    )
    assert is_allowed(state, AgentState.STARTING, StateSource.NODE)


def test_what_an_agent_does_is_said_by_nobody_else() -> None:
    for before, afters in TRANSITIONS.items():
        for after in ACTIVITY & afters.keys():
            adopted = before in (AgentState.DEPLOYING, AgentState.WAITING_GPU)
            assert afters[after] == {StateSource.NODE if adopted else StateSource.AGENT}


def test_one_that_stops_does_not_work_again() -> None:
    assert not SERVING & TRANSITIONS[AgentState.STOPPING].keys()


def test_every_state_can_be_reached_and_ended() -> None:
    reached = {after for afters in TRANSITIONS.values() for after in afters}
    assert set(AgentState) - reached == set()
    for state in set(AgentState) - {AgentState.STOPPED}:
        assert is_allowed(state, AgentState.STOPPED, StateSource.NODE), state


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_only_what_the_table_has_happens(seed: int) -> None:
    rng = random.Random(seed)
    one = replica()
    for step in range(300):
        before = one.model_copy(deep=True)
        state, source = rng.choice(list(AgentState)), rng.choice(list(StateSource))
        reason = rng.choice([None, f"reason {step}"])
        if one.enter(state, source, reason):
            assert is_allowed(before.state, state, source)
            assert (one.state, one.reason) == (state, reason)
            assert (one.history[-1].state, one.history[-1].reason) == (state, reason)
        else:
            assert one == before
        if before.state in TERMINAL and one.state is not before.state:
            assert one.state_source in (StateSource.NODE, StateSource.PLACER)
        assert len(one.history) <= HISTORY
        times = [kept.since for kept in one.history]
        assert times == sorted(times)


def test_staying_changes_the_reason_and_not_the_time() -> None:
    one = replica()
    one.enter(AgentState.STARTING, StateSource.NODE)
    since = one.state_since
    assert one.enter(AgentState.STARTING, StateSource.AGENT, "not ready", ReasonKind.NOT_READY)
    assert one.state_since == since
    assert [kept.reason for kept in one.history] == ["not ready"]
    assert one.state_source is StateSource.NODE


def test_a_busy_agent_does_not_lose_what_came_before() -> None:
    one = replica()
    one.enter(AgentState.STARTING, StateSource.NODE)
    for _ in range(200):
        one.enter(AgentState.RUNNING, StateSource.AGENT)
        one.enter(AgentState.IDLE, StateSource.AGENT)
    assert one.history[0].state is AgentState.STARTING
    assert one.history[-1].state is AgentState.IDLE
    assert len(one.history) < HISTORY
    for _ in range(HISTORY):
        one.enter(AgentState.ERROR, StateSource.NODE)
        one.enter(AgentState.STARTING, StateSource.NODE)
    assert {kept.state for kept in one.history} == {AgentState.ERROR, AgentState.STARTING}


def test_reasons_of_any_length_leave_the_record_small() -> None:
    one = replica()
    for _ in range(HISTORY):
        assert one.enter(AgentState.ERROR, StateSource.NODE, "x" * 200_000)
        assert one.enter(AgentState.STARTING, StateSource.NODE, "y" * 200_000)
    assert len(one.model_dump_json()) < 10_000


def test_a_record_of_the_release_before_is_read() -> None:
    old = (
        '{"v": 1, "name": "a", "replica": "0", "runtime": "python", "owner": "x", "state": "idle"}'
    )
    one = ObservedAgent.model_validate_json(old)
    assert one.takes_prompts
    assert one.history == []
    assert ObservedAgent.model_validate_json(one.model_dump_json()) == one


def test_copies_of_a_record_do_not_share_what_changes() -> None:
    one = replica()
    one.enter(AgentState.STARTING, StateSource.NODE)
    copied = one.model_copy(deep=True)
    one.enter(AgentState.ERROR, StateSource.NODE, "gone")
    assert [kept.state for kept in copied.history] == [AgentState.STARTING]


def test_something_can_be_done_about_each_failure_and_nothing_about_what_is_well() -> None:
    for kind in ReasonKind:
        assert recovery(AgentState.ERROR, kind), kind
    for state in (AgentState.ERROR, AgentState.DEGRADED, AgentState.STALE, AgentState.WAITING_GPU):
        assert recovery(state), state
    for state in ACTIVITY | {AgentState.STOPPING}:
        assert recovery(state, None) == ()
    assert set(RECOVERY_WORDS) == set(Recovery)


def test_what_runs_is_restarted_and_what_does_not_is_started() -> None:
    assert Recovery.START not in recovery(AgentState.DEGRADED, ReasonKind.UNHEALTHY)
    assert Recovery.RESTART in recovery(AgentState.DEGRADED, ReasonKind.UNHEALTHY)
    assert recovery(AgentState.ERROR, ReasonKind.HELD_BACK)[0] is Recovery.START
    assert recovery(AgentState.ERROR, ReasonKind.MISCONFIGURED)[0] is Recovery.LOGS
