"""How many processes there are and in which states, and which are the busiest."""

from __future__ import annotations

import heapq
import os
import time
from dataclasses import dataclass, field

_TICKS = os.sysconf("SC_CLK_TCK")
#: Of the busiest, so many are told in every sample.
TOP = 8


@dataclass(frozen=True)
class ProcessStates:
    """Counts over all processes of the host, and the pids of the busiest with their CPU percent."""

    total: int
    zombie: int
    blocked: int
    top: list[tuple[str, float]] = field(default_factory=list)


def stat_fields(text: bytes) -> tuple[bytes, list[bytes]] | None:
    """The name and the fields from `state` on of a /proc/PID/stat line (proc(5)).

    The name stands in parentheses and may itself hold blanks and parentheses.
    """
    begin, end = text.find(b"("), text.rfind(b")")
    if begin < 0 or end < begin:
        return None
    return text[begin + 1 : end], text[end + 2 :].split()


def read_stat(pid: str) -> bytes | None:
    """The stat line of a process, or None when it has ended."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 1024)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def process_ids() -> list[str]:
    """The pids of this host's processes."""
    return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - hot path


class ProcessCounter:
    """Counts processes; CPU shares are over the time since the reading before."""

    def __init__(self) -> None:
        self._at = 0.0
        self._ticks: dict[tuple[str, bytes], int] = {}

    def read(self) -> ProcessStates:
        """The counts now, and the busiest."""
        now = time.monotonic()
        elapsed = now - self._at if self._at else 0.0
        total = zombie = blocked = 0
        ticks: dict[tuple[str, bytes], int] = {}
        busy: list[tuple[float, str]] = []
        for pid in process_ids():
            text = read_stat(pid)
            if text is None:
                continue
            total += 1
            fields = text[text.rfind(b")") + 2 :].split(None, 20)
            if len(fields) < 21:
                continue
            zombie += fields[0] == b"Z"
            blocked += fields[0] == b"D"
            used = int(fields[11]) + int(fields[12])
            key = (pid, fields[19])
            ticks[key] = used
            before = self._ticks.get(key)
            if before is not None and used > before and elapsed > 0:
                busy.append((100.0 * (used - before) / _TICKS / elapsed, pid))
        self._ticks, self._at = ticks, now
        top = [(pid, round(share, 1)) for share, pid in heapq.nlargest(TOP, busy)]
        return ProcessStates(total, zombie, blocked, top)
