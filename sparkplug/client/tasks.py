"""Tasks: handing them in, how they are, cancelling them, and the dead letters."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.keepers import ask_keeper
from sparkplug.bus.service import call
from sparkplug.client.hosts import receive
from sparkplug.client.session import Client
from sparkplug.schema.errors import DeadlineError, InvalidError, NoMeshError, RefusedError
from sparkplug.schema.node import Nothing
from sparkplug.schema.task import NewTask, Task, TaskState
from sparkplug.schema.task_services import (
    MAX_AT_ONCE,
    ChangedTasks,
    ChangeTasks,
    ListTasks,
    ListTasksReply,
    OneTask,
    SubmitTasks,
    SubmitTasksReply,
    SubmittedTask,
    TaskFigures,
    TaskReply,
)

ReplyT = TypeVar("ReplyT", bound=BaseModel)

_DEADLINE_S = 10.0
_CHANGE_DEADLINE_S = 60.0
#: A node that is killed does not say so to who waits for a task's end: asked anew so often.
_WAIT_S = 5.0


async def submit(client: Client, new: Sequence[NewTask]) -> list[SubmittedTask]:
    """Hand tasks in; each is kept, or says why it was refused, when this returns.

    Asked again while the tasks change hands, a task is still taken once. Raises NoMeshError.
    """
    named = [task.model_copy(update={"id": task.id or secrets.token_hex(8)}) for task in new]
    found: list[SubmittedTask] = []
    for start in range(0, len(named), MAX_AT_ONCE):
        request = SubmitTasks(tasks=named[start : start + MAX_AT_ONCE], actor=client.actor)
        reply = await _ask(client, subjects.TASKS_SUBMIT, request, SubmitTasksReply)
        for task, one in zip(request.tasks, reply.tasks, strict=True):
            # Ours was taken the first time, and the answer was lost.
            found.append(one.model_copy(update={"duplicate": one.duplicate and one.id != task.id}))
    return found


async def submit_one(client: Client, new: NewTask) -> SubmittedTask:
    """Hand one task in. Raises RefusedError when it is not taken, as when its queue is full."""
    (one,) = await submit(client, [new])
    if one.refused:
        raise RefusedError(
            f"the task is not taken: {one.refused}",
            where=new.capability,
            hint="`sparkplug tasks list` shows the queues; `tasks.queue_max` limits them",
        )
    return one


async def list_tasks(
    client: Client,
    *,
    states: Sequence[TaskState] = (),
    capability: str | None = None,
    limit: int = 500,
) -> ListTasksReply:
    """The newest tasks of these states (none given: all but the dead letters)."""
    request = ListTasks(states=list(states), capability=capability, limit=min(limit, MAX_AT_ONCE))
    return await _ask(client, subjects.TASKS_LIST, request, ListTasksReply)


async def describe(client: Client, task: str) -> Task:
    """One task, by its id or the beginning of it. Raises NotFoundError, ConflictError."""
    return (await _ask(client, subjects.TASKS_GET, _one(task), TaskReply)).task


async def wait_ended(client: Client, task: str, deadline: float) -> Task:
    """The task once it is over. Raises DeadlineError when it is not within `deadline` seconds."""
    until = time.monotonic() + deadline
    while True:
        left = max(0.0, min(_WAIT_S, until - time.monotonic()))
        request = _one(task).model_copy(update={"seconds": left})
        found = (await _ask(client, subjects.TASKS_GET, request, TaskReply, wait=left)).task
        if found.ended:
            return found
        if time.monotonic() >= until:
            raise DeadlineError(
                f"the task {found.id} is {found.state} after {deadline:g} s",
                hint=f"`sparkplug tasks describe {found.id}` shows how it goes on",
            )


async def cancel(client: Client, ids: Sequence[str]) -> ChangedTasks:
    """End tasks before they are done; those in hand have let go when this returns."""
    return await _change(client, subjects.TASKS_CANCEL, ChangeTasks(ids=list(ids)))


async def requeue(
    client: Client,
    ids: Sequence[str] = (),
    *,
    every: bool = False,
    capability: str | None = None,
    text: str | None = None,
    input: dict[str, object] | None = None,  # noqa: A002  the task's own name for it
) -> ChangedTasks:
    """Take dead letters into their queues again: those named, or `every`; perhaps edited."""
    request = ChangeTasks(ids=list(ids), every=every, capability=capability, text=text, input=input)
    return await _change(client, subjects.TASKS_REQUEUE, request)


async def drop(
    client: Client,
    ids: Sequence[str] = (),
    *,
    every: bool = False,
    capability: str | None = None,
) -> ChangedTasks:
    """Forget dead letters for good: those named, or `every`."""
    request = ChangeTasks(ids=list(ids), every=every, capability=capability)
    return await _change(client, subjects.TASKS_DROP, request)


async def read_figures(client: Client) -> TaskFigures:
    """All queues as they are."""
    return await _ask(client, subjects.TASKS_FIGURES_GET, Nothing(), TaskFigures)


async def follow_figures(client: Client) -> AsyncGenerator[TaskFigures, None]:
    """All queues as they are, then again at most once a second while they change."""
    updates = receive(client, subjects.TASKS_FIGURES)
    async with contextlib.aclosing(updates):
        with contextlib.suppress(NoMeshError, DeadlineError):
            yield await call(client.bus, subjects.TASKS_FIGURES_GET, Nothing(), TaskFigures)
        async for body in updates:
            try:
                yield TaskFigures.model_validate_json(body)
            except ValidationError:
                continue


async def _change(client: Client, subject: str, request: ChangeTasks) -> ChangedTasks:
    asked = request.model_copy(update={"actor": client.actor})
    return await _ask(client, subject, asked, ChangedTasks, deadline=_CHANGE_DEADLINE_S)


def _one(task: str) -> OneTask:
    try:
        return OneTask(task=task)
    except ValidationError as error:
        raise InvalidError(f"{task[:40]!r} is no id of a task") from error


async def _ask(
    client: Client,
    subject: str,
    request: BaseModel,
    reply: type[ReplyT],
    *,
    deadline: float = _DEADLINE_S,
    wait: float = 0.0,
) -> ReplyT:
    """Ask whoever keeps the tasks, waiting while they change hands.

    `wait`: seconds that may pass, as asked, before there is an answer.
    """
    try:
        return await ask_keeper(
            client.bus,
            subject,
            request,
            reply,
            lease=subjects.TASKS_LEASE,
            deadline=deadline,
            wait=wait,
        )
    except NoMeshError as error:
        raise NoMeshError(
            "no node keeps the tasks now",
            hint="`sparkplug status` shows the nodes; a node takes them over in seconds",
        ) from error
