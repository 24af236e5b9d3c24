"""The queue of one capability: four priorities, each with its share of the turns."""

from __future__ import annotations

from collections import OrderedDict

from sparkplug.schema.task import WEIGHTS, Priority, Task


class Queue:
    """Tasks that could begin now. Of each priority the one that waits longest goes first.

    Turns are dealt by smooth weighted round-robin: over any fifteen turns while all four
    priorities wait, each has as many as `WEIGHTS` says, spread out.
    """

    def __init__(self) -> None:
        self._waiting: dict[Priority, OrderedDict[str, Task]] = {p: OrderedDict() for p in Priority}
        self._credit: dict[Priority, int] = dict.fromkeys(Priority, 0)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def counts(self) -> dict[Priority, int]:
        """How many wait, by priority."""
        return {priority: len(waiting) for priority, waiting in self._waiting.items()}

    def oldest(self) -> Task | None:
        """The one that was handed in first of those next in turn."""
        heads = [next(iter(waiting.values())) for waiting in self._waiting.values() if waiting]
        return min(heads, key=lambda task: task.submitted) if heads else None

    def add(self, task: Task, *, first: bool = False) -> None:
        """Let a task wait for its turn; `first`: before the others of its priority."""
        waiting = self._waiting[task.priority]
        if task.id not in waiting:
            self._size += 1
        waiting[task.id] = task
        if first:
            waiting.move_to_end(task.id, last=False)

    def remove(self, task: Task) -> None:
        """Let it wait no longer."""
        if self._waiting[task.priority].pop(task.id, None) is not None:
            self._size -= 1

    def take(self) -> Task | None:
        """The next in turn; None when nothing waits."""
        present = [priority for priority, waiting in self._waiting.items() if waiting]
        if not present:
            return None
        if len(present) == 1:
            chosen = present[0]
        else:
            for priority in present:
                self._credit[priority] += WEIGHTS[priority]
            chosen = max(present, key=self._credit.__getitem__)
            self._credit[chosen] -= sum(WEIGHTS[priority] for priority in present)
        _, task = self._waiting[chosen].popitem(last=False)
        if not self._waiting[chosen]:
            # What has nothing waiting saves up no turns.
            self._credit[chosen] = 0
        self._size -= 1
        return task
