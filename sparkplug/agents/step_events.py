"""The steps of an agent's work in the event log, a few a second: the log is synced to disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sparkplug.agents.runtimes.port import Step
from sparkplug.bus.events import EventLog

#: Events of steps a second, in the mean, and how many may come at once.
_PER_SECOND = 10.0
_AT_ONCE = 40.0
_LONGEST_ERROR = 300


class StepEvents:
    """Writes `agent:step`. Where steps are too quick, the next one told has how many were not."""

    def __init__(self, events: EventLog, agent: str, replica: str) -> None:
        self._events = events
        self._agent = agent
        self._replica = replica
        self._allowance = _AT_ONCE
        self._at = time.monotonic()
        self._left_out = 0

    def note(self, step: Step, of: Mapping[str, Any]) -> None:
        """A step has ended. One that failed, or waits for a person, is always told."""
        now = time.monotonic()
        self._allowance = min(_AT_ONCE, self._allowance + (now - self._at) * _PER_SECOND)
        self._at = now
        if step.state == "completed" and self._allowance < 1:
            self._left_out += 1
            return
        self._allowance = max(0.0, self._allowance - 1)
        data: dict[str, Any] = {"replica": self._replica, "step": step.name, "state": step.state}
        if step.seconds is not None:
            data["seconds"] = step.seconds
        if step.error:
            data["error"] = step.error[:_LONGEST_ERROR]
        if step.data:
            data["data"] = dict(step.data)
        if self._left_out:
            data["left_out"] = self._left_out
            self._left_out = 0
        data.update({name: value for name, value in of.items() if value and name not in data})
        self._events.emit("agent:step", self._agent, data=data)
