"""The dispatcher: who works on which task, and what becomes of what workers say.

It decides in memory and acts when the store has kept it: a submitter is answered once its task is
kept, an agent is given a task once its claim is kept. A second try begins only when the first has
ended, as its agent says, or as is known: the process of the agent is gone, or the time that the
try was given is long over (the agent ends it itself when it is over). Never because of silence.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable

from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import RefusedError
from sparkplug.schema.task import Attempt, Outcome, Task, TaskState
from sparkplug.schema.task_services import Finished, FromWorker, GivenTask, TaskFigures, ToWorker
from sparkplug.tasks.book import Book, Live
from sparkplug.tasks.counting import Counting
from sparkplug.tasks.ending import Ending
from sparkplug.tasks.handling import Parts
from sparkplug.tasks.intake import Intake, require_dead
from sparkplug.tasks.keeping import Keeper, Limits
from sparkplug.tasks.telling import Telling
from sparkplug.tasks.waiting import Waiting
from sparkplug.tasks.workers import Worker, Workers

#: Beyond the time of a try, for the agent to end it by itself and say so.
_GRACE_S = 10.0
#: What was handed over so long ago and is not known there was lost on its way.
_LOST_S = 2.0
_MOST_ATTEMPTS = 50
#: Tasks that are taken over before others have their turn.
_AT_A_STRETCH = 500


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
        self.counting = Counting()
        self.waiting = Waiting(self.book)
        self._expiring: list[tuple[float, str, int]] = []
        parts = Parts(self.book, self.waiting, self.counting, store, telling, limits, self.pump)
        self.intake = Intake(parts)
        self.ending = Ending(parts)

    # Taking over.

    async def load(self, work: Iterable[Task], dead: Iterable[Task]) -> None:
        """Go on with what an earlier service left; nobody is served meanwhile."""
        self.book.dead = {task.id: task for task in dead}
        for number, task in enumerate(work):
            if not number % _AT_A_STRETCH:
                # Of a hundred thousand the leases would not be renewed in time.
                await asyncio.sleep(0)
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
                self.ending.bury(live)
            elif task.state is TaskState.RUNNING and task.attempts:
                last = task.attempts[-1]
                self._hold(live, self._workers.expect(last.agent, last.replica, last.instance))
            else:
                self.waiting.add(live)

    # The time, and who is there.

    def tick(self) -> None:
        """Look at the time and at the directory; called several times a second."""
        now = utc_now().timestamp()
        self.waiting.look(now)
        self._expire()
        for worker, what in self._workers.look():
            self._lose(worker, what)
        self.book.forget_ended(self._limits.keep, now)
        for capability, queue in self.waiting.queues.items():
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
            self.ending.attempt(
                live,
                Outcome.TIMEOUT,
                f"no end within {live.task.timeout:g} s, and no word of it",
            )

    # Being worked on.

    def pump(self, capability: str) -> None:
        """Hand out what waits, as long as somebody has a hand free."""
        queue = self.waiting.queues[capability]
        while queue:
            worker = self._workers.choose(capability)
            if worker is None:
                return
            live = self.waiting.take(capability)
            assert live is not None
            self._claim(live, worker)

    def _claim(self, live: Live, worker: Worker) -> None:
        task = live.task
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
            self.ending.attempt(live, Outcome.CANCELLED, live.cancel)
        elif finished.outcome is Outcome.DONE:
            self.ending.complete(live, finished.result)
        else:
            self.ending.attempt(live, finished.outcome, finished.error or "", retry=finished.retry)
        self._store.when_kept(finished.id, heard)

    def _lose(self, worker: Worker, what: str) -> None:
        """The process of a worker is gone: what it had in hand is tried again."""
        for name in list(worker.holds):
            live = self.book.live.get(name)
            if live is not None and live.worker is worker:
                self.ending.attempt(live, Outcome.KILLED, what)
        worker.holds.clear()

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
            self.ending.when_ended(task, lambda _: kept())
            return
        self.waiting.remove(live)
        task.error = why
        self.ending.end(live, TaskState.CANCELLED)
        self._store.when_kept(task.id, kept)

    def drop(self, task: Task, kept: Callable[[], None]) -> None:
        """Forget a dead letter. Raises RefusedError."""
        require_dead(self.book, task)
        del self.book.dead[task.id]
        self._store.unbury(task, kept)

    def figures(self) -> TaskFigures:
        """All queues as they are."""
        return self.counting.figures(
            self.book, self.waiting.queues, self._workers, self._limits.queue, self._node
        )


def _tag(finished: Finished) -> str:
    return f"{finished.id}#{finished.attempt}"


def _nothing() -> None:
    pass
