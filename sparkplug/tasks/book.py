"""All tasks that are known: those that live, the dead letters, and the last that ended."""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparkplug.schema.errors import ConflictError, NotFoundError
from sparkplug.schema.task import Task, TaskState

if TYPE_CHECKING:
    from sparkplug.tasks.workers import Worker


@dataclass(slots=True, eq=False)
class Live:
    """A task that is not over, and who has it in hand."""

    task: Task
    worker: Worker | None = None
    #: When its try has taken too long, when it was handed over, when it became due (monotonic).
    expires: float = 0.0
    given: float = 0.0
    due: float = field(default_factory=time.monotonic)
    #: Why it is to end before it is done.
    cancel: str = ""


class Book:
    """Tasks by id. `most_ended` are remembered of those that are over."""

    def __init__(self, most_ended: int) -> None:
        self.live: dict[str, Live] = {}
        self.dead: dict[str, Task] = {}
        self.ended: OrderedDict[str, Task] = OrderedDict()
        self._keys: dict[str, str] = {}
        self._most_ended = most_ended

    def find(self, task: str) -> Task:
        """A task by its id or the beginning of it. Raises NotFoundError, ConflictError."""
        found = self.get(task)
        if found is not None:
            return found
        near = [
            one for ids in (self.live, self.dead, self.ended) for one in ids if _near(one, task)
        ]
        if len(near) > 1:
            shown = ", ".join(sorted(near)[:5])
            raise ConflictError(f"{task} begins the id of {len(near)} tasks: {shown}")
        if not near:
            raise NotFoundError(
                f"no task {task}", hint="`sparkplug tasks list` and `tasks dead` show them"
            )
        only = self.get(near[0])
        assert only is not None
        return only

    def get(self, task: str) -> Task | None:
        """A task by its whole id."""
        live = self.live.get(task)
        return live.task if live is not None else self.dead.get(task) or self.ended.get(task)

    def of_key(self, key: str) -> Task | None:
        """The task that lives under a key."""
        name = self._keys.get(key) if key else None
        live = self.live.get(name) if name else None
        return live.task if live is not None else None

    def add(self, live: Live) -> None:
        """A task lives."""
        self.live[live.task.id] = live
        if live.task.key:
            self._keys[live.task.key] = live.task.id

    def drop(self, task: Task) -> None:
        """A task lives no more; whatever comes of it is for the caller to say."""
        self.live.pop(task.id, None)
        if task.key and self._keys.get(task.key) == task.id:
            del self._keys[task.key]

    def end(self, task: Task) -> None:
        """A task is over, and remembered for a while."""
        self.drop(task)
        self.ended[task.id] = task
        while len(self.ended) > self._most_ended:
            self.ended.popitem(last=False)

    def forget_ended(self, keep: float, now: float) -> None:
        """Forget what ended more than `keep` seconds before `now` (seconds since the epoch)."""
        while self.ended:
            task = next(iter(self.ended.values()))
            if task.finished is not None and task.finished.timestamp() > now - keep:
                return
            self.ended.popitem(last=False)

    def all(self) -> Iterable[Task]:
        """Every task that is known, dead letters too."""
        yield from (live.task for live in self.live.values())
        yield from self.dead.values()
        yield from self.ended.values()

    def listed(
        self, states: Iterable[TaskState], capability: str | None, limit: int
    ) -> tuple[list[Task], int]:
        """The newest `limit` of these states (empty: all but dead), and how many there are."""
        wanted = set(states) or set(TaskState) - {TaskState.DEAD}
        found = [
            task
            for task in self.all()
            if task.state in wanted and capability in (None, task.capability)
        ]
        newest = heapq.nlargest(limit, found, key=lambda task: task.submitted)
        return newest, len(found)


def _near(one: str, beginning: str) -> bool:
    return bool(beginning) and one.startswith(beginning)
