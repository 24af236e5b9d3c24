"""Numbers as a person reads them, and the small plots beside them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sparkplug.tui.cells import Line

#: What stands where a device does not support a metric. Never a zero.
UNSUPPORTED = "n/s"
_BLOCKS = "▁▂▃▄▅▆▇█"


def age(seconds: float) -> str:
    """`8s`, `2m`, `3h`, `5d`: coarser as it grows, so that it seldom changes."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def since(moment: datetime, now: datetime | None = None) -> str:
    """The age of a moment."""
    return age(((now or datetime.now(UTC)) - moment).total_seconds())


def duration(seconds: float) -> str:
    """A measured time: `0.4s`, `12s`, `2m05s`, `1h03m`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def size(count: float | None) -> str:
    """Bytes in binary units, three figures: `61G`, `1.5M`."""
    if count is None:
        return UNSUPPORTED
    value = float(count)
    for unit in ("B", "K", "M", "G", "T"):
        if abs(value) < 1000 or unit == "T":
            return f"{value:.1f}{unit}" if value < 10 and unit != "B" else f"{value:.0f}{unit}"
        value /= 1024
    raise AssertionError


def percent(value: float | None) -> str:
    """` 93%`, right-aligned in four cells."""
    return f"{value:3.0f}%" if value is not None else f" {UNSUPPORTED}"


def number(value: float | None, unit: str = "") -> str:
    """A whole number with its unit, or that it is not supported."""
    return UNSUPPORTED if value is None else f"{value:.0f}{unit}"


def load_pen(value: float | None) -> str:
    """The pen of a share in percent: amber from 80, red from 95."""
    if value is None:
        return "dim"
    return "bad" if value >= 95 else "warn" if value >= 80 else "active"


def meter(value: float | None, width: int, *, fills: bool = True) -> Line:
    """A bar of `width` cells for a share in percent; empty and dim when not supported.

    What `fills` (memory, a disk) is trouble near its end; what works (a processor, a GPU) is not.
    """
    if value is None:
        return (("dim", "·" * width),)
    full = round(min(100.0, max(0.0, value)) / 100 * width)
    if value > 0 and full == 0:
        full = 1
    return ((load_pen(value) if fills else "active", "▇" * full), ("line", "▁" * (width - full)))


def sparkline(values: Iterable[float | None], width: int, top: float = 100.0) -> str:
    """The last `width` values as blocks of height value/top; a gap where there was none."""
    last = list(values)[-width:] if width > 0 else []
    found = []
    for value in last:
        if value is None:
            found.append(" ")
        else:
            share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
            found.append(_BLOCKS[min(7, int(share * 8))])
    return "".join(found).rjust(max(0, width))
