"""Circuit breakers as the replicas that hold them tell of them."""

from __future__ import annotations

from sparkplug.schema.agent import BreakerView, ObservedAgent
from sparkplug.schema.agent_state import AgentState
from sparkplug.schema.circuits import breaker_words, breakers_of


def holder(name: str, state: AgentState, *views: BreakerView) -> ObservedAgent:
    return ObservedAgent(
        name=name, replica="0", runtime="python", owner="me", state=state, breakers=list(views)
    )


def test_those_that_are_open_come_first_and_those_of_the_dead_not_at_all() -> None:
    half = BreakerView(target="agents.prompt.b.me.1", state="half-open", failures=7)
    shut = BreakerView(target="agents.prompt.c.me.0", state="open", failures=1)
    odd = BreakerView(target="elsewhere", state="open", failures=5)
    found = breakers_of(
        [
            holder("a", AgentState.IDLE, half, shut, odd),
            holder("gone", AgentState.STOPPED, shut),
        ]
    )
    assert [(one.from_, one.to, one.state) for one in found] == [
        ("a/0", "c/0", "open"),
        ("a/0", "b/1", "half-open"),
    ]
    assert breaker_words(found[0]) == "its circuit breaker is open after 1 failure"
    assert breaker_words(found[1]).endswith("after 7 failures, the next request decides")
