"""What is kept of tasks, on the bus: the last word of each, and the dead letters.

The stream of work holds one message a task: writing it again replaces it. Changes that come
while a write is on its way are stored together in one atomic batch, with one sync, so that many
small changes cost little more than one. Every write carries the fence that was left when the
lease was taken: the server itself refuses an earlier holder (error 10071).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.batches import MAX_BATCH, Write, can_batch, store_batch
from sparkplug.bus.connection import Bus
from sparkplug.bus.reading import Mark, follow
from sparkplug.schema.errors import ConflictError, NoMeshError
from sparkplug.schema.task import Task

log = logging.getLogger(__name__)

_WRONG_LAST_SEQUENCE = 10071
# Why JetStream would refuse the same write again: its storage is full.
_FULL = frozenset({10023, 10047, 10077, 10122})
#: From so many changes on, a batch is quicker than each by itself (it costs 2.5 ms at least).
_WORTH_A_BATCH = 8
_MOST_AT_ONCE = min(MAX_BATCH, 400)
_WRITE_DEADLINE_S = 5.0
#: The server may be silent for so long while it gives what it has.
_SILENCE_S = 30.0
#: Messages that are read before others have their turn: their leases are to be renewed.
_AT_A_STRETCH = 200
_PAUSE_S = 0.1
_FULL_PAUSE_S = 1.0
#: A task is refused when so much of the stream's room is taken: the rest is for what goes on.
_ROOM_SHARE = 0.75


@dataclass(slots=True)
class _Change:
    """A task to be written: what to do once it is kept, or once it is refused."""

    task: Task
    ttl: int = 0
    then: list[Callable[[], None]] = field(default_factory=list)
    refused: Callable[[str], None] | None = None


class Store:
    """The one writer of tasks, while it holds the lease."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._fence = 0
        self._changes: dict[str, _Change] = {}
        self._writing: dict[str, _Change] = {}
        self._wake = asyncio.Event()
        self._jobs: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()
        self._max_bytes = 0
        self._bytes = 0
        #: Messages written, and the requests to the server they took.
        self.written = 0
        self.writes = 0

    async def open(self) -> tuple[list[Task], list[Task]]:
        """Shut out earlier writers, then read all tasks and all dead letters, oldest first.

        Raises NoMeshError when the server does not give them.
        """
        try:
            ack = await self._bus.js.publish(subjects.WORK_FENCE, b"")
            self._fence = ack.seq
            work = await self._read(subjects.STREAM_WORK, subjects.ALL_WORK)
            dead = await self._read(subjects.STREAM_DEAD, subjects.ALL_DEAD)
            await self.measure()
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            raise NoMeshError(f"the tasks cannot be read: {error}") from error
        return work, dead

    async def _read(self, stream: str, subject: str) -> list[Task]:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, filter_subject=subject
        )
        found: dict[str, Task] = {}
        loop = asyncio.get_running_loop()
        read = 0
        async with (
            asyncio.timeout(_SILENCE_S) as silence,
            contextlib.aclosing(follow(self._bus, stream, lambda _: config)) as items,
        ):
            async for item in items:
                read += 1
                if not read % _AT_A_STRETCH:
                    silence.reschedule(loop.time() + _SILENCE_S)
                    await asyncio.sleep(0)
                if item is Mark.BEGIN:
                    found.clear()
                elif item is Mark.READY:
                    break
                elif isinstance(item, Msg) and item.data:
                    try:
                        task = Task.model_validate_json(item.data)
                    except ValidationError as error:
                        log.warning(
                            "%s holds no task: %s",
                            item.subject,
                            error.errors(include_input=False, include_url=False)[:1],
                        )
                        continue
                    found[task.id] = task
        return list(found.values())

    async def measure(self) -> None:
        """Look how much room the stream of work has."""
        info = await self._bus.js.stream_info(subjects.STREAM_WORK)
        self._bytes, self._max_bytes = info.state.bytes, info.config.max_bytes or 0

    @property
    def has_room(self) -> bool:
        """Whether another task may be taken."""
        return self._max_bytes <= 0 or self._bytes < self._max_bytes * _ROOM_SHARE

    def put(
        self,
        task: Task,
        then: Callable[[], None] | None = None,
        *,
        refused: Callable[[str], None] | None = None,
        ttl: int = 0,
    ) -> None:
        """Write the task as it is by the time it is written; `then` once it is kept.

        `refused` is for a task that is new: called with the reason instead, it is not kept.
        With `ttl` the server forgets it after so many seconds.
        """
        change = self._changes.get(task.id)
        if change is None:
            change = self._changes[task.id] = _Change(task)
        change.task = task
        change.ttl = ttl
        if then is not None:
            change.then.append(then)
        if refused is not None:
            change.refused = refused
        self._wake.set()

    def when_kept(self, task: str, then: Callable[[], None]) -> None:
        """Call `then` once what was put of the task so far is kept."""
        change = self._changes.get(task) or self._writing.get(task)
        if change is None:
            then()
        else:
            change.then.append(then)

    def bury(self, task: Task, then: Callable[[], None]) -> None:
        """Put a task that is kept as dead among the dead letters, and out of the work."""
        self._jobs.put_nowait(self._bury(task, then))

    def unbury(self, task: Task, then: Callable[[], None]) -> None:
        """Take it out of the dead letters."""
        self._jobs.put_nowait(self._unbury(task, then))

    async def run(self) -> None:
        """Write for ever. Raises ConflictError when another has taken over."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_on(), name="tasks: writing")
            group.create_task(self._do_jobs(), name="tasks: dead letters")

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._changes:
                await self._write_some()

    async def _write_some(self) -> None:
        """Write what there is; changes that come meanwhile are the next to be written."""
        if len(self._changes) <= _MOST_AT_ONCE:
            taken, self._changes = self._changes, {}
        else:
            names = list(self._changes)[:_MOST_AT_ONCE]
            taken = {name: self._changes.pop(name) for name in names}
        self._writing = taken
        changes = list(taken.values())
        if len(changes) >= _WORTH_A_BATCH and can_batch(self._bus):
            # All of a batch or nothing of it is stored: the fence of the first is that of all.
            writes = [self._message(one, fenced=not at) for at, one in enumerate(changes)]
            await self._write_batch(changes, writes)
        else:
            await self._write_each(changes)
        self._writing = {}

    async def _write_each(self, changes: list[_Change]) -> None:
        async with asyncio.TaskGroup() as group:
            for change in changes:
                group.create_task(self._write_one(change, self._message(change, fenced=True)))

    def _message(self, change: _Change, *, fenced: bool) -> Write:
        task = change.task
        headers = {}
        if fenced:
            headers = {
                "Nats-Expected-Last-Subject-Sequence": str(self._fence),
                "Nats-Expected-Last-Subject-Sequence-Subject": subjects.WORK_FENCE,
            }
        if change.ttl:
            headers["Nats-TTL"] = f"{change.ttl}s"
        data = task.model_dump_json(exclude_defaults=True).encode()
        self._bytes += len(data)
        return Write(subjects.work(task.capability, task.priority, task.id), data, headers)

    async def _write_batch(self, changes: list[_Change], writes: list[Write]) -> None:
        while True:
            try:
                await self._bus.answer(store_batch(self._bus, writes, deadline=_WRITE_DEADLINE_S))
            except nats.js.errors.APIError as error:
                _raise_if_deposed(error)
                log.warning("a batch of %d changes is refused: %s", len(writes), error.description)
                await self._write_each(changes)
                return
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                # It may be stored: storing it again changes nothing.
                await self._wait(error)
                continue
            self.written += len(writes)
            self.writes += 1
            for change in changes:
                _kept(change)
            return

    async def _write_one(self, change: _Change, write: Write) -> None:
        while True:
            try:
                await self._bus.answer(
                    self._bus.js.publish(
                        write.subject,
                        write.data,
                        headers=dict(write.headers),
                        timeout=_WRITE_DEADLINE_S,
                    )
                )
            except nats.js.errors.APIError as error:
                _raise_if_deposed(error)
                if change.refused is not None:
                    change.refused(f"the server refused to keep it: {error.description}")
                    return
                log.warning("%s is written later: %s", write.subject, error.description)
                await asyncio.sleep(_FULL_PAUSE_S if error.err_code in _FULL else _PAUSE_S)
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                await self._wait(error)
            else:
                self.written += 1
                self.writes += 1
                _kept(change)
                return

    async def _wait(self, error: Exception) -> None:
        if self._bus.nc.is_closed:
            raise NoMeshError("the connection to the mesh is gone") from error
        log.debug("tasks wait for the server: %s", error)
        await asyncio.sleep(_PAUSE_S)

    async def _do_jobs(self) -> None:
        while True:
            await (await self._jobs.get())

    async def _bury(self, task: Task, then: Callable[[], None]) -> None:
        write = Write(
            subjects.dead(task.capability, task.id),
            task.model_dump_json(exclude_defaults=True).encode(),
        )
        # Written again after a takeover it replaces itself: the stream keeps one of a subject.
        await self._insist(
            lambda: self._bus.js.publish(write.subject, write.data, timeout=_WRITE_DEADLINE_S)
        )
        await self._purge(
            subjects.STREAM_WORK, subjects.work(task.capability, task.priority, task.id)
        )
        then()

    async def _unbury(self, task: Task, then: Callable[[], None]) -> None:
        await self._purge(subjects.STREAM_DEAD, subjects.dead(task.capability, task.id))
        then()

    async def _purge(self, stream: str, subject: str) -> None:
        await self._insist(lambda: self._bus.js.purge_stream(stream, subject=subject))

    async def _insist(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Ask until the server has done it."""
        while True:
            try:
                await self._bus.answer(ask())
            except nats.js.errors.APIError as error:
                log.warning("the dead letters wait: %s", error.description)
                await asyncio.sleep(_FULL_PAUSE_S)
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                await self._wait(error)
            else:
                return


def _kept(change: _Change) -> None:
    for then in change.then:
        then()


def _raise_if_deposed(error: nats.js.errors.APIError) -> None:
    if error.err_code == _WRONG_LAST_SEQUENCE:
        raise ConflictError("another node has taken the tasks over") from error
