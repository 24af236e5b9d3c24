"""The shared processes of a node: which agents go into which, begun, taken over and ended.

Agents whose files lie in one folder and that ask for the same interpreter, runtime and
environment may share a process: working directory, modules and environment are a process's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import secrets
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import ValidationError

from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.shared.control import Order
from sparkplug.node import run_files
from sparkplug.node.records import ProcessRecord
from sparkplug.node.shared_host import ExitOf, HostRecord, OnReport, PackedRecord, SharedHost
from sparkplug.processes import same_process, start_time

log = logging.getLogger(__name__)

#: A process that runs nothing is kept for the next agent so many seconds.
_EMPTY_S = 5.0

#: Forks a process for a job and returns its pid.
Spawn = Callable[[SpawnJob], Awaitable[int]]


class SharedHosts:
    """All shared processes of a node."""

    def __init__(self, run: Path, limit: int, exit_of: ExitOf, on_report: OnReport) -> None:
        self._folder = run / "shared"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._limit = limit
        self._exit_of = exit_of
        self._on_report = on_report
        self._hosts: dict[str, SharedHost] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def agents_in(self, host: str) -> int:
        """How many agents are in a shared process."""
        found = self._hosts.get(host)
        return found.agents if found else 0

    def pids(self) -> dict[str, int]:
        """The pid of each shared process by its id."""
        return {host.record.id: host.pid for host in self._hosts.values()}

    async def find_left(self, records: list[ProcessRecord]) -> list[PackedRecord]:
        """Take over what an earlier daemon left: the agents among `records` that still run."""
        for path in await asyncio.to_thread(lambda: sorted(self._folder.glob("*.json"))):
            try:
                record = HostRecord.model_validate(run_files.read(path))
            except ValidationError as error:
                log.warning("%s is left out: %s", path, error)
                continue
            if same_process(record.pid, record.started):
                self._take(record)
            else:
                self._forget_files(record.id)
        found = []
        wanted = {record.incarnation: record for record in records}
        for host in self._hosts.values():
            try:
                running = await host.running()
            except TimeoutError:
                # It is stuck, and nobody could be stopped in it.
                log.warning("shared process %s does not answer: it is killed", host.record.id)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(host.pid, signal.SIGKILL)
                continue
            unknown = [one for one in running if one not in wanted]
            found += [PackedRecord.of(wanted[one], host) for one in running if one in wanted]
            await host.end_unknown(unknown)
            if not running:
                host.empty_since = asyncio.get_running_loop().time()
        return found

    async def start(self, interpreter: str, job: SpawnJob, spawn: Spawn) -> PackedRecord:
        """Start an agent in a process that has room, or in a fresh one.

        Raises what `spawn` raises, SparkplugError and TimeoutError.
        """
        shared = [interpreter, job.runtime, job.folder, job.env, job.lease]
        key = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()
        job.incarnation = secrets.token_hex(8)
        async with self._locks.setdefault(key, asyncio.Lock()):
            host = self._with_room(key) or await self._begin(key, job, spawn)
            host.end_of(job.incarnation)  # its place is taken
            host.empty_since = None
        job.recorded |= {"shared": host.record.id, "incarnation": job.incarnation}
        await host.start(job)
        record = ProcessRecord(pid=host.pid, started=host.record.started, **job.recorded)
        return PackedRecord.of(record, host)

    def _with_room(self, key: str) -> SharedHost | None:
        """The fullest process of that kind that takes one more."""
        fitting = [
            host
            for host in self._hosts.values()
            if host.record.key == key and not host.ended.is_set() and host.agents < self._limit
        ]
        return max(fitting, key=lambda host: host.agents, default=None)

    async def _begin(self, key: str, job: SpawnJob, spawn: Spawn) -> SharedHost:
        number = secrets.token_hex(4)
        own = job.model_copy(
            update={
                "control": str(self._control(number)),
                "incarnation": "",
                "log": str(Path(job.log).with_name(f"_shared.{number}.log")),
                "record": "",
                "recorded": {},
                "jwt": "",
                "seed": "",
            }
        )
        pid = await spawn(own)
        record = HostRecord(id=number, key=key, pid=pid, started=start_time(pid) or 0.0)
        path = self._folder / f"{number}.json"
        await asyncio.to_thread(run_files.write, path, record.model_dump(mode="json"))
        return self._take(record)

    def _take(self, record: HostRecord) -> SharedHost:
        host = SharedHost(record, self._control(record.id), self._exit_of, self._on_report)
        self._hosts[record.id] = host
        return host

    def _control(self, number: str) -> Path:
        return self._folder / f"{number}.sock"

    def _forget_files(self, number: str) -> None:
        (self._folder / f"{number}.json").unlink(missing_ok=True)
        self._control(number).unlink(missing_ok=True)

    async def tidy(self, logs: Path, *, empty_s: float = _EMPTY_S) -> None:
        """Forget the processes that ended, and end those that have been empty for a while."""
        now = asyncio.get_running_loop().time()
        for number, host in list(self._hosts.items()):
            if host.ended.is_set():
                if host.agents == 0:
                    del self._hosts[number]
                    await host.close()
                    self._forget_files(number)
                    _remove_logs(logs, number)
            elif host.empty_since is not None and now - host.empty_since >= empty_s:
                host.send(Order(kind="end"))
        for key, lock in list(self._locks.items()):
            in_use = any(host.record.key == key for host in self._hosts.values())
            if not in_use and not lock.locked():
                del self._locks[key]

    async def stop(self, logs: Path, deadline: float) -> None:
        """End all processes: their agents have ended."""
        for host in self._hosts.values():
            host.send(Order(kind="end"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                for host in self._hosts.values():
                    await host.ended.wait()
        for host in self._hosts.values():
            if not host.ended.is_set():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(host.pid, signal.SIGKILL)
        await self.tidy(logs)

    async def leave(self) -> None:
        """Leave the processes running, for the next daemon to take over."""
        for host in self._hosts.values():
            await host.close()


def _remove_logs(logs: Path, number: str) -> None:
    for path in logs.glob(f"_shared.{number}.log*"):
        path.unlink(missing_ok=True)
