"""What the driver accounted of processes on a GPU, those that ended too.

Imported by the worker alone. Asked only where accounting mode is on.
Source: NVIDIA, NVML API Reference Guide (Accounting Statistics).
"""

from __future__ import annotations

import time
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.calls import Asker

#: So many are told, those that began last: they travel with every sample.
TOLD = 16
#: A driver keeps 4000, each a call: so many are asked in a round, the rest in the next ones.
ASKED_AT_ONCE = 256
#: What ended stays as it is, but its number may be another's by now.
_KEEP_SECONDS = 600.0
_NOT_TOLD = 0xFFFFFFFF
_NOT_TOLD_BYTES = 0xFFFFFFFFFFFFFFFF
#: A time beyond that (the year 2100, in microseconds) is none.
_LAST_MICROSECONDS = 4_102_444_800_000_000


class AccountingReader:
    """The accounts of one GPU; what is known of a process that ended is not asked again soon."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, dict[str, Any]]] = {}

    def read(self, ask: Asker, handle: Any) -> dict[str, Any]:
        """The fields of schema Gpu about accounting."""
        mode = ask(pynvml.nvmlDeviceGetAccountingMode, handle)
        if not mode:
            self._known.clear()
            on = None if mode is None else False
            return {"accounting": on, "accounting_buffer": None, "accounted": []}
        # The driver forgets the oldest, and all of them when it is told to.
        pids = dict.fromkeys(ask(pynvml.nvmlDeviceGetAccountingPids, handle) or ())
        self._known = {pid: known for pid, known in self._known.items() if pid in pids}
        self._look(ask, handle, list(pids))
        told = sorted(
            (account for _, account in self._known.values()),
            key=lambda account: (account["started"] or 0.0, account["pid"]),
            reverse=True,
        )
        return {
            "accounting": True,
            "accounting_buffer": ask(pynvml.nvmlDeviceGetAccountingBufferSize, handle),
            "accounted": told[:TOLD],
        }

    def _look(self, ask: Asker, handle: Any, pids: list[int]) -> None:
        now = time.monotonic()
        unknown = [pid for pid in pids if pid not in self._known]
        running = [pid for pid, (_, account) in self._known.items() if account["running"]]
        old = [
            pid
            for pid, (at, account) in self._known.items()
            if not account["running"] and now - at >= _KEEP_SECONDS
        ]
        for pid in [*running, *unknown, *old][:ASKED_AT_ONCE]:
            stats = ask(pynvml.nvmlDeviceGetAccountingStats, handle, pid)
            if stats is None:
                self._known.pop(pid, None)
            else:
                self._known[pid] = (now, _account(pid, stats))


def _account(pid: int, stats: Any) -> dict[str, Any]:
    """The fields of schema AccountedProcess. NVML tells no time of a process that runs."""
    running = bool(stats.isRunning)
    began = int(stats.startTime)
    most = stats.maxMemoryUsage
    return {
        "pid": pid,
        "started": began / 1e6 if 0 < began < _LAST_MICROSECONDS else None,
        "seconds": None if running else stats.time / 1e3,
        "utilization_percent": _percent(stats.gpuUtilization),
        "memory_bus_percent": _percent(stats.memoryUtilization),
        "max_memory_bytes": None if most in (None, _NOT_TOLD_BYTES) else int(most),
        "running": running,
    }


def _percent(value: int) -> int | None:
    return None if value == _NOT_TOLD else min(int(value), 100)
