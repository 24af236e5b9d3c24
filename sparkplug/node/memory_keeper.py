"""Keeping the mesh's memory, on the node that is its home: the lease, and the process behind it.

The record of the home says on whose disk the memory is, so that no other node ever answers for it
out of nothing. The process is started when somebody first asks or has said something: a mesh
that remembers nothing pays nothing. What is asked while it starts waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end, finish
from sparkplug.bus.connection import Bus
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.leases import Lease
from sparkplug.bus.memory import ONCE
from sparkplug.clock import until_next
from sparkplug.memory.moving import read_home, receive
from sparkplug.node.asked import Asked
from sparkplug.paths import Paths
from sparkplug.schema.errors import AskAgainError, ConflictError, SparkplugError
from sparkplug.schema.memory_home import MemoryHome

log = logging.getLogger(__name__)

_TTL_S = 9
_LOOK_S = 1.0
_START_S = 30.0
_STOP_S = 10.0
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_MOST_HELD = 256
#: A process that somebody kills as it starts is started again so often before who waits is told.
_KILLED_STARTS = 3
#: As long as the longest that is waited for an answer: on a busy host a process starts slowly.
_HELD_S = 120.0
_LOG_BYTES = 10 << 20
_ERROR_HEADER = "Sparkplug-Error"


class MemoryKeeper:
    """One node's part in it. `credentials` are those of the process."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        holder: str,
        paths: Paths,
        credentials: Callable[[], Credentials | None],
        *,
        enabled: bool = True,
    ) -> None:
        self._bus = bus
        self._node = node
        self._paths = paths
        self._credentials = credentials
        self._enabled = enabled
        self._lease = Lease(bus, subjects.MEMORY_LEASE, holder, _TTL_S, own=True)
        self._wanted = asyncio.Event()
        self._serving = False
        self._process: asyncio.subprocess.Process | None = None
        self._held: list[tuple[float, Msg]] = []
        self._asked = Asked()
        self._killed = 0

    async def run(self) -> None:
        """Keep it for ever, while this node is its home."""
        while True:
            try:
                if self._enabled and await self._is_home() and await self._lease.acquire():
                    await self._keep()
            except (
                *(TimeoutError, OSError, nats.errors.Error, nats.js.errors.Error),
                SparkplugError,
            ) as error:
                log.warning("the memory: %s", error)
            await asyncio.sleep(_LOOK_S)

    async def _is_home(self) -> bool:
        """Whether the memory is, or is to be, on this node's disk; the first one says so."""
        home, revision = await read_home(self._bus)
        restored = self._paths.memory / "restored"
        if await asyncio.to_thread(restored.exists):
            bucket = Bucket(self._bus, subjects.BUCKET_MESH)
            await bucket.put(subjects.MEMORY_HOME, MemoryHome(node=self._node), revision=revision)
            await asyncio.to_thread(restored.unlink, missing_ok=True)
            return True
        if home is None and revision == 0:
            with contextlib.suppress(ConflictError):
                bucket = Bucket(self._bus, subjects.BUCKET_MESH)
                made = MemoryHome(node=self._node)
                await bucket.put(subjects.MEMORY_HOME, made, revision=0)
            home, _ = await read_home(self._bus)
        return home is not None and home.node == self._node

    async def _keep(self) -> None:
        """Hold the lease; have the process run from when it is wanted until the home is another."""
        home, _ = await read_home(self._bus)
        if home is not None and home.handover:
            folder = self._paths.memory
            folder.mkdir(mode=0o700, exist_ok=True)
            await receive(self._bus, home, folder / "import.jsonl")
            self._wanted.set()
        calls = await self._bus.nc.subscribe(subjects.MEMORY_CALLS, cb=self._on_call)
        writes = await self._bus.nc.subscribe(subjects.MEMORY_WRITES, cb=self._on_write)
        tasks = [
            asyncio.create_task(self._keep_lease(), name="memory lease"),
            asyncio.create_task(self._keep_process(), name="memory process"),
        ]
        try:
            await self._bus.flush()
            if await self._waiting():
                self._wanted.set()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end(*tasks)
            # What is asked meanwhile is given up by a process that ends: it has to be known here.
            await finish(self._stop_process())
            for subscription in (calls, writes):
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()
            for _, message in self._held:
                self._asked.note(message.subject, message.reply)
            self._held = []
            await self._have_asked_again()
        home, _ = await read_home(self._bus)
        if home is not None and home.node != self._node:
            await asyncio.to_thread(_move_aside, self._paths.memory)
            log.info("the memory is kept by %s now", home.node)
        await self._lease.release()

    async def _keep_lease(self) -> None:
        """Return when the lease is lost, or the memory's home is another node."""
        while self._lease.held:
            await asyncio.sleep(until_next(_TTL_S / 3))
            await self._lease.acquire()
            with contextlib.suppress(TimeoutError, nats.errors.Error, nats.js.errors.Error):
                home, _ = await read_home(self._bus)
                if home is not None and home.node != self._node:
                    return

    async def _waiting(self) -> bool:
        """Whether something was said that nobody has stored."""
        with contextlib.suppress(TimeoutError, nats.errors.Error, nats.js.errors.Error):
            info = await self._bus.js.stream_info(subjects.STREAM_MEMORY)
            return bool(info.state.messages)
        return False

    async def _on_write(self, _: Msg) -> None:
        self._wanted.set()

    async def _on_call(self, message: Msg) -> None:
        now = time.monotonic()
        if not message.reply.startswith("_INBOX."):
            return
        if self._serving:
            if message.subject.split(".")[3] != ONCE:
                self._asked.note(message.subject, message.reply)
            return
        self._wanted.set()
        held = [(at, held) for at, held in self._held if now - at < _HELD_S]
        self._held = [*held, (now, message)][-_MOST_HELD:]
        if len(held) == _MOST_HELD:
            too_many = SparkplugError("more is asked of the memory than can wait while it starts")
            await self._tell(held[0][1].reply, too_many)

    async def _have_asked_again(self) -> None:
        """Tell who may wait for a process that ended to ask again.

        Who has an answer does not listen any more. To hand on what was asked, instead, has all
        of it worked on again and its answers sent again, however large, before what still waits.
        """
        error = AskAgainError(
            "the memory's process ended before it answered", where=f"node {self._node}"
        )
        for reply in self._asked.take():
            await self._tell(reply, error)

    async def _tell(self, reply: str, error: SparkplugError) -> None:
        body = json.dumps(error.as_json()["error"]).encode()
        with contextlib.suppress(nats.errors.Error):
            await self._bus.nc.publish(reply, body, headers={_ERROR_HEADER: error.code})

    async def _keep_process(self) -> None:
        pause = _PAUSE_S
        while True:
            await self._wanted.wait()
            began = time.monotonic()
            try:
                await self._start_process()
                assert self._process is not None
                await self._process.wait()
                log.warning("the memory's process ended (%s)", self._process.returncode)
                await self._stop_process()
            except (SparkplugError, TimeoutError, OSError) as error:
                log.error("the memory does not start: %s", error)
                # What was killed may well start: who waits goes on to.
                self._killed = self._killed + 1 if await self._was_killed() else _KILLED_STARTS
                if self._killed >= _KILLED_STARTS:
                    await self._refuse(error)
                await self._stop_process()
            finally:
                self._serving = False
            await self._have_asked_again()
            settled = time.monotonic() - began > _LONGEST_PAUSE_S
            pause = _PAUSE_S if settled else min(_LONGEST_PAUSE_S, pause * 1.5)
            await asyncio.sleep(pause)
            # In this order: what is said or asked while that is looked up is not overlooked.
            self._wanted.clear()
            if await self._waiting() or self._held:
                self._wanted.set()

    async def _start_process(self) -> None:
        """Start it, and hand on what was asked meanwhile. Raises SparkplugError, TimeoutError."""
        log_path = self._paths.logs / "memory.log"
        if log_path.exists() and log_path.stat().st_size > _LOG_BYTES:
            log_path.replace(log_path.with_suffix(".log.1"))
        with log_path.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sparkplug.memory", "--home", str(self._paths.home)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(self._given()).encode() + b"\n")
        async with asyncio.timeout(_START_S):
            answer = _read(await process.stdout.readline())
        if not answer.get("serving"):
            error = answer.get("error") or {}
            raise SparkplugError(
                str(error.get("message") or "its process ended at once"),
                hint=str(error.get("hint") or f"its log: {log_path}"),
            )
        self._serving = True
        self._killed = 0
        held, self._held = self._held, []
        for _, message in held:
            await self._bus.nc.publish(message.subject, message.data, reply=message.reply)

    async def _was_killed(self) -> bool:
        """Whether the process that was to start was ended by a signal, and none of ours."""
        process = self._process
        if process is None:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S):
                await process.wait()
        return process.returncode is not None and process.returncode < 0

    def _given(self) -> dict[str, Any]:
        credentials = self._credentials()
        return {
            "url": self._bus.url,
            "ca": self._bus.ca,
            "server": str(self._bus.record or ""),
            "jwt": credentials.jwt if credentials else "",
            "seed": credentials.seed if credentials else "",
            "node": self._node,
        }

    async def _refuse(self, error: Exception) -> None:
        """Tell who waits why there is no answer."""
        told = error if isinstance(error, SparkplugError) else SparkplugError("it took too long")
        answer = SparkplugError(
            f"the memory does not start: {told.message}",
            where=f"node {self._node}",
            hint=told.hint or f"its log: {self._paths.logs / 'memory.log'}",
        )
        held, self._held = self._held, []
        for _, message in held:
            await self._tell(message.reply, answer)

    async def _stop_process(self) -> None:
        """End it: it finishes its batch and goes when its stdin closes."""
        process, self._process = self._process, None
        self._serving = False
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await _let_go(process)


async def _let_go(process: asyncio.subprocess.Process) -> None:
    """Close the pipes of a process that ended: its transport goes with the last of them."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_PAUSE_S):
            await process.stdin.wait_closed()
            while await process.stdout.read(1 << 16):
                pass


def _read(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _move_aside(folder: Path) -> None:
    """What was handed over is kept beside, as it was: nothing is deleted by a move."""
    if (folder / "catalogue.db").exists():
        folder.rename(folder.with_name(f"memory.moved-{time.strftime('%Y%m%d-%H%M%S')}"))
