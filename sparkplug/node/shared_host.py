"""One shared process as its node sees it: orders to it, ends of its agents, its own end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError

from sparkplug.agents.exits import Exit
from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.shared.control import LINE_LIMIT, Order, Word, socket_at
from sparkplug.bus.cancellation import end
from sparkplug.node.records import ProcessRecord
from sparkplug.processes import same_process, wait_process
from sparkplug.schema.agent import AgentReport
from sparkplug.schema.base import Record
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)

_OPEN_DEADLINE_S = 20.0
_START_DEADLINE_S = 10.0
_LOOK_EVERY_S = 0.02
_AGAIN_S = 0.2
#: An agent that a process does not end within so many seconds of the order to kill it: the
#: process itself is stuck, and with it all its agents.
_STUCK_S = 5.0
#: How a process that ended ended.
ExitOf = Callable[[int], Awaitable[Exit]]
#: Takes what an agent says of itself.
OnReport = Callable[[AgentReport], None]


class HostRecord(Record):
    """What a node keeps on disk about a shared process."""

    id: str
    key: str = Field(description="of what its agents have in common")
    pid: int
    started: float = Field(description="start time, seconds since the epoch")


class PackedRecord(ProcessRecord):
    """One agent in a shared process: ended alone, or with all others when that ends."""

    _host: SharedHost = PrivateAttr()
    _ended: asyncio.Future[Exit] = PrivateAttr()

    @classmethod
    def of(cls, record: ProcessRecord, host: SharedHost) -> PackedRecord:
        """A record with the live process it is about."""
        packed = cls(**record.model_dump())
        packed._host = host
        packed._ended = host.end_of(record.incarnation)
        return packed

    @property
    def heard_at(self) -> float:
        """When its process had a pulse last: the one of all its agents."""
        return self._host.heard_at

    def alive(self) -> bool:
        """True while it was not told to have ended."""
        return not self._ended.done()

    def signal(self, number: int) -> None:
        """Ask it to end."""
        if self.alive():
            self._host.send(Order(kind="stop", incarnation=self.incarnation))

    def signal_group(self, number: int) -> None:
        """End it; what an agent of a shared process starts is not known to be its own."""
        if self.alive():
            self._host.kill(self.incarnation)

    async def wait(self) -> None:
        """Return when it has ended."""
        await asyncio.shield(self._ended)

    def exit(self) -> Exit:
        """How it ended."""
        self._host.seen(self.incarnation)
        return self._ended.result()


class SharedHost:
    """One shared process and the connection to it, which comes back when it breaks."""

    def __init__(
        self, record: HostRecord, control: Path, exit_of: ExitOf, on_report: OnReport
    ) -> None:
        self.record = record
        self._on_report = on_report
        self.heard_at = time.monotonic()
        self._control = control
        self._exit_of = exit_of
        self._ends: dict[str, asyncio.Future[Exit]] = {}
        self._started: dict[str, asyncio.Future[None]] = {}
        self._running: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._writer: asyncio.StreamWriter | None = None
        self._unsent: list[Order] = []
        self.ended = asyncio.Event()
        self.empty_since: float | None = None
        self._tasks = [
            asyncio.create_task(self._talk(), name=f"shared {record.id}"),
            asyncio.create_task(self._watch(), name=f"shared {record.id} lives"),
        ]

    @property
    def pid(self) -> int:
        """The pid of the process."""
        return self.record.pid

    @property
    def agents(self) -> int:
        """How many agents it holds."""
        return len(self._ends)

    def alive(self) -> bool:
        """True while the process runs."""
        return same_process(self.record.pid, self.record.started)

    async def running(self) -> list[str]:
        """Which agents it runs, as it told when it was connected to."""
        async with asyncio.timeout(_OPEN_DEADLINE_S):
            return await asyncio.shield(self._running)

    def end_of(self, incarnation: str) -> asyncio.Future[Exit]:
        """Done when that agent ends, with how it did."""
        found = self._ends.get(incarnation)
        if found is None:
            found = self._ends[incarnation] = asyncio.get_running_loop().create_future()
            if self.ended.is_set():
                found.set_result(Exit(None, None))
        return found

    async def start(self, job: SpawnJob) -> None:
        """Have it start an agent. Raises SparkplugError when it ends, TimeoutError."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started[job.incarnation] = started
        ended = self.end_of(job.incarnation)
        try:
            self.send(Order(kind="start", incarnation=job.incarnation, job=job))
            async with asyncio.timeout(_START_DEADLINE_S):
                futures: set[asyncio.Future[Any]] = {started, ended}
                await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self.kill(job.incarnation)
            raise
        finally:
            self._started.pop(job.incarnation, None)
        if not started.done():
            reason = ended.result().describe()
            self.seen(job.incarnation)
            raise SparkplugError(f"the shared process did not start it: {reason}")

    async def end_unknown(self, incarnations: list[str]) -> None:
        """End agents that were begun by a daemon that ended before it wrote them down.

        They are gone when it returns, so that nobody is begun beside them: those that do not
        let go end with their process.
        """
        ends = [self.end_of(incarnation) for incarnation in incarnations]
        for incarnation in incarnations:
            self.kill(incarnation)
        if ends:
            await asyncio.wait(ends, timeout=2 * _STUCK_S)
        for incarnation in incarnations:
            self.seen(incarnation)

    def send(self, order: Order) -> None:
        """Send an order; it is kept while there is no connection."""
        if self._writer is None or self._writer.is_closing():
            self._unsent.append(order)
        else:
            self._writer.write(order.model_dump_json().encode() + b"\n")

    def kill(self, incarnation: str) -> None:
        """End an agent at once; the process itself, when it does not even do that."""
        self.send(Order(kind="kill", incarnation=incarnation))
        asyncio.get_running_loop().call_later(_STUCK_S, self._kill_if_stuck, incarnation)

    def _kill_if_stuck(self, incarnation: str) -> None:
        end = self._ends.get(incarnation)
        if end is not None and not end.done() and self.alive():
            log.warning("shared process %s is stuck: it is killed", self.record.id)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.record.pid, signal.SIGKILL)

    def seen(self, incarnation: str) -> None:
        """An agent's end was seen: both sides forget it."""
        self._ends.pop(incarnation, None)
        if not self.ended.is_set():
            self.send(Order(kind="seen", incarnation=incarnation))
        if not self._ends:
            self.empty_since = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Leave it running, for the next daemon."""
        await end(*self._tasks)

    async def _talk(self) -> None:
        while not self.ended.is_set():
            try:
                link = socket_at(self._control, listen=False)
            except OSError:
                # It does not listen yet, or not any more.
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            reader, self._writer = await asyncio.open_unix_connection(sock=link, limit=LINE_LIMIT)
            try:
                await self._listen(reader)
            except (ConnectionError, ValidationError, ValueError) as error:
                log.warning("shared process %s: %s", self.record.id, error)
            finally:
                self._writer.close()
                self._writer = None
            await asyncio.sleep(_AGAIN_S)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        unsent, self._unsent = self._unsent, []
        for order in unsent:
            self.send(order)
        while line := await reader.readline():
            word = Word.model_validate_json(line)
            if word.kind == "running":
                self._take_running(word.running)
            elif word.kind == "started":
                started = self._started.get(word.incarnation)
                if started is not None and not started.done():
                    started.set_result(None)
            elif word.kind == "pulse":
                self.heard_at = time.monotonic()
                for report in word.reports:
                    self._on_report(report)
            else:
                self._take_end(word)

    def _take_running(self, running: list[str]) -> None:
        if not self._running.done():
            self._running.set_result(running)

    def _take_end(self, word: Word) -> None:
        found = self._ends.get(word.incarnation)
        if found is None:
            # Nobody waits for it: an earlier daemon's, which is started anew.
            self.send(Order(kind="seen", incarnation=word.incarnation))
        elif not found.done():
            found.set_result(Exit(word.status, word.reason))

    async def _watch(self) -> None:
        await wait_process(self.record.pid, self.alive)
        how = await self._exit_of(self.record.pid)
        self.ended.set()
        if not self._running.done():
            self._running.set_result([])
        why = f"its shared process: {how.describe()}"
        for found in list(self._ends.values()):
            if not found.done():
                # For the agent it is a crash, whatever it was for the process.
                found.set_result(Exit(1 << 8, why))
