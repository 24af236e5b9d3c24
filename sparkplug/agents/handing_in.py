"""`ctx.tasks`: handing work to the queues, from within an agent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.keepers import ask_keeper
from sparkplug.schema.errors import (
    CancelledRequestError,
    DeadlineError,
    InvalidError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.task import DEFAULT_TIMEOUT_S, DEFAULT_TRIES, NewTask, Priority, TaskState
from sparkplug.schema.task_services import (
    ChangedTasks,
    ChangeTasks,
    OneTask,
    SubmitTasks,
    SubmitTasksReply,
    TaskReply,
)

ReplyT = TypeVar("ReplyT", bound=BaseModel)

_DEADLINE_S = 10.0
#: A node that is killed does not say so to who waits for a task's end: asked anew so often.
_WAIT_S = 5.0


class Tasks:
    """The queues as one replica may use them: it sees and cancels what it handed in itself."""

    def __init__(
        self, bus: Bus, agent: str, replica: str, context: Callable[[], dict[str, Any]]
    ) -> None:
        self._bus = bus
        self._agent, self._replica = agent, replica
        self._context = context

    async def submit(
        self,
        capability: str,
        text: str = "",
        *,
        action: str | None = None,
        priority: str = "normal",
        key: str = "",
        delay: float = 0.0,
        at: datetime | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        tries: int = DEFAULT_TRIES,
        **input: Any,  # noqa: A002
    ) -> str:
        """Queue a task for whoever has the capability; its id. It is kept when this returns.

        Of a `key` that a living task has the id of that one is given. Raises RefusedError when it
        is not taken, as when the queue is full, InvalidError for a task that is none.
        """
        try:
            new = NewTask(
                id=secrets.token_hex(8),
                capability=capability,
                text=text,
                action=action,
                input=input,
                priority=Priority(priority),
                key=key,
                delay=delay,
                at=at,
                timeout=timeout,
                tries=tries,
                context=self._context(),
            )
        except ValueError as error:
            problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise InvalidError(f"a task: {problem}", where="ctx.tasks.submit") from error
        reply = await self._ask("submit", SubmitTasks(tasks=[new]), SubmitTasksReply)
        (one,) = reply.tasks
        if one.refused:
            raise RefusedError(f"the task is not taken: {one.refused}", where=capability)
        return one.id

    async def result(self, task: str, timeout: float = DEFAULT_TIMEOUT_S) -> Any:
        """The answer of a task that this agent handed in, once it is done.

        Raises DeadlineError when it is not over within `timeout` seconds, CancelledRequestError
        when it was cancelled, SparkplugError with the reason when it is a dead letter.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout
        while True:
            wait = max(0.0, min(_WAIT_S, ends - loop.time()))
            request = OneTask(task=task, seconds=wait)
            found = (await self._ask("get", request, TaskReply, wait)).task
            if found.state is TaskState.DONE:
                return found.result
            if found.state is TaskState.CANCELLED:
                raise CancelledRequestError(found.error or "it was cancelled", where=task)
            if found.state is TaskState.DEAD:
                raise SparkplugError(found.error or "it is a dead letter", where=task)
            if loop.time() >= ends:
                raise DeadlineError(f"it is {found.state} after {timeout:g} s", where=task)

    async def cancel(self, task: str) -> bool:
        """End a task of this agent's before it is done. False: it is over already."""
        reply = await self._ask("cancel", ChangeTasks(ids=[task]), ChangedTasks)
        return bool(reply.ids)

    async def _ask(
        self, verb: str, request: BaseModel, reply: type[ReplyT], wait: float = 0.0
    ) -> ReplyT:
        """Ask whoever keeps the tasks, waiting while they change hands.

        `wait`: seconds that may pass, as asked, before there is an answer.
        """
        return await ask_keeper(
            self._bus,
            subjects.tasks_by(self._agent, self._replica, verb),
            request,
            reply,
            lease=None,
            deadline=_DEADLINE_S,
            wait=wait,
        )
