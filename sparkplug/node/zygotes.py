"""The zygotes of a node: one per interpreter and runtime family, restarted when they die."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sparkplug.agents.jobs import SECRETS, SpawnJob, ZygoteMessage, credentials_pipe
from sparkplug.clock import until_next
from sparkplug.schema.agent_environment import inherited
from sparkplug.schema.errors import InvalidError, SparkplugError

log = logging.getLogger(__name__)

_READY_DEADLINE_S = 60.0
_SPAWN_DEADLINE_S = 10.0
_LINE_LIMIT = 1 << 20
#: How often one that dies before it could fork is started while somebody waits for it.
_TRIES = 3
#: The longest wait (seconds) before one that keeps dying young is started again.
_LONGEST_WAIT_S = 30.0


class Zygote:
    """One zygote process and the socket to it."""

    def __init__(self, interpreter: str, family: str, log_path: Path, env: dict[str, str]) -> None:
        self.interpreter = interpreter
        self.family = family
        self._log_path = log_path
        self._env = env
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer: asyncio.StreamWriter | None = None
        self._pipes: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.ended = asyncio.Event()
        #: Why it ended.
        self.error: SparkplugError | None = None

    @property
    def pid(self) -> int | None:
        """The zygote's pid, while it runs."""
        return self._process.pid if self._process and not self.ended.is_set() else None

    @property
    def was_ready(self) -> bool:
        """True when its imports succeeded once."""
        return self._ready.done() and self._ready.exception() is None

    async def ready(self) -> None:
        """Return once its imports are done. Raises SparkplugError when they fail."""
        async with asyncio.timeout(_READY_DEADLINE_S):
            await asyncio.shield(self._ready)

    async def start(self) -> None:
        """Start it; `spawn` waits for its imports. Raises InvalidError for no interpreter."""
        ours, theirs = socket.socketpair()
        # A message each, so that a pipe stays with the id of its job.
        pipes, their_pipes = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with self._log_path.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    self.interpreter,
                    "-m",
                    "sparkplug.agents.zygote",
                    str(theirs.fileno()),
                    str(their_pipes.fileno()),
                    self.family,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._env,
                    pass_fds=[theirs.fileno(), their_pipes.fileno()],
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            pipes.close()
            raise InvalidError(
                f"the interpreter cannot be started: {error.strerror}",
                where=self.interpreter,
                hint="`python:` names the interpreter of a virtual environment",
            ) from error
        finally:
            theirs.close()
            their_pipes.close()
        pipes.setblocking(False)
        self._pipes = pipes
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT)
        self._reading = asyncio.create_task(self._read(reader), name=f"zygote {self.family}")

    async def spawn(self, job: SpawnJob) -> int:
        """Fork an agent and return its pid. Raises SparkplugError when the zygote cannot."""
        await self.ready()
        if self._writer is None or self.ended.is_set():
            raise SparkplugError("the zygote has ended", where=self.family)
        job.id = str(next(self._ids))
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[job.id] = future
        try:
            await self._hand_over(job)
            self._writer.write(job.model_dump_json(exclude=set(SECRETS)).encode() + b"\n")
            async with asyncio.timeout(_SPAWN_DEADLINE_S):
                return await future
        finally:
            self._waiting.pop(job.id, None)

    async def _hand_over(self, job: SpawnJob) -> None:
        """Send the pipe of a job's credentials; returns in the step in which it was sent."""
        assert self._pipes is not None
        pipe = credentials_pipe(job)
        try:
            async with asyncio.timeout(_SPAWN_DEADLINE_S):
                while True:
                    try:
                        socket.send_fds(self._pipes, [job.id.encode()], [pipe])
                        return
                    except BlockingIOError:
                        # It is behind with what it was given before.
                        await asyncio.sleep(0.01)
        finally:
            os.close(pipe)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        error: SparkplugError | None = None
        try:
            while line := await reader.readline():
                message = ZygoteMessage.model_validate_json(line)
                if message.kind == "ready":
                    self._ready.set_result(None)
                elif message.kind == "spawned" and message.id in self._waiting:
                    self._waiting[message.id].set_result(message.pid)
                elif message.kind == "failed":
                    error = InvalidError(message.error, where=self.interpreter)
                    if message.id in self._waiting:
                        self._waiting[message.id].set_exception(error)
        except (ConnectionError, ValidationError) as problem:
            log.warning("zygote %s: %s", self.family, problem)
        self._end(error or self._last_words())

    def _end(self, error: SparkplugError) -> None:
        self.error = error
        self.ended.set()
        futures: list[asyncio.Future[Any]] = [self._ready, *self._waiting.values()]
        for future in futures:
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen: nobody may be waiting
        if self._writer is not None:
            self._writer.close()
        if self._pipes is not None:
            self._pipes.close()

    def _last_words(self) -> SparkplugError:
        try:
            lines = self._log_path.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        last = lines[-1] if lines else ""
        if "No module named" in last:
            return InvalidError(
                last.rpartition(": ")[2],
                where=self.interpreter,
                hint="install SparkPlug's core for that interpreter: "
                f"{self.interpreter} -m pip install sparkplug-control",
            )
        return SparkplugError("the zygote ended", where=self.family)

    async def stop(self) -> None:
        """End it; its agents live on."""
        if self._writer is not None:
            self._writer.close()
        if self._pipes is not None:
            self._pipes.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(2):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class ZygotePool:
    """Zygotes by interpreter and family, started when first needed and again when they die."""

    def __init__(self, logs: Path, extra_environment: Mapping[str, str]) -> None:
        self._logs = logs
        #: What every process of the node's is given that is not itself the node.
        self.environment = inherited(os.environ)
        self._env = self.environment | dict(extra_environment)
        self._zygotes: dict[tuple[str, str], Zygote] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        #: How many in a row died before they could fork, and when the next may be started.
        self._died_young: dict[tuple[str, str], tuple[int, float]] = {}

    def pids(self) -> list[int]:
        """The pids of the zygotes that run."""
        return [zygote.pid for zygote in self._zygotes.values() if zygote.pid]

    async def warm(self, interpreter: str, family: str) -> Zygote:
        """The zygote of that kind, started if it is not there."""
        key = (interpreter or sys.executable, family)
        async with self._locks.setdefault(key, asyncio.Lock()):
            zygote = self._zygotes.get(key)
            if zygote is None or zygote.ended.is_set():
                suffix = "" if key[0] == sys.executable else key[0].replace("/", "_")
                zygote = Zygote(
                    key[0], family, self._logs / f"zygote-{family}{suffix}.log", self._env
                )
                await zygote.start()
                self._zygotes[key] = zygote
            return zygote

    async def ready(self, interpreter: str, family: str) -> None:
        """Return once that zygote can fork; one killed before it could is started again.

        Raises SparkplugError when it cannot be: InvalidError when it says why.
        """
        for left in reversed(range(_TRIES)):
            zygote = await self.warm(interpreter, family)
            try:
                await zygote.ready()
            except SparkplugError as error:
                if isinstance(error, InvalidError) or not left:
                    raise
                log.warning("zygote %s is started again: %s", family, error)
            else:
                return

    async def spawn(self, interpreter: str, family: str, job: SpawnJob) -> int:
        """Fork an agent. A zygote that died meanwhile is started again, once."""
        zygote = await self.warm(interpreter, family)
        try:
            return await zygote.spawn(job)
        except (SparkplugError, ConnectionError) as error:
            if isinstance(error, InvalidError) or not zygote.ended.is_set():
                raise
            log.info("zygote %s is started again: %s", family, error)
        return await (await self.warm(interpreter, family)).spawn(job)

    async def keep_alive(self) -> None:
        """Start zygotes again as soon as they die, so that the next agent finds them warm."""
        while True:
            await asyncio.sleep(until_next(0.5))
            for (interpreter, family), zygote in list(self._zygotes.items()):
                if not zygote.ended.is_set():
                    continue
                if isinstance(zygote.error, InvalidError):
                    # It cannot start at all: the next agent that asks is told why.
                    del self._zygotes[interpreter, family]
                    continue
                if not self._may_start((interpreter, family), zygote):
                    continue
                try:
                    await self.warm(interpreter, family)
                except SparkplugError as error:
                    log.warning("zygote %s: %s", family, error)

    def _may_start(self, key: tuple[str, str], dead: Zygote) -> bool:
        """Whether its successor's time has come: at once, later for each that died young."""
        if dead.was_ready:
            self._died_young.pop(key, None)
            return True
        now = asyncio.get_running_loop().time()
        died, not_before = self._died_young.get(key, (0, 0.0))
        if now < not_before:
            return False
        self._died_young[key] = (died + 1, now + min(2.0**died, _LONGEST_WAIT_S))
        return True

    async def stop(self) -> None:
        """End all zygotes."""
        await asyncio.gather(*(zygote.stop() for zygote in self._zygotes.values()))
        for zygote in self._zygotes.values():
            if zygote.pid:
                os.kill(zygote.pid, signal.SIGKILL)
