"""What the kernel counts of processors, memory and paging, read once for each sample.

Sources: proc(5), /proc/stat, /proc/meminfo and /proc/vmstat.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from sparkplug.schema.host import Memory

_PIECE = 64 << 10
_KINDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_VMSTAT = (b"pswpin", b"pswpout", b"oom_kill")


@dataclass(frozen=True)
class Counters:
    """The counters that rates are made of, and when (monotonic seconds) they were read.

    `cpu` are the ticks of all processors by kind, `cores` busy and all ticks of each.
    """

    at: float
    cpu: dict[str, int]
    cores: dict[str, tuple[int, int]]
    vmstat: dict[str, int]


def read_whole(path: str) -> bytes:
    """A file of the kernel's, which gives itself in pieces. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.read(descriptor, _PIECE)
        while piece := os.read(descriptor, _PIECE):
            found += piece
    finally:
        os.close(descriptor)
    return found


def read_counters() -> Counters:
    """The counters now."""
    cpu, cores = _processors(read_whole("/proc/stat"))
    return Counters(time.monotonic(), cpu, cores, _paging(read_whole("/proc/vmstat")))


def _processors(text: bytes) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """Ticks of all processors by kind; of each, those it was busy and all of them.

    Idle is idle and waiting for I/O. Guests' times are within those of user and nice, and are
    not counted twice. Old kernels tell fewer kinds.
    """
    whole: dict[str, int] = {}
    cores: dict[str, tuple[int, int]] = {}
    # Interrupts come after the processors, in a line of many kilobytes.
    for line in text[: text.find(b"\nintr")].split(b"\n"):
        name, *fields = line.split()
        if not name.startswith(b"cpu"):
            break
        ticks = [int(field) for field in fields[: len(_KINDS)]]
        if name == b"cpu":
            whole = dict(zip(_KINDS, ticks, strict=False))
        else:
            every = sum(ticks)
            cores[name.decode()] = (every - sum(ticks[3:5]), every)
    return whole, cores


def _paging(text: bytes) -> dict[str, int]:
    found = {}
    text = b"\n" + text
    for name in _VMSTAT:
        at = text.find(b"\n" + name + b" ")
        if at >= 0:
            begin = at + len(name) + 2
            found[name.decode()] = int(text[begin : text.find(b"\n", begin)])
    return found


def read_memory(path: str = "/proc/meminfo") -> tuple[Memory, int, int]:
    """The memory of the host, and all and used bytes of its swap."""
    values: dict[bytes, int] = {}
    for line in read_whole(path).split(b"\n"):
        name, _, rest = line.partition(b":")
        number = rest.split()
        if number:
            values[name] = int(number[0]) * 1024
    free, buffers = values.get(b"MemFree", 0), values.get(b"Buffers", 0)
    # The kernel gives back what it keeps of file systems when it must.
    cached = values.get(b"Cached", 0) + values.get(b"SReclaimable", 0)
    swap = values.get(b"SwapTotal", 0)
    memory = Memory(
        total_bytes=values.get(b"MemTotal", 0),
        # Kernels before 3.14 do not tell it.
        available_bytes=values.get(b"MemAvailable", free + buffers + cached),
        free_bytes=free,
        cached_bytes=cached,
        buffers_bytes=buffers,
        shared_bytes=values.get(b"Shmem", 0),
    )
    return memory, swap, swap - values.get(b"SwapFree", 0)


def cpu_shares(before: dict[str, int], now: dict[str, int]) -> dict[str, float]:
    """Percent of all processors' time spent busy, in user, in system, waiting and stolen.

    From two readings of ticks by kind; iowait may go backwards and is then 0.
    """
    spent = {kind: max(now[kind] - before.get(kind, 0), 0) for kind in now}
    total = sum(spent.values())
    if total <= 0:
        spent, total = dict.fromkeys(spent, 0), 1
    percent = {kind: 100.0 * value / total for kind, value in spent.items()}
    system = sum(percent.get(kind, 0.0) for kind in ("system", "irq", "softirq"))
    user = percent.get("user", 0.0) + percent.get("nice", 0.0)
    # Stolen time is time this host had work for and was not given: neither busy nor idle.
    shares = {"busy": min(user + system, 100.0), "user": user, "system": system}
    shares |= {kind: percent[kind] for kind in ("iowait", "steal") if kind in percent}
    return {kind: round(value, 2) for kind, value in shares.items()}


def core_shares(before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]]) -> list[float]:
    """Percent busy of each core that is on, in order, from its busy and its whole ticks."""
    shares = []
    for name, (busy, whole) in now.items():
        old_busy, old_whole = before.get(name, (busy, whole))
        spent = whole - old_whole
        share = 100.0 * (busy - old_busy) / spent if spent > 0 else 0.0
        shares.append(round(min(max(share, 0.0), 100.0), 1))
    return shares
