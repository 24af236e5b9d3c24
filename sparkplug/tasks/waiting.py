"""Tasks that wait: in the queue of their capability for their turn, or for their time."""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict

from sparkplug.schema.task import TaskState
from sparkplug.tasks.book import Book, Live
from sparkplug.tasks.queue import Queue


class Waiting:
    """All that waits, of the tasks in `book`."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.queues: defaultdict[str, Queue] = defaultdict(Queue)
        self._counts: Counter[str] = Counter()
        self._due: list[tuple[float, str]] = []

    def count(self, capability: str) -> int:
        """How many tasks of a capability wait, for their time too."""
        return self._counts[capability]

    def add(self, live: Live, *, first: bool = False) -> None:
        """Let it wait for its turn, or for its time. `first`: before the others like it."""
        task = live.task
        self._counts[task.capability] += 1
        if task.not_before is not None and task.state is not TaskState.QUEUED:
            heapq.heappush(self._due, (task.not_before.timestamp(), task.id))
        else:
            live.due = time.monotonic()
            self.queues[task.capability].add(task, first=first)

    def remove(self, live: Live) -> None:
        """Let it wait no longer."""
        self._counts[live.task.capability] -= 1
        self.queues[live.task.capability].remove(live.task)

    def take(self, capability: str) -> Live | None:
        """The next in turn, which waits no longer; None when none waits for its turn."""
        task = self.queues[capability].take()
        if task is None:
            return None
        self._counts[capability] -= 1
        return self._book.live[task.id]

    def next_due(self) -> float | None:
        """When the next task has its time, in seconds since the epoch; None: none waits for one."""
        return self._due[0][0] if self._due else None

    def look(self, now: float) -> None:
        """Those whose time has come by `now` (seconds since the epoch) wait for their turn."""
        while self._due and self._due[0][0] <= now:
            _, name = heapq.heappop(self._due)
            live = self._book.live.get(name)
            if live is None or live.task.state not in (TaskState.SCHEDULED, TaskState.RETRYING):
                continue
            if live.task.not_before and live.task.not_before.timestamp() > now:
                continue  # an earlier entry of a task that waits for another time since
            live.task.state = TaskState.QUEUED
            live.due = time.monotonic()
            self.queues[live.task.capability].add(live.task)
