"""Operating-system processes: pid and start time together name one for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import psutil

#: The kernel counts start times in ticks of 10 ms.
_SAME_START_S = 0.05
_ASK_EVERY_S = 0.2


def start_time(pid: int) -> float | None:
    """When a process started (seconds since the epoch), None when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def same_process(pid: int, started: float) -> bool:
    """True while the process `pid` that started at `started` runs, and is no zombie."""
    try:
        process = psutil.Process(pid)
        return (
            abs(process.create_time() - started) < _SAME_START_S
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def identity(pid: int) -> str:
    """What names a process for ever: its pid and the kernel tick it started at; "" when gone.

    Unlike a start time it does not move when the clock is set. Source: proc_pid_stat(5), field 22.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return f"{pid}-{stat.rpartition(b')')[2].split()[19].decode()}"


def exists(pid: int) -> bool:
    """True while any process of that pid runs, and is no zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


async def wait_process(pid: int, alive: Callable[[], bool]) -> None:
    """Return when the process has ended. `alive` is asked where pidfds are not offered."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        while alive():
            await asyncio.sleep(_ASK_EVERY_S)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
