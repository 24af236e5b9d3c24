"""Events of tasks: each by itself while they are few, counted where they are many.

An event is a write of its own: of thousands of tasks a second nobody reads every one. What fails
or dies is told one by one for longer than what goes well.
"""

from __future__ import annotations

import time
from collections import Counter

from sparkplug.bus.events import EventLog
from sparkplug.schema.task import Task, TaskEvent

#: Events a second told one by one: of what goes well, and of what does not.
_EACH = 20
_EACH_TROUBLE = 100
_TROUBLE = frozenset({"task:failed", "task:dead", "task:requeued"})


class Telling:
    """Tells the event log; `tick` once a second tells what was only counted."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._left = {False: float(_EACH), True: float(_EACH_TROUBLE)}
        self._counted: Counter[tuple[TaskEvent, str]] = Counter()
        self._since = time.monotonic()

    def tell(self, what: TaskEvent, task: Task, **data: object) -> None:
        """Something happened to a task."""
        trouble = what in _TROUBLE
        if self._left[trouble] < 1:
            self._counted[what, task.capability] += 1
            return
        self._left[trouble] -= 1
        self._events.emit(
            what,
            task.id,
            actor=str(data.pop("actor", "")),
            data={"capability": task.capability, "priority": task.priority, **data},
        )

    def tick(self) -> None:
        """A second or more has passed."""
        now = time.monotonic()
        passed, self._since = now - self._since, now
        for trouble, each in ((False, _EACH), (True, _EACH_TROUBLE)):
            self._left[trouble] = min(each, self._left[trouble] + each * passed)
        for (what, capability), count in self._counted.items():
            self._events.emit(what, capability, data={"capability": capability, "count": count})
        self._counted.clear()
