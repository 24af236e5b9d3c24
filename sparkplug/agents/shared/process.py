"""The shared process: starts and stops agents on its node's orders, and tells how they end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import resource
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from sparkplug.agents import forked
from sparkplug.agents.cancelling import CodeExitError
from sparkplug.agents.exits import EXIT_MISCONFIGURED
from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.shared import output, steps
from sparkplug.agents.shared.control import LINE_LIMIT, Order, Word, socket_at
from sparkplug.agents.shared.packed import PackedAgent
from sparkplug.agents.shared.steps import Steps
from sparkplug.agents.stalls import StallWatch
from sparkplug.schema.errors import InvalidError, SparkplugError

log = logging.getLogger("sparkplug.shared")

_PULSE_S = 1.0
#: A process that no node speaks to and that runs nothing ends after this long.
_ALONE_S = 60.0
#: An agent that is killed and does not end by then is left to itself, off the bus.
_KILL_S = 2.0


@dataclass(slots=True)
class _Unit:
    job: SpawnJob
    agent: PackedAgent
    log: TextIO
    task: asyncio.Task[None] | None = None
    lock: int = -1
    killed: bool = False
    exit: list[object] = field(default_factory=list)


class SharedProcess:
    """Runs the agents it is told to, each in a context of its own."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._units: dict[str, _Unit] = {}
        self._ends: dict[str, Word] = {}
        self._node: asyncio.StreamWriter | None = None
        self._ended = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until told to end, or until there is nobody and nothing left to serve."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_all)
        listening = socket_at(self._control, listen=True)
        server = await asyncio.start_unix_server(self._serve, sock=listening, limit=LINE_LIMIT)
        pulse = asyncio.create_task(self._beat(), name="pulse")
        try:
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ALONE_S):
                        await self._ended.wait()
                if self._node is None and not self._units:
                    return
        finally:
            pulse.cancel()
            server.close()
            self._control.unlink(missing_ok=True)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_PULSE_S)
            self._pulse(all_of_it=False)

    def _pulse(self, *, all_of_it: bool) -> None:
        if self._node is None:
            return
        news = (unit.agent.news(all_of_it=all_of_it) for unit in self._units.values())
        self._tell(Word(kind="pulse", reports=[report for report in news if report is not None]))

    def _stop_all(self) -> None:
        """The process was told to end: all its agents are, and may finish what they have."""
        for unit in self._units.values():
            unit.agent.stop()
        self._end_when_empty()

    def _end_when_empty(self) -> None:
        if not self._units:
            self._ended.set()
            return

        async def wait() -> None:
            tasks = [unit.task for unit in self._units.values() if unit.task]
            await asyncio.gather(*tasks, return_exceptions=True)
            self._ended.set()

        self._waiting = asyncio.create_task(wait())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Follow the orders of a node. The newest connection is the one that is told."""
        self._node = writer
        self._tell(Word(kind="running", running=list(self._units)))
        for word in self._ends.values():
            self._tell(word)
        self._pulse(all_of_it=True)
        try:
            while line := await reader.readline():
                try:
                    self._follow(Order.model_validate_json(line))
                except ValidationError as error:
                    log.warning("an order that does not hold: %s", error)
        except (ConnectionError, ValueError) as error:
            log.warning("the node: %s", error)
        finally:
            if self._node is writer:
                self._node = None
            writer.close()

    def _follow(self, order: Order) -> None:
        unit = self._units.get(order.incarnation)
        match order.kind:
            case "start" if order.job is not None and unit is None:
                self._start(order.job)
            case "stop" if unit is not None:
                unit.agent.stop()
            case "kill" if unit is not None:
                self._kill(unit)
            case "seen":
                self._ends.pop(order.incarnation, None)
            case "end":
                self._stop_all()
            case _:
                log.debug("an order for one that is not here: %s", order.kind)

    def _start(self, job: SpawnJob) -> None:
        name = f"{job.agent}/{job.replica}"
        try:
            # Closed when the agent ends.
            file = Path(job.log).open("a", buffering=1, errors="replace")  # noqa: SIM115
        except OSError as error:
            self._note_end(job.incarnation, 1 << 8, f"its log cannot be written: {error.strerror}")
            return
        counted = Steps(name, lambda code: self._exit(job.incarnation, code))
        unit = _Unit(job, PackedAgent(job, counted), file)
        context = contextvars.copy_context()
        context.run(output.write_to, file)
        context.run(steps.count_in, counted)
        self._units[job.incarnation] = unit
        unit.task = asyncio.get_running_loop().create_task(
            self._live(unit), name=f"agent {name}", context=context
        )
        self._tell(Word(kind="started", incarnation=job.incarnation))

    async def _live(self, unit: _Unit) -> None:
        status, reason = 0, None
        try:
            if unit.job.record:
                # It syncs to the disk, and its neighbours do not wait for that.
                unit.lock = await asyncio.to_thread(forked.hold_replica, unit.job)
            await unit.agent.run()
        except asyncio.CancelledError:
            status = signal.SIGKILL if unit.killed else 1 << 8
        except SystemExit as error:
            unit.exit.append(error.code)
        except SparkplugError as error:
            log.error("%s", error)
            code = EXIT_MISCONFIGURED if isinstance(error, InvalidError) else 1
            status, reason = code << 8, str(error)
        except Exception as error:
            log.exception("the agent ends")
            status, reason = 1 << 8, f"{type(error).__name__}: {error}"
        if unit.exit:
            status, reason = _status_of(unit.exit[0])
        self._over(unit, status, reason)

    def _over(self, unit: _Unit, status: int, reason: str | None) -> None:
        if self._units.pop(unit.job.incarnation, None) is None:
            return
        unit.log.close()
        if unit.lock >= 0:
            os.close(unit.lock)
        self._note_end(unit.job.incarnation, status, reason)

    def _note_end(self, incarnation: str, status: int, reason: str | None) -> None:
        word = Word(kind="ended", incarnation=incarnation, status=status, reason=reason)
        self._ends[incarnation] = word
        self._tell(word)

    def _exit(self, incarnation: str, code: object) -> None:
        """An agent called `sys.exit`: it ends, and nobody else."""
        unit = self._units.get(incarnation)
        if unit is not None and unit.task is not None:
            unit.exit.append(code)
            unit.task.cancel()

    def _kill(self, unit: _Unit) -> None:
        """End an agent that did not end when it was asked to."""
        if unit.killed or unit.task is None:
            return
        unit.killed = True
        unit.task.cancel()
        asyncio.get_running_loop().call_later(_KILL_S, self._abandon, unit)

    def _abandon(self, unit: _Unit) -> None:
        """Give an agent up that goes on though it was cancelled: nobody can reach it any more."""
        if unit.job.incarnation in self._units:
            leaving = asyncio.create_task(unit.agent.abandon())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            self._over(unit, int(signal.SIGKILL), "it took no notice of being ended")

    def _tell(self, word: Word) -> None:
        if self._node is not None and not self._node.is_closing():
            self._node.write(word.model_dump_json().encode() + b"\n")


def _status_of(code: object) -> tuple[int, str | None]:
    """The wait status that `sys.exit(code)` gives a process, and the reason it may be."""
    called = CodeExitError(code)
    return called.number << 8, called.message if called.number else None


def serve(job: SpawnJob) -> None:
    """Be the shared process that `job.control` names, until it ends."""
    # A log, a lock and a connection for each agent.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    output.route()
    forked.log_to(sys.stderr)
    steps.install()
    asyncio.run(_watched(job))


async def _watched(job: SpawnJob) -> None:
    """Run, and tell the node when the loop that all agents share does not turn."""
    with contextlib.ExitStack() as stack:
        if job.stalls and job.health.stall:
            stack.enter_context(StallWatch(Path(job.stalls), job.health.stall))
        await SharedProcess(Path(job.control)).run()
