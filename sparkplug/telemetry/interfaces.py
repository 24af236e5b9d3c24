"""Network interfaces and whole disks: what goes through each, from counters of the kernel.

Sources: Linux Documentation/ABI/testing/sysfs-class-net, Documentation/admin-guide/iostats.rst.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from sparkplug.schema.host import BlockDevice, Interface, Network
from sparkplug.telemetry.counters import read_whole

#: Of one host; one with a thousand containers has a thousand more, which nobody looks at.
_INTERFACES = 32
_DEVICES = 64
_SECTOR = 512
#: Interfaces of containers and virtual machines: what they carry is in a real one's count too.
_VIRTUAL = ("veth", "docker", "br-", "virbr", "cali", "cni", "flannel", "tap", "vnet", "lxc")


@dataclass(frozen=True)
class _Counted:
    at: float
    counts: dict[str, tuple[int, ...]]
    #: Bytes received and sent by all of them, those that are not told apart too.
    whole: tuple[int, int] = (0, 0)


class InterfaceTable:
    """Rates since the reading before; loopback is left out."""

    def __init__(self, path: str = "/proc/net/dev", sysfs: str = "/sys/class/net") -> None:
        self._path, self._sysfs = path, Path(sysfs)
        self._facts: dict[str, tuple[float, bool | None, float | None]] = {}
        self._before = self._count()

    def read(self) -> tuple[list[Interface], Network]:
        """The interfaces now, and what goes through all there are."""
        before, now = self._before, self._count()
        self._before = now
        seconds = max(now.at - before.at, 1e-3)
        found = []
        for name, counts in now.counts.items():
            old = before.counts.get(name, counts)
            up, speed = self._fact(name, now.at)
            found.append(
                Interface(
                    name=name,
                    up=up,
                    speed_bits_per_second=speed,
                    receive_bytes_per_second=round(max(counts[0] - old[0], 0) / seconds, 1),
                    transmit_bytes_per_second=round(max(counts[1] - old[1], 0) / seconds, 1),
                    errors=counts[2],
                    drops=counts[3],
                )
            )
        received, sent = (max(n - o, 0) for n, o in zip(now.whole, before.whole, strict=True))
        return found, Network(
            receive_bytes_per_second=received / seconds, transmit_bytes_per_second=sent / seconds
        )

    def _count(self) -> _Counted:
        counts: dict[str, tuple[int, ...]] = {}
        received = sent = 0
        for line in read_whole(self._path).decode(errors="replace").splitlines()[2:]:
            name, _, rest = line.partition(":")
            name, fields = name.strip(), rest.split()
            if name == "lo" or len(fields) < 16:
                continue
            received += int(fields[0])
            sent += int(fields[8])
            if len(counts) < _INTERFACES and not name.startswith(_VIRTUAL):
                v = [int(field) for field in fields[:16]]
                counts[name] = (v[0], v[8], v[2] + v[10], v[3] + v[11])
        return _Counted(time.monotonic(), counts, (received, sent))

    def _fact(self, name: str, now: float) -> tuple[bool | None, float | None]:
        """Whether it is up, and its speed: asking a driver for these may take a while."""
        known = self._facts.get(name)
        if known is None or now - known[0] > 10.0:
            state = _word(self._sysfs / name / "operstate")
            speed = _word(self._sysfs / name / "speed")
            up = {"up": True, "down": False}.get(state or "")
            bits = float(speed) * 1e6 if speed and speed.isdigit() and speed != "0" else None
            known = self._facts[name] = (now, up, bits)
        return known[1], known[2]


class BlockTable:
    """Whole disks; rates and the share of time at work since the reading before."""

    def __init__(self, path: str = "/proc/diskstats", sysfs: str = "/sys/block") -> None:
        self._path, self._sysfs = path, sysfs
        self._before = self._count()

    def read(self) -> list[BlockDevice]:
        """The disks now."""
        before, now = self._before, self._count()
        self._before = now
        seconds = max(now.at - before.at, 1e-3)
        found = []
        for name, counts in now.counts.items():
            old = before.counts.get(name, counts)
            read, written, busy = (max(n - o, 0) for n, o in zip(counts, old, strict=True))
            found.append(
                BlockDevice(
                    name=name,
                    read_bytes_per_second=round(read * _SECTOR / seconds, 1),
                    write_bytes_per_second=round(written * _SECTOR / seconds, 1),
                    busy_percent=round(min(busy / 10 / seconds, 100.0), 1),
                )
            )
        return found

    def _count(self) -> _Counted:
        try:
            lines = read_whole(self._path).decode(errors="replace").splitlines()
            whole = set(os.listdir(self._sysfs))  # noqa: PTH208 - hot path
        except OSError:
            return _Counted(time.monotonic(), {})  # a container that is shown no disks
        counts: dict[str, tuple[int, ...]] = {}
        for line in lines:
            fields = line.split()
            if len(fields) < 14 or fields[2] not in whole or len(counts) >= _DEVICES:
                continue
            # Loops and RAM disks are files and memory; what goes to them goes to a disk, or not.
            if fields[2].startswith(("loop", "ram", "zram")) or fields[3] == fields[7] == "0":
                continue
            counts[fields[2]] = (int(fields[5]), int(fields[9]), int(fields[12]))
        return _Counted(time.monotonic(), counts)


def _word(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None  # a virtual interface has no speed to tell
