"""How tries and tasks end: an answer, another try after a pause, a dead letter, a cancel."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sparkplug.schema.base import utc_now
from sparkplug.schema.task import Attempt, Outcome, Task, TaskState
from sparkplug.tasks.book import Live
from sparkplug.tasks.handling import Handling, Parts

_MOST_BACKOFF_S = 300.0
_JITTER = 0.2
_MOST_ERROR = 2000
_LEAST_KEEP_S = 5


class Ending(Handling):
    """Ends what is in hand, and tells who waits for that."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._waiters: defaultdict[str, list[Callable[[Task], None]]] = defaultdict(list)

    def _let_go(self, live: Live, outcome: Outcome, error: str | None) -> Attempt:
        """The try that is in hand has ended."""
        attempt = live.task.attempts[-1]
        attempt.ended, attempt.outcome = utc_now(), outcome
        attempt.error = error[:_MOST_ERROR] if error else None
        if live.worker is not None:
            live.worker.holds.discard(live.task.id)
            live.worker = None
        return attempt

    def complete(self, live: Live, result: Any) -> None:
        """The try in hand has the answer."""
        task = live.task
        attempt = self._let_go(live, Outcome.DONE, None)
        task.result, task.error = result, None
        self._counting.of[task.capability].done += 1
        self._telling.tell(
            "task:completed",
            task,
            agent=f"{attempt.agent}/{attempt.replica}",
            attempt=attempt.number,
        )
        self.end(live, TaskState.DONE)

    def attempt(self, live: Live, outcome: Outcome, error: str, *, retry: bool = True) -> None:
        """A try came to nothing: another, or a dead letter."""
        task = live.task
        attempt = self._let_go(live, outcome, error)
        task.error = attempt.error
        if outcome is Outcome.CANCELLED or live.cancel:
            self.end(live, TaskState.CANCELLED)
            return
        if outcome is Outcome.RELEASED:
            # It was given back untouched, or nearly: its agent is to stop.
            task.state = TaskState.QUEUED
            self._waiting.add(live, first=True)
            self._store.put(task)
            self._pump(task.capability)
            return
        task.spent += 1
        self._counting.of[task.capability].failed += 1
        self._telling.tell(
            "task:failed",
            task,
            agent=f"{attempt.agent}/{attempt.replica}",
            attempt=attempt.number,
            outcome=outcome.value,
            error=(error or "")[:500],
        )
        if not retry or task.spent >= task.tries:
            self._die(live)
            return
        pause = min(_MOST_BACKOFF_S, task.backoff * 2 ** min(task.spent - 1, 16))
        pause *= 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311  spreads load, guards nothing
        task.state = TaskState.RETRYING
        task.not_before = utc_now() + timedelta(seconds=pause)
        self._waiting.add(live)
        self._store.put(task)

    def end(self, live: Live, state: TaskState) -> None:
        """A task is over: done, or cancelled."""
        task = live.task
        task.state, task.finished, task.not_before = state, utc_now(), None
        self._book.end(task)
        self._store.put(task, lambda: self._answer(task), ttl=self._keep())

    def _keep(self) -> int:
        """Seconds that what ends now is kept: less when so much ends that it would be too many."""
        keep = self._limits.keep
        if len(self._book.ended) >= self._limits.most_ended // 2:
            rate = sum(self._counting.rates(name)[1] for name in self._counting.of)
            if rate:
                keep = min(keep, self._limits.most_ended / rate)
        return max(_LEAST_KEEP_S, round(keep))

    def _die(self, live: Live) -> None:
        """No try is left."""
        task = live.task
        task.state, task.finished, task.not_before = TaskState.DEAD, utc_now(), None
        self._telling.tell("task:dead", task, error=(task.error or "")[:500])
        self._store.put(task, lambda: self.bury(live))

    def bury(self, live: Live) -> None:
        """Bring one that is kept as dead among the dead letters."""
        task = live.task

        def buried() -> None:
            self._book.drop(task)
            self._book.dead[task.id] = task
            self._answer(task)

        self._store.bury(task, buried)

    def _answer(self, task: Task) -> None:
        for waiter in self._waiters.pop(task.id, ()):
            waiter(task)

    def when_ended(self, task: Task, then: Callable[[Task], None]) -> Callable[[], None]:
        """Call `then` once the task is over and that is kept; what it gives takes that back."""
        if task.id not in self._book.live:
            self._store.when_kept(task.id, lambda: then(task))
            return _nothing
        self._waiters[task.id].append(then)

        def remove() -> None:
            waiting = self._waiters.get(task.id, [])
            if then in waiting:
                waiting.remove(then)

        return remove


def _nothing() -> None:
    pass
