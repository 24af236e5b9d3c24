"""The dispatcher: what happens to a task from being handed in to its end.

It decides in memory and acts when the store has kept it: a submitter is answered once its task is
kept, an agent is given a task once its claim is kept. A second try begins only when the first has
ended, as its agent says, or as is known: the process of the agent is gone, or the time that the
try was given is long over (the agent ends it itself when it is over). Never because of silence.
"""

from __future__ import annotations

import heapq
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError, RefusedError
from sparkplug.schema.task import (
    MAX_TASK_BYTES,
    TASK_WAITS,
    Attempt,
    NewTask,
    Outcome,
    Task,
    TaskState,
)
from sparkplug.schema.task_services import Finished, FromWorker, GivenTask, TaskFigures, ToWorker
from sparkplug.tasks.book import Book, Live
from sparkplug.tasks.counting import Counting
from sparkplug.tasks.queue import Queue
from sparkplug.tasks.telling import Telling
from sparkplug.tasks.workers import Worker, Workers

#: Beyond the time of a try, for the agent to end it by itself and say so.
_GRACE_S = 10.0
#: What was handed over so long ago and is not known there was lost on its way.
_LOST_S = 2.0
_MOST_BACKOFF_S = 300.0
_JITTER = 0.2
_MOST_ATTEMPTS = 50
_MOST_ERROR = 2000
_LEAST_KEEP_S = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: tasks that wait, of each capability; what ended, and how many seconds."""

    queue: int = 100_000
    keep: float = 3600.0
    most_ended: int = 10_000


class Keeper(Protocol):
    """What the dispatcher has tasks written by: `store.Store`."""

    @property
    def has_room(self) -> bool: ...

    def put(
        self,
        task: Task,
        then: Callable[[], None] | None = None,
        *,
        refused: Callable[[str], None] | None = None,
        ttl: int = 0,
    ) -> None: ...

    def when_kept(self, task: str, then: Callable[[], None]) -> None: ...

    def bury(self, task: Task, then: Callable[[], None]) -> None: ...

    def unbury(self, task: Task, then: Callable[[], None]) -> None: ...


class Dispatcher:
    """All tasks of the mesh, while this node keeps them. `send` tells a worker something."""

    def __init__(
        self,
        store: Keeper,
        workers: Workers,
        telling: Telling,
        send: Callable[[Worker, ToWorker], None],
        limits: Limits,
        node: str = "",
    ) -> None:
        self.book = Book(limits.most_ended)
        self._store = store
        self._workers = workers
        self._telling = telling
        self._send = send
        self._limits = limits
        self._node = node
        self._queues: defaultdict[str, Queue] = defaultdict(Queue)
        self._waiting: Counter[str] = Counter()
        self._due: list[tuple[float, str]] = []
        self._expiring: list[tuple[float, str, int]] = []
        self._waiters: defaultdict[str, list[Callable[[Task], None]]] = defaultdict(list)
        self.counting = Counting()

    # Taking over.

    def load(self, work: Iterable[Task], dead: Iterable[Task]) -> None:
        """Go on with what an earlier service left."""
        self.book.dead = {task.id: task for task in dead}
        for task in work:
            buried = self.book.dead.get(task.id)
            if buried is not None and task.state is not TaskState.DEAD:
                # It was requeued, and the dead letter was to go next.
                del self.book.dead[task.id]
                self._store.unbury(buried, _nothing)
            if task.state in (TaskState.DONE, TaskState.CANCELLED):
                self.book.ended[task.id] = task
                continue
            live = Live(task)
            self.book.add(live)
            if task.state is TaskState.DEAD:
                self._bury(live)
            elif task.state is TaskState.RUNNING and task.attempts:
                last = task.attempts[-1]
                self._hold(live, self._workers.expect(last.agent, last.replica, last.instance))
            else:
                self._wait(live)

    # Handing in.

    def submit(
        self, new: NewTask, identity: str, actor: str, answer: Callable[[str, bool, str], None]
    ) -> None:
        """Take a task; `answer(id, duplicate, refused)` once it is kept, or why it is not."""
        known = self.book.get(identity) or self.book.of_key(new.key)
        if known is not None:
            self._store.when_kept(known.id, lambda: answer(known.id, True, ""))
            return
        why = self._why_not(new)
        if why:
            self.counting.of[new.capability].refused += 1
            answer(identity, False, why)
            return
        now = utc_now()
        start = new.at if new.at is not None else now + timedelta(seconds=new.delay)
        later = start > now
        task = Task(
            id=identity,
            capability=new.capability,
            priority=new.priority,
            state=TaskState.SCHEDULED if later else TaskState.QUEUED,
            text=new.text,
            action=new.action,
            input=new.input,
            key=new.key,
            submitted=now,
            by=actor,
            not_before=start if later else None,
            timeout=new.timeout,
            tries=new.tries,
            backoff=new.backoff,
            context=new.context,
        )
        live = Live(task)

        def refused(why: str) -> None:
            self.counting.of[task.capability].refused += 1
            self._forget(live)
            answer(identity, False, why)

        self.book.add(live)
        self.counting.of[task.capability].queued += 1
        self._store.put(task, lambda: answer(identity, False, ""), refused=refused)
        self._telling.tell("task:queued", task, actor=actor)
        self._wait(live)
        self.pump(task.capability)

    def _why_not(self, new: NewTask) -> str:
        size = len(json.dumps(new.input, default=str).encode()) + len(new.text.encode())
        if size > MAX_TASK_BYTES:
            return f"it is {size} bytes, a task has at most {MAX_TASK_BYTES}"
        if new.at is not None and (new.delay or new.at.tzinfo is None):
            return "`at` is a time with its zone, and goes without `delay`"
        waiting = self._waiting[new.capability]
        if waiting >= self._limits.queue:
            return f"the queue of {new.capability} is full: {waiting} tasks wait"
        if not self._store.has_room:
            return "the store of tasks is full"
        return ""

    def _forget(self, live: Live) -> None:
        """A task that was not kept after all."""
        if live.task.state in TASK_WAITS:
            self._unwait(live)
        if live.worker is not None:
            live.worker.holds.discard(live.task.id)
        self.book.drop(live.task)

    # Waiting.

    def _wait(self, live: Live, *, first: bool = False) -> None:
        """Let it wait for its turn, or for its time."""
        task = live.task
        self._waiting[task.capability] += 1
        if task.not_before is not None and task.state is not TaskState.QUEUED:
            heapq.heappush(self._due, (task.not_before.timestamp(), task.id))
        else:
            live.due = time.monotonic()
            self._queues[task.capability].add(task, first=first)

    def _unwait(self, live: Live) -> None:
        self._waiting[live.task.capability] -= 1
        self._queues[live.task.capability].remove(live.task)

    def next_due(self) -> float | None:
        """When the next task has its time, in seconds since the epoch; None: none waits for one."""
        return self._due[0][0] if self._due else None

    def tick(self) -> None:
        """Look at the time and at the directory; called several times a second."""
        now = utc_now().timestamp()
        while self._due and self._due[0][0] <= now:
            _, name = heapq.heappop(self._due)
            live = self.book.live.get(name)
            if live is None or live.task.state not in (TaskState.SCHEDULED, TaskState.RETRYING):
                continue
            if live.task.not_before and live.task.not_before.timestamp() > now:
                continue  # an earlier entry of a task that waits for another time since
            live.task.state = TaskState.QUEUED
            live.due = time.monotonic()
            self._queues[live.task.capability].add(live.task)
        self._expire()
        for worker, what in self._workers.look():
            self._lose(worker, what)
        self.book.forget_ended(self._limits.keep, now)
        for capability, queue in self._queues.items():
            if queue:
                self.pump(capability)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._expiring and self._expiring[0][0] <= now:
            _, name, number = heapq.heappop(self._expiring)
            live = self.book.live.get(name)
            if live is None or live.task.state is not TaskState.RUNNING:
                continue
            if len(live.task.attempts) != number or live.expires > now:
                continue
            self._end_attempt(
                live,
                Outcome.TIMEOUT,
                f"no end within {live.task.timeout:g} s, and no word of it",
            )

    # Being worked on.

    def pump(self, capability: str) -> None:
        """Hand out what waits, as long as somebody has a hand free."""
        queue = self._queues[capability]
        while queue:
            worker = self._workers.choose(capability)
            if worker is None:
                return
            task = queue.take()
            assert task is not None
            self._claim(self.book.live[task.id], worker)

    def _claim(self, live: Live, worker: Worker) -> None:
        task = live.task
        self._waiting[task.capability] -= 1
        number = task.attempts[-1].number + 1 if task.attempts else 1
        attempt = Attempt(
            number=number, agent=worker.agent, replica=worker.replica, instance=worker.instance
        )
        task.attempts = [*task.attempts, attempt][-_MOST_ATTEMPTS:]
        task.state, task.not_before = TaskState.RUNNING, None
        self._hold(live, worker)
        self.counting.of[task.capability].starts.append(time.monotonic() - live.due)
        self._store.put(task, lambda: self._give(live, number))
        self._telling.tell("task:claimed", task, agent=worker.name, attempt=number)

    def _hold(self, live: Live, worker: Worker) -> None:
        live.worker = worker
        worker.holds.add(live.task.id)
        live.expires = time.monotonic() + live.task.timeout + _GRACE_S
        heapq.heappush(self._expiring, (live.expires, live.task.id, len(live.task.attempts)))

    def _give(self, live: Live, number: int) -> None:
        """Hand over a try that is kept, unless something came between."""
        task = live.task
        if task.state is not TaskState.RUNNING or task.attempts[-1].number != number:
            return
        assert live.worker is not None
        live.given = time.monotonic()
        given = GivenTask(
            id=task.id,
            attempt=number,
            capability=task.capability,
            priority=task.priority,
            text=task.text,
            action=task.action,
            input=task.input,
            timeout=task.timeout,
            key=task.key or task.id,
            context=task.context,
        )
        self._send(live.worker, ToWorker(instance=live.worker.instance, give=[given]))

    def hear(self, agent: str, replica: str, told: FromWorker) -> None:
        """What a replica says: how its tries ended, what it takes, what it holds."""
        if self._workers.is_gone(told.instance):
            return
        known = self._workers.get(agent, replica)
        if not told.whole and (known is None or known.instance != told.instance):
            # Who it is is learnt from what it says of all of itself.
            return
        worker, before = self._workers.meet(agent, replica, told.instance)
        if before is not None and before.confirmed:
            # One replica has one process: each makes sure that the one before is gone.
            self._lose(before, "its process was replaced by another")
        worker.capacity = told.capacity
        for finished in told.finished:
            self._finish(worker, finished)
        if told.whole:
            self._compare(worker, set(told.holding), {_tag(one) for one in told.finished})
        for capability in worker.capabilities:
            self.pump(capability)

    def _compare(self, worker: Worker, holding: set[str], finished: set[str]) -> None:
        """What it holds by its word and by ours: what was lost on the way is told again."""
        again: list[tuple[Live, int]] = []
        ours: set[str] = set()
        now = time.monotonic()
        for name in worker.holds:
            live = self.book.live[name]
            number = live.task.attempts[-1].number
            tag = f"{name}#{number}"
            ours.add(tag)
            if tag not in holding and tag not in finished and live.given < now - _LOST_S:
                again.append((live, number))
            elif live.cancel and tag in holding:
                cancel = {tag: live.cancel}
                self._send(worker, ToWorker(instance=worker.instance, cancel=cancel))
        for live, number in again:
            self._store.when_kept(live.task.id, lambda live=live, n=number: self._give(live, n))  # type: ignore[misc]
        stray = dict.fromkeys(holding - ours, "it is no longer its own")
        if stray:
            self._send(worker, ToWorker(instance=worker.instance, cancel=stray))

    def _finish(self, worker: Worker, finished: Finished) -> None:
        live = self.book.live.get(finished.id)
        tag = _tag(finished)

        def heard() -> None:
            self._send(worker, ToWorker(instance=worker.instance, heard=[tag]))

        current = (
            live is not None
            and live.worker is worker
            and live.task.state is TaskState.RUNNING
            and live.task.attempts[-1].number == finished.attempt
        )
        if live is None or not current:
            # Said again, because our word was lost; or of a try that was given up.
            self._store.when_kept(finished.id, heard)
            return
        if live.cancel and finished.outcome is not Outcome.DONE:
            self._end_attempt(live, Outcome.CANCELLED, live.cancel)
        elif finished.outcome is Outcome.DONE:
            self._complete(live, finished.result)
        else:
            self._end_attempt(live, finished.outcome, finished.error or "", retry=finished.retry)
        self._store.when_kept(finished.id, heard)

    def _let_go(self, live: Live, outcome: Outcome, error: str | None) -> Attempt:
        """The try that is in hand has ended."""
        attempt = live.task.attempts[-1]
        attempt.ended, attempt.outcome = utc_now(), outcome
        attempt.error = error[:_MOST_ERROR] if error else None
        if live.worker is not None:
            live.worker.holds.discard(live.task.id)
            live.worker = None
        return attempt

    def _complete(self, live: Live, result: Any) -> None:
        task = live.task
        attempt = self._let_go(live, Outcome.DONE, None)
        task.result, task.error = result, None
        self.counting.of[task.capability].done += 1
        self._telling.tell(
            "task:completed",
            task,
            agent=f"{attempt.agent}/{attempt.replica}",
            attempt=attempt.number,
        )
        self._end(live, TaskState.DONE)

    def _end_attempt(self, live: Live, outcome: Outcome, error: str, *, retry: bool = True) -> None:
        """A try came to nothing: another, or a dead letter."""
        task = live.task
        attempt = self._let_go(live, outcome, error)
        task.error = attempt.error
        if outcome is Outcome.CANCELLED or live.cancel:
            self._end(live, TaskState.CANCELLED)
            return
        if outcome is Outcome.RELEASED:
            # It was given back untouched, or nearly: its agent is to stop.
            task.state = TaskState.QUEUED
            self._wait(live, first=True)
            self._store.put(task)
            self.pump(task.capability)
            return
        task.spent += 1
        self.counting.of[task.capability].failed += 1
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
        self._wait(live)
        self._store.put(task)

    def _lose(self, worker: Worker, what: str) -> None:
        """The process of a worker is gone: what it had in hand is tried again."""
        for name in list(worker.holds):
            live = self.book.live.get(name)
            if live is not None and live.worker is worker:
                self._end_attempt(live, Outcome.KILLED, what)
        worker.holds.clear()

    # Ending.

    def _end(self, live: Live, state: TaskState) -> None:
        task = live.task
        task.state, task.finished, task.not_before = state, utc_now(), None
        self.book.end(task)
        self._store.put(task, lambda: self._answer(task), ttl=self._keep())

    def _keep(self) -> int:
        """Seconds that what ends now is kept: less when so much ends that it would be too many."""
        keep = self._limits.keep
        if len(self.book.ended) >= self._limits.most_ended // 2:
            rate = sum(self.counting.rates(name)[1] for name in self.counting.of)
            if rate:
                keep = min(keep, self._limits.most_ended / rate)
        return max(_LEAST_KEEP_S, round(keep))

    def _die(self, live: Live) -> None:
        """No try is left."""
        task = live.task
        task.state, task.finished, task.not_before = TaskState.DEAD, utc_now(), None
        self._telling.tell("task:dead", task, error=(task.error or "")[:500])
        self._store.put(task, lambda: self._bury(live))

    def _bury(self, live: Live) -> None:
        task = live.task

        def buried() -> None:
            self.book.drop(task)
            self.book.dead[task.id] = task
            self._answer(task)

        self._store.bury(task, buried)

    def _answer(self, task: Task) -> None:
        for waiter in self._waiters.pop(task.id, ()):
            waiter(task)

    def when_ended(self, task: Task, then: Callable[[Task], None]) -> Callable[[], None]:
        """Call `then` once the task is over and that is kept; what it gives takes that back."""
        if task.id not in self.book.live:
            self._store.when_kept(task.id, lambda: then(task))
            return _nothing
        self._waiters[task.id].append(then)

        def remove() -> None:
            waiting = self._waiters.get(task.id, [])
            if then in waiting:
                waiting.remove(then)

        return remove

    # What people ask for.

    def cancel(self, task: Task, why: str, kept: Callable[[], None]) -> None:
        """End a task before it is done. Raises RefusedError for one that is over."""
        live = self.book.live.get(task.id)
        if live is None or task.ended:
            raise RefusedError(f"it is {task.state} already")
        if task.state is TaskState.RUNNING:
            live.cancel = why
            assert live.worker is not None
            tag = f"{task.id}#{task.attempts[-1].number}"
            self._send(live.worker, ToWorker(instance=live.worker.instance, cancel={tag: why}))
            self._waiters[task.id].append(lambda _: kept())
            return
        self._unwait(live)
        task.error = why
        self._end(live, TaskState.CANCELLED)
        self._store.when_kept(task.id, kept)

    def requeue(
        self,
        task: Task,
        actor: str,
        text: str | None,
        input_: dict[str, Any] | None,
        kept: Callable[[str], None],
    ) -> None:
        """Take a dead letter into its queue again, with all its tries, perhaps edited.

        `kept` is told why it was not, or nothing. Raises RefusedError, InvalidError.
        """
        self._require_dead(task)
        if task.key and (other := self.book.of_key(task.key)):
            raise RefusedError(f"the task {other.id} has its key {task.key} now")
        changed = task.model_copy(
            update={
                "state": TaskState.QUEUED,
                "spent": 0,
                "requeued": task.requeued + 1,
                "finished": None,
                "text": task.text if text is None else text,
                "input": task.input if input_ is None else input_,
            }
        )
        size = len(json.dumps(changed.input, default=str).encode()) + len(changed.text.encode())
        if size > MAX_TASK_BYTES:
            raise InvalidError(f"it is {size} bytes, a task has at most {MAX_TASK_BYTES}")
        if self._waiting[task.capability] >= self._limits.queue or not self._store.has_room:
            raise RefusedError(f"the queue of {task.capability} is full")
        del self.book.dead[task.id]
        live = Live(changed)

        def refused(why: str) -> None:
            self._forget(live)
            self.book.dead[task.id] = task
            kept(why)

        def taken() -> None:
            self._store.unbury(task, lambda: kept(""))

        self.book.add(live)
        self._store.put(changed, taken, refused=refused)
        self._telling.tell("task:requeued", changed, actor=actor)
        self._wait(live)
        self.pump(changed.capability)

    def drop(self, task: Task, kept: Callable[[], None]) -> None:
        """Forget a dead letter. Raises RefusedError."""
        self._require_dead(task)
        del self.book.dead[task.id]
        self._store.unbury(task, kept)

    def _require_dead(self, task: Task) -> None:
        if task.id in self.book.dead:
            return
        if task.state is TaskState.DEAD:
            raise RefusedError("it is on its way to the dead letters: ask again")
        raise RefusedError(f"it is no dead letter, it is {task.state}")

    def figures(self) -> TaskFigures:
        """All queues as they are."""
        return self.counting.figures(
            self.book, self._queues, self._workers, self._limits.queue, self._node
        )


def _tag(finished: Finished) -> str:
    return f"{finished.id}#{finished.attempt}"


def _nothing() -> None:
    pass
