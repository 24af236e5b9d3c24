"""What comes into the queues: tasks that are handed in, and dead letters that are to run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError, RefusedError
from sparkplug.schema.task import MAX_TASK_BYTES, TASK_WAITS, NewTask, Task, TaskState
from sparkplug.tasks.book import Book, Live
from sparkplug.tasks.handling import Handling


class Intake(Handling):
    """Takes tasks into the book and its queues."""

    def submit(
        self, new: NewTask, identity: str, actor: str, answer: Callable[[str, bool, str], None]
    ) -> None:
        """Take a task; `answer(id, duplicate, refused)` once it is kept, or why it is not."""
        known = self._book.get(identity) or self._book.of_key(new.key)
        if known is not None:
            self._store.when_kept(known.id, lambda: answer(known.id, True, ""))
            return
        why = self._why_not(new)
        if why:
            self._counting.of[new.capability].refused += 1
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
            self._counting.of[task.capability].refused += 1
            self._forget(live)
            answer(identity, False, why)

        self._book.add(live)
        self._counting.of[task.capability].queued += 1
        self._store.put(task, lambda: answer(identity, False, ""), refused=refused)
        self._telling.tell("task:queued", task, actor=actor)
        self._waiting.add(live)
        self._pump(task.capability)

    def _why_not(self, new: NewTask) -> str:
        size = len(json.dumps(new.input, default=str).encode()) + len(new.text.encode())
        if size > MAX_TASK_BYTES:
            return f"it is {size} bytes, a task has at most {MAX_TASK_BYTES}"
        if new.at is not None and (new.delay or new.at.tzinfo is None):
            return "`at` is a time with its zone, and goes without `delay`"
        waiting = self._waiting.count(new.capability)
        if waiting >= self._limits.queue:
            return f"the queue of {new.capability} is full: {waiting} tasks wait"
        if not self._store.has_room:
            return "the store of tasks is full"
        return ""

    def _forget(self, live: Live) -> None:
        """A task that was not kept after all."""
        if live.task.state in TASK_WAITS:
            self._waiting.remove(live)
        if live.worker is not None:
            live.worker.holds.discard(live.task.id)
        self._book.drop(live.task)

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
        require_dead(self._book, task)
        if task.key and (other := self._book.of_key(task.key)):
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
        if self._waiting.count(task.capability) >= self._limits.queue or not self._store.has_room:
            raise RefusedError(f"the queue of {task.capability} is full")
        del self._book.dead[task.id]
        live = Live(changed)

        def refused(why: str) -> None:
            self._forget(live)
            self._book.dead[task.id] = task
            kept(why)

        def taken() -> None:
            self._store.unbury(task, lambda: kept(""))

        self._book.add(live)
        self._store.put(changed, taken, refused=refused)
        self._telling.tell("task:requeued", changed, actor=actor)
        self._waiting.add(live)
        self._pump(changed.capability)


def require_dead(book: Book, task: Task) -> None:
    """Raises RefusedError for a task that is no dead letter."""
    if task.id in book.dead:
        return
    if task.state is TaskState.DEAD:
        raise RefusedError("it is on its way to the dead letters: ask again")
    raise RefusedError(f"it is no dead letter, it is {task.state}")
