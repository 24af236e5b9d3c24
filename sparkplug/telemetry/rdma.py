"""Ports of InfiniBand and RoCE adapters, from sysfs.

Source: Linux Documentation/ABI/stable/sysfs-class-infiniband. The data counters count in words of
four bytes.
"""

from __future__ import annotations

import time
from pathlib import Path

from sparkplug.schema.host import RdmaPort

_ERRORS = (
    "symbol_error",
    "port_rcv_errors",
    "port_rcv_remote_physical_errors",
    "port_xmit_discards",
    "local_link_integrity_errors",
    "link_error_recovery",
)
_WORD = 4
_PORTS = 32


class RdmaTable:
    """Reads the ports; rates are since the reading before."""

    def __init__(self, folder: str = "/sys/class/infiniband") -> None:
        self._folder = Path(folder)
        self._before: dict[tuple[str, int], tuple[float, int | None, int | None]] = {}

    def read(self) -> list[RdmaPort]:
        """The ports now; none on a host without such an adapter."""
        found: list[RdmaPort] = []
        try:
            devices = sorted(self._folder.iterdir())
        except OSError:
            return found
        for device in devices:
            for port in sorted((device / "ports").glob("[0-9]*"), key=lambda p: int(p.name)):
                if len(found) < _PORTS:
                    found.append(self._port(device, port))
        return found

    def _port(self, device: Path, port: Path) -> RdmaPort:
        counters = port / "counters"
        now = time.monotonic()
        key = (device.name, int(port.name))
        received = _number(counters / "port_rcv_data")
        sent = _number(counters / "port_xmit_data")
        before = self._before.get(key)
        self._before[key] = (now, received, sent)
        errors = [n for name in _ERRORS if (n := _number(counters / name)) is not None]
        interfaces = sorted(path.name for path in (device / "device" / "net").glob("*"))
        numa = _number(device / "device" / "numa_node")
        return RdmaPort(
            device=device.name,
            port=key[1],
            link=_word(port / "link_layer") or "InfiniBand",
            state=_named(_word(port / "state")) or "unknown",
            physical_state=_named(_word(port / "phys_state")),
            rate=_word(port / "rate"),
            interface=interfaces[0] if interfaces else None,
            numa_node=numa if numa is not None and numa >= 0 else None,
            receive_bytes_per_second=_rate(before, 1, now, received),
            transmit_bytes_per_second=_rate(before, 2, now, sent),
            errors=sum(errors) if errors else None,
            link_downed=_number(counters / "link_downed"),
        )


def _rate(
    before: tuple[float, int | None, int | None] | None, place: int, now: float, count: int | None
) -> float | None:
    if before is None or count is None:
        return None
    old = before[1] if place == 1 else before[2]
    if old is None or count < old:
        return None
    return round((count - old) * _WORD / max(now - before[0], 1e-3), 1)


def _named(text: str | None) -> str | None:
    """The kernel writes a number and a word: `4: ACTIVE`."""
    return text.rpartition(":")[2].strip().lower() or None if text else None


def _number(path: Path) -> int | None:
    word = _word(path)
    try:
        return int(word) if word else None
    except ValueError:
        return None


def _word(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None  # this adapter has no such counter
