"""The process table of this host."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sparkplug.schema.host import Process
from sparkplug.telemetry.process_states import process_ids, read_stat, stat_fields

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: The kernel keeps command lines up to 128 KiB and more; a table shows the beginning.
COMMAND_BYTES = 1024
CONTROL_GROUP_BYTES = 8192
#: Of a command line in a sample that is published every second.
_SHORT = 120


class ProcessTable:
    """Reads the table; CPU shares are over the time since the reading before.

    A process not seen before gets the share over its whole life, as ps(1) counts it.
    Blocking, and /proc/PID/cmdline can hang behind a process stuck in a driver: call it in a
    thread with a deadline.
    """

    def __init__(self, owner_of: Callable[[int], str | None] = lambda pid: None) -> None:
        self._owner_of = owner_of
        self._before: dict[tuple[int, int], int] = {}
        self._read_at: float | None = None
        self._booted = _boot_time()

    def read(self) -> list[Process]:
        """Every process now, in the order of pids."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        elapsed = now - self._read_at if self._read_at is not None else 0.0
        used: dict[tuple[int, int], int] = {}
        table: list[Process] = []
        for pid in sorted(process_ids(), key=int):
            text = read_stat(pid)
            parsed = stat_fields(text) if text else None
            if parsed is None or len(parsed[1]) < 22:
                continue
            name, fields = parsed
            key = (int(pid), int(fields[19]))
            ticks = int(fields[11]) + int(fields[12])
            used[key] = ticks
            age = max(now - key[1] / _TICKS, 1 / _TICKS)
            if key in self._before and elapsed > 0:
                share = (ticks - self._before[key]) / _TICKS / elapsed
            else:
                share = ticks / _TICKS / age
            table.append(
                Process(
                    pid=key[0],
                    ppid=int(fields[1]),
                    name=name.decode(errors="replace"),
                    state=fields[0].decode(),
                    user=_user(pid),
                    cpu_percent=round(max(share, 0.0) * 100, 1),
                    rss_bytes=max(int(fields[21]), 0) * _PAGE,
                    nice=int(fields[16]),
                    started=datetime.fromtimestamp(self._booted + key[1] / _TICKS, UTC),
                    command=_command(pid) or f"[{name.decode(errors='replace')}]",
                    control_group=_control_group(pid),
                    agent=self._owner_of(key[0]),
                )
            )
        self._before, self._read_at = used, now
        return table


class Describer:
    """Describes the busiest processes; the command line of each is read once.

    Not while it waits for a device: what reads the memory of one that is stuck in a driver is
    stuck with it.
    """

    def __init__(self) -> None:
        self._commands: dict[tuple[str, bytes], str] = {}

    def of(self, shares: Iterable[tuple[str, float]]) -> list[Process]:
        """Those of the pids that live still, each with the CPU percent it is given."""
        found = []
        before, self._commands = self._commands, {}
        for pid, share in shares:
            text = read_stat(pid)
            parsed = stat_fields(text) if text else None
            if parsed is None or len(parsed[1]) < 22:
                continue
            name, fields = parsed
            mark = (pid, fields[19])
            command = before.get(mark, "")
            if not command and fields[0] != b"D":
                command = _command(pid)[:_SHORT]
            if command:
                self._commands[mark] = command
            found.append(
                Process(
                    pid=int(pid),
                    ppid=int(fields[1]),
                    name=name.decode(errors="replace"),
                    state=fields[0].decode(),
                    user=_user(pid),
                    cpu_percent=share,
                    rss_bytes=max(int(fields[21]), 0) * _PAGE,
                    nice=int(fields[16]),
                    started=datetime.fromtimestamp(_boot_time() + int(fields[19]) / _TICKS, UTC),
                    command=command or f"[{name.decode(errors='replace')}]",
                )
            )
        return found


@cache
def _boot_time() -> float:
    """When the host booted, in seconds since the epoch (proc(5), /proc/stat btime)."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _user(pid: str) -> str | None:
    try:
        return _user_name(os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116 - hot path
    except OSError:
        return None


@cache
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _control_group(pid: str) -> str | None:
    """The group whose memory limit binds it (cgroups(7), /proc/pid/cgroup): v1's, else v2's."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb", buffering=0) as file:  # noqa: PTH123 - hot path
            lines = (file.read(CONTROL_GROUP_BYTES) or b"").decode(errors="replace").splitlines()
    except OSError:
        return None
    unified = None
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            return path
        if number == "0" and not controllers:
            unified = path
    return unified


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123 - hot path
            raw = file.read(COMMAND_BYTES) or b""
    except OSError:
        return ""
    return raw.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace").strip()
