"""Steps in the event log: failures always, the rest a few a second; parking through task groups."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sparkplug.agents.parking import Parked, parked
from sparkplug.agents.runtimes.port import Step
from sparkplug.agents.step_events import StepEvents
from sparkplug.schema.question import Draft


class Log:
    """What was written."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    def emit(self, name: str, subject: str, *, data: dict[str, Any]) -> None:
        """Keep it."""
        assert (name, subject) == ("agent:step", "busy")
        self.data.append(data)


def test_quick_steps_are_counted_and_failures_always_told() -> None:
    log = Log()
    events = StepEvents(log, "busy", "0")  # type: ignore[arg-type]
    for number in range(1000):
        events.note(Step(str(number), "quick", "completed", 0.0), {"thread": "t", "run": ""})
    told = len(log.data)
    assert 40 <= told < 100
    events.note(Step("x", "broken", "failed", 0.1, "boom"), {"thread": "t"})
    last = log.data[-1]
    assert (last["step"], last["state"], last["error"]) == ("broken", "failed", "boom")
    assert last["left_out"] == 1000 - told
    assert "run" not in log.data[0]


async def test_a_question_asked_in_a_task_group_parks_the_request() -> None:
    async def ask(slot: str) -> None:
        raise Parked([Draft(slot=slot, text="?")], request="aaaaaaaa", thread="t")

    with pytest.raises(BaseExceptionGroup) as told:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask("0"))
            group.create_task(ask("1"))
    found = parked(told.value)
    assert found is not None
    assert sorted(draft.slot for draft in found.drafts) == ["0", "1"]
    assert (found.request, found.thread) == ("aaaaaaaa", "t")
    assert parked(ExceptionGroup("others", [ValueError()])) is None
    assert not isinstance(found, Exception)
