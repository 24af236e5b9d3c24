"""Counting what the queues do: rates, waits, totals; for the figures that are published."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from sparkplug.schema.base import utc_now
from sparkplug.schema.task import TASK_WAITS, TaskState
from sparkplug.schema.task_services import QueueFigures, TaskFigures
from sparkplug.tasks.book import Book
from sparkplug.tasks.queue import Queue
from sparkplug.tasks.workers import Workers

_WINDOW_S = 5
_STARTS = 200


@dataclass(slots=True)
class Counted:
    """What one capability's tasks did since the service took over."""

    queued: int = 0
    done: int = 0
    failed: int = 0
    refused: int = 0
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=_STARTS))


class Counting:
    """Counters by capability, and their rates over the last seconds."""

    def __init__(self) -> None:
        self.of: defaultdict[str, Counted] = defaultdict(Counted)
        self._past: deque[tuple[float, dict[str, tuple[int, int, int]]]] = deque(
            maxlen=_WINDOW_S + 1
        )

    def tick(self) -> None:
        """A second has passed."""
        now = {name: (one.queued, one.done, one.failed) for name, one in self.of.items()}
        self._past.append((time.monotonic(), now))

    def rates(self, capability: str) -> tuple[float, float, float]:
        """Queued, done and failed, each a second."""
        if len(self._past) < 2:
            return 0.0, 0.0, 0.0
        (began, first), (ended, last) = self._past[0], self._past[-1]
        before, after = first.get(capability, (0, 0, 0)), last.get(capability, (0, 0, 0))
        took = max(0.001, ended - began)
        queued, done, failed = (
            round((b - a) / took, 2) for a, b in zip(before, after, strict=True)
        )
        return queued, done, failed

    def figures(
        self, book: Book, queues: Mapping[str, Queue], workers: Workers, limit: int, node: str
    ) -> TaskFigures:
        """All queues as they are."""
        states: defaultdict[str, dict[TaskState, int]] = defaultdict(
            lambda: dict.fromkeys(TaskState, 0)
        )
        live = Counter([(one.task.capability, one.task.state) for one in book.live.values()])
        for (capability, state), count in live.items():
            states[capability][state] = count
        for capability, count in Counter([one.capability for one in book.dead.values()]).items():
            states[capability][TaskState.DEAD] = count
        found = TaskFigures(node=node, kept=len(book.ended))
        for capability in sorted({*states, *self.of, *queues}):
            counted, now = self.of[capability], states[capability]
            queue = queues.get(capability)
            oldest = queue.oldest() if queue is not None else None
            rates = self.rates(capability)
            found.queued_per_second += rates[0]
            found.done_per_second += rates[1]
            found.failed_per_second += rates[2]
            found.queues.append(
                QueueFigures(
                    capability=capability,
                    queued=queue.counts() if queue is not None else {},
                    scheduled=now[TaskState.SCHEDULED],
                    retrying=now[TaskState.RETRYING],
                    running=now[TaskState.RUNNING],
                    dead=now[TaskState.DEAD],
                    workers=len(workers.able(capability)),
                    limit=limit,
                    done=counted.done,
                    failed=counted.failed,
                    refused=counted.refused,
                    oldest_seconds=(
                        round((utc_now() - oldest.submitted).total_seconds(), 1) if oldest else None
                    ),
                    done_per_second=rates[1],
                    start_p50_ms=(
                        round(median(counted.starts) * 1000, 2) if counted.starts else None
                    ),
                )
            )
        found.queued_per_second = round(found.queued_per_second, 2)
        found.done_per_second = round(found.done_per_second, 2)
        found.failed_per_second = round(found.failed_per_second, 2)
        return found


def waits(state: TaskState) -> bool:
    """Whether a task in that state counts against the limit of its queue."""
    return state in TASK_WAITS
