"""What becomes of a replica that a step waits for."""

from __future__ import annotations

from typing import Any

import pytest

from sparkplug.plans.replicas import difference
from sparkplug.schema.agent import AgentState, ObservedAgent


def seen(state: AgentState = AgentState.RUNNING, **more: Any) -> ObservedAgent:
    given = {"pid": 10, "instance": "i", **more}
    return ObservedAgent(name="a", replica="0", runtime="python", owner="me", state=state, **given)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (seen(AgentState.IDLE), None),
        (seen(AgentState.STALE), None),
        (seen(AgentState.STOPPING), None),
        (seen(pid=None), None),
        (seen(instance=""), None),
        (seen(pid=11), "was restarted while working"),
        (seen(instance="j"), "was restarted while working"),
        (seen(AgentState.STARTING), "was restarted while working"),
        (seen(AgentState.STOPPED), "ended while working: stopped"),
        (seen(AgentState.ERROR, reason="killed by SIGKILL"), "ended while working: killed by"),
        (None, "was removed while working"),
    ],
)
def test_difference(now: ObservedAgent | None, says: str | None) -> None:
    found = difference(seen(), now)
    assert found == says if says is None else (found or "").startswith(says)


def test_an_agent_that_only_starts_may_go_on_starting() -> None:
    starting = seen(AgentState.STARTING)
    assert difference(starting, seen(AgentState.STARTING, restarts=1)) is None
    assert difference(starting, seen(AgentState.IDLE)) is None
