"""The task service: one node of the mesh holds the lease and keeps all queues."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

import nats.errors
from nats.aio.msg import Msg
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import Lease, while_held
from sparkplug.bus.service import Services
from sparkplug.clock import until_next
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, NoMeshError, NotFoundError, SparkplugError
from sparkplug.schema.node import Nothing
from sparkplug.schema.task import Task, TaskRow
from sparkplug.schema.task_services import (
    ChangedTasks,
    ChangeTasks,
    FromWorker,
    ListTasks,
    ListTasksReply,
    OneTask,
    SubmitTasks,
    SubmitTasksReply,
    SubmittedTask,
    TaskFigures,
    TaskReply,
)
from sparkplug.tasks.collecting import none_meanwhile, set_aside
from sparkplug.tasks.dispatcher import Dispatcher
from sparkplug.tasks.keeping import Limits
from sparkplug.tasks.outbox import Outbox
from sparkplug.tasks.store import Store
from sparkplug.tasks.telling import Telling
from sparkplug.tasks.workers import Workers

log = logging.getLogger(__name__)

_LEASE_S = 3
_TRY_EVERY_S = 1.0
_LOOK_EVERY_S = 0.25
_MEASURE_EVERY_S = 5.0
_TELL_ANYWAY_S = 5.0
_RELEASE_DEADLINE_S = 1.0
#: Turns of the loop in which those that are told have their answers sent.
_TURNS_TO_ANSWER = 5


class TaskService:
    """A node's offer to keep the tasks: the one that holds the lease does.

    `observed` gives what the directory knows of a replica, `known` whether it knows all yet.
    """

    def __init__(
        self,
        bus: Bus,
        node: str,
        events: EventLog,
        *,
        observed: Callable[[str, str], ObservedAgent | None],
        known: Callable[[], bool],
        limits: Limits,
    ) -> None:
        self._bus = bus
        self._node = node
        self._events = events
        self._observed = observed
        self._known = known
        self._limits = limits
        self._lease = Lease(bus, subjects.TASKS_LEASE, f"{node}.{secrets.token_hex(4)}", _LEASE_S)

    async def run(self) -> None:
        """Keep the tasks whenever the lease can be had, until cancelled."""
        try:
            while True:
                if self._known() and await self._lease.acquire():
                    await self._keep_tasks()
                await asyncio.sleep(_TRY_EVERY_S)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RELEASE_DEADLINE_S):
                    await self._lease.release()

    async def _keep_tasks(self) -> None:
        """Keep them until the lease is another's, or the fence is."""
        try:
            await while_held(self._lease, Tenure(self).run())
        except* (ConflictError, NoMeshError) as group:
            log.warning("the tasks are let go: %s", _leaf(group))

    @property
    def parts(self) -> tuple[Bus, str, EventLog, Limits]:
        """What a tenure is made of."""
        return self._bus, self._node, self._events, self._limits

    def look_up(self, agent: str, replica: str) -> ObservedAgent | None:
        """What the directory knows of a replica."""
        return self._observed(agent, replica)

    def knows_all(self) -> bool:
        """Whether the directory is complete just now."""
        return self._known()


class Tenure:
    """Keeping the tasks, from one taking of the lease to its loss."""

    def __init__(self, service: TaskService) -> None:
        bus, node, events, limits = service.parts
        self._bus, self._service = bus, service
        self._store = Store(bus)
        self._outbox = Outbox(bus)
        self._telling = Telling(events)
        self._open: set[asyncio.Future[Any]] = set()
        self._dispatcher = Dispatcher(
            self._store,
            Workers(service.look_up),
            self._telling,
            self._outbox.add,
            limits,
            node,
        )

    async def run(self) -> None:
        """Take over, then serve. Raises ConflictError when another has taken over."""
        with contextlib.ExitStack() as aside:
            with none_meanwhile():
                work, dead = await self._store.open()
                await self._dispatcher.load(work, dead)
                aside.enter_context(set_aside())
            if work or dead:
                log.info("%d tasks and %d dead letters are taken over", len(work), len(dead))
            del work, dead
            await self._keep()

    async def _keep(self) -> None:
        services = Services(self._bus)
        workers = await self._bus.nc.subscribe(subjects.tasks_from("*", "*"), cb=self._hear)
        try:
            await self._serve(services)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._store.run(), name="tasks: store")
                group.create_task(self._outbox.run(), name="tasks: outbox")
                group.create_task(self._look(), name="tasks: clock")
                group.create_task(self._publish(), name="tasks: figures")
                await self._bus.nc.publish(subjects.TASKS_HELLO, b"")
        finally:
            await self._let_go()
            await services.close()
            with contextlib.suppress(nats.errors.Error):
                await workers.unsubscribe()

    async def _let_go(self) -> None:
        """Tell whoever waits for an answer that another is to be asked."""
        for answer in list(self._open):
            if not answer.done():
                answer.set_exception(NoMeshError("the tasks change hands"))
        for _ in range(_TURNS_TO_ANSWER):
            await asyncio.sleep(0)

    async def _serve(self, services: Services) -> None:
        serve = services.serve
        await serve(subjects.TASKS_SUBMIT, SubmitTasks, self._submit)
        await serve(subjects.TASKS_LIST, ListTasks, self._list)
        await serve(subjects.TASKS_GET, OneTask, self._get)
        await serve(subjects.TASKS_CANCEL, ChangeTasks, self._cancel)
        await serve(subjects.TASKS_REQUEUE, ChangeTasks, self._requeue)
        await serve(subjects.TASKS_DROP, ChangeTasks, self._drop)
        await serve(subjects.TASKS_FIGURES_GET, Nothing, self._figures)
        by = services.serve_named
        await by(subjects.tasks_by("*", "*", "submit"), SubmitTasks, self._submit_by)
        await by(subjects.tasks_by("*", "*", "get"), OneTask, self._get_by)
        await by(subjects.tasks_by("*", "*", "cancel"), ChangeTasks, self._cancel_by)

    async def _hear(self, message: Msg) -> None:
        _, _, _, agent, replica = message.subject.split(".")
        try:
            told = FromWorker.model_validate_json(message.data)
        except ValidationError as error:
            log.warning(
                "%s says what cannot be read: %s",
                message.subject,
                error.errors(include_input=False, include_url=False)[:1],
            )
            return
        self._dispatcher.hear(agent, replica, told)

    async def _look(self) -> None:
        """Look at time and directory, sooner when a task has its time sooner."""
        while True:
            if self._service.knows_all():
                self._dispatcher.tick()
            due = self._dispatcher.waiting.next_due()
            left = due - utc_now().timestamp() if due is not None else _LOOK_EVERY_S
            await asyncio.sleep(min(until_next(_LOOK_EVERY_S), max(0.005, left)))

    async def _publish(self) -> None:
        """Tell the figures of all queues once a second while they change."""
        before = TaskFigures()
        told = measured = 0.0
        loop = asyncio.get_running_loop()
        while True:
            self._dispatcher.counting.tick()
            self._telling.tick()
            figures = self._dispatcher.figures()
            now = loop.time()
            if (figures != before or now - told >= _TELL_ANYWAY_S) and self._bus.connected:
                before, told = figures, now
                with contextlib.suppress(nats.errors.Error):
                    await self._bus.nc.publish(
                        subjects.TASKS_FIGURES, figures.model_dump_json().encode()
                    )
            if now - measured >= _MEASURE_EVERY_S and self._bus.connected:
                measured = now
                with contextlib.suppress(TimeoutError, nats.errors.Error):
                    await self._store.measure()
            await asyncio.sleep(until_next(1.0))

    # Services.

    async def _submit(self, request: SubmitTasks) -> SubmitTasksReply:
        """Take tasks; answered once they are kept, each with what became of it."""
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[SubmittedTask]] = []
        for new in request.tasks:
            answer: asyncio.Future[SubmittedTask] = loop.create_future()
            answers.append(answer)
            self._remember(answer)

            def answered(
                name: str, duplicate: bool, why: str, answer: asyncio.Future[SubmittedTask] = answer
            ) -> None:
                if not answer.done():
                    answer.set_result(SubmittedTask(id=name, duplicate=duplicate, refused=why))

            self._dispatcher.intake.submit(
                new, new.id or secrets.token_hex(8), request.actor, answered
            )
        return SubmitTasksReply(tasks=list(await asyncio.gather(*answers)))

    async def _submit_by(self, subject: str, request: SubmitTasks) -> SubmitTasksReply:
        """As an agent: it is written down as who did."""
        return await self._submit(request.model_copy(update={"actor": _replica(subject)}))

    async def _list(self, request: ListTasks) -> ListTasksReply:
        book = self._dispatcher.book
        if request.ids:
            known = [task for name in request.ids if (task := book.get(name)) is not None]
            return ListTasksReply(tasks=[TaskRow.of(task) for task in known], total=len(known))
        found, total = book.listed(request.states, request.capability, request.limit)
        return ListTasksReply(tasks=[TaskRow.of(task) for task in found], total=total)

    async def _get(self, request: OneTask) -> TaskReply:
        return TaskReply(task=await self._ended(self._dispatcher.book.find(request.task), request))

    async def _get_by(self, subject: str, request: OneTask) -> TaskReply:
        """As an agent: it sees what it handed in itself."""
        task = self._own(subject, request.task)
        return TaskReply(task=await self._ended(task, request))

    def _own(self, subject: str, name: str) -> Task:
        task = self._dispatcher.book.get(name)
        if task is None or task.by.partition("/")[0] != _replica(subject).partition("/")[0]:
            raise NotFoundError(f"no task {name} of yours")
        return task

    async def _ended(self, task: Task, request: OneTask) -> Task:
        """The task, once it is over or the time to wait is up."""
        if request.seconds:
            over: asyncio.Future[Task] = asyncio.get_running_loop().create_future()
            self._remember(over)

            def ended(task: Task) -> None:
                if not over.done():
                    over.set_result(task)

            remove = self._dispatcher.ending.when_ended(task, ended)
            try:
                async with asyncio.timeout(request.seconds):
                    return await over
            except TimeoutError:
                pass
            finally:
                remove()
        return self._dispatcher.book.get(task.id) or task

    async def _cancel(self, request: ChangeTasks) -> ChangedTasks:
        why = f"cancelled by {request.actor or 'somebody'}"

        def cancel(task: Task, kept: Callable[[str], None]) -> None:
            self._dispatcher.cancel(task, why, lambda: kept(""))

        return await self._change(request, cancel, [])

    async def _cancel_by(self, subject: str, request: ChangeTasks) -> ChangedTasks:
        for name in request.ids:
            self._own(subject, name)
        actor = _replica(subject)
        return await self._cancel(request.model_copy(update={"actor": actor, "every": False}))

    async def _requeue(self, request: ChangeTasks) -> ChangedTasks:
        def requeue(task: Task, kept: Callable[[str], None]) -> None:
            self._dispatcher.intake.requeue(task, request.actor, request.text, request.input, kept)

        return await self._change(request, requeue, self._dead_of(request))

    async def _drop(self, request: ChangeTasks) -> ChangedTasks:
        def drop(task: Task, kept: Callable[[str], None]) -> None:
            self._dispatcher.drop(task, lambda: kept(""))

        return await self._change(request, drop, self._dead_of(request))

    def _dead_of(self, request: ChangeTasks) -> list[str]:
        if not request.every:
            return []
        return [
            task.id
            for task in self._dispatcher.book.dead.values()
            if request.capability in (None, task.capability)
        ]

    async def _change(
        self,
        request: ChangeTasks,
        change: Callable[[Task, Callable[[str], None]], None],
        more: list[str],
    ) -> ChangedTasks:
        """Change each; answered once all that could be changed are kept so."""
        done = ChangedTasks(ids=[])
        waits: list[tuple[str, asyncio.Future[str]]] = []
        for name in dict.fromkeys([*request.ids, *more]):
            answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._remember(answer)

            def kept(why: str, answer: asyncio.Future[str] = answer) -> None:
                if not answer.done():
                    answer.set_result(why)

            try:
                task = self._dispatcher.book.find(name)
                change(task, kept)
            except SparkplugError as error:
                done.not_changed[name] = error.message
            else:
                waits.append((task.id, answer))
        for name, answer in waits:
            why = await answer
            if why:
                done.not_changed[name] = why
            else:
                done.ids.append(name)
        return done

    def _remember(self, answer: asyncio.Future[Any]) -> None:
        self._open.add(answer)
        answer.add_done_callback(self._open.discard)

    async def _figures(self, _: Nothing) -> TaskFigures:
        return self._dispatcher.figures()


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _replica(subject: str) -> str:
    """agent/replica, from the subject that only it may publish on."""
    _, _, _, agent, replica, _ = subject.split(".")
    return f"{agent}/{replica}"
