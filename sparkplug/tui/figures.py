"""Numbers as a person reads them, and the small plots beside them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sparkplug.tui.cells import Line

#: What stands where a device does not support a metric. Never a zero.
UNSUPPORTED = "n/s"
_BLOCKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
# Dots of a braille cell, filled from its foot (Unicode, block 2800).
_LEFT_BARS = (0x40, 0x44, 0x46, 0x47)
_RIGHT_BARS = (0x80, 0xA0, 0xB0, 0xB8)


def age(seconds: float) -> str:
    """`8s`, `2m`, `3h`, `5d`: coarser as it grows, so that it seldom changes."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def age_lasts(seconds: float) -> float:
    """Seconds until `age` of what is `seconds` old now gives another text."""
    past = max(0.0, seconds)
    step = next((size for size in (86400, 3600, 60) if past >= size), 1)
    return step - past % step


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


def rate(bytes_per_second: float | None) -> str:
    """Bytes a second: `1.5M/s`, or that it is not supported."""
    return UNSUPPORTED if bytes_per_second is None else f"{size(bytes_per_second)}/s"


def percent(value: float | None) -> str:
    """` 93%`, right-aligned in four cells."""
    return f"{value:3.0f}%" if value is not None else f" {UNSUPPORTED}"


def number(value: float | None, unit: str = "") -> str:
    """A whole number with its unit, or that it is not supported."""
    return UNSUPPORTED if value is None else f"{value:.0f}{unit}"


#: From which share in percent what fills is amber, and from which red.
LIMITS = (80.0, 95.0)


def load_pen(value: float | None, limits: tuple[float, float] = LIMITS) -> str:
    """The pen of a share in percent: amber from the first limit, red from the second."""
    if value is None:
        return "dim"
    return "bad" if value >= limits[1] else "warn" if value >= limits[0] else "active"


def meter(
    value: float | None,
    width: int,
    *,
    fills: bool = True,
    limits: tuple[float, float] = LIMITS,
    fine: bool = False,
    mark: float | None = None,
) -> Line:
    """A bar of `width` cells for a share in percent; dots, dim, when not supported.

    What `fills` (memory, a disk) is trouble near its end; what works (a processor, a GPU) is not.
    `fine` draws eighths of a cell. `mark` is a second share, a line across the bar.
    """
    width = max(0, width)
    if value is None or value != value:
        return (("dim", "·" * width),)
    share = min(100.0, max(0.0, value)) / 100
    eighths = round(share * width * 8) if fine else 8 * round(share * width)
    if value > 0 and width:
        eighths = max(eighths, 1 if fine else 8)
    full, rest = divmod(eighths, 8)
    pen = load_pen(value, limits) if fills else "active"
    filled = ("█" if fine else "▇") * full + _EIGHTHS[rest]
    line: Line = ((pen, filled), ("line", "▁" * (width - len(filled))))
    if mark is None or mark != mark or not width:
        return line
    at = min(width - 1, int(min(100.0, max(0.0, mark)) / 100 * width))
    if at < len(filled):
        return ((pen, filled[:at]), ("text", "│"), (pen, filled[at + 1 :]), line[1])
    return (
        line[0],
        ("line", "▁" * (at - len(filled))),
        ("text", "│"),
        ("line", "▁" * (width - at - 1)),
    )


def sparkline(
    values: Iterable[float | None],
    width: int,
    top: float = 100.0,
    *,
    low: float = 0.0,
    braille: bool = False,
) -> str:
    """The last values as blocks of their height from `low` to `top`; a gap where there was none.

    One value a cell, right-aligned; with `braille` two, in half as many steps.
    """
    width = max(0, width)
    if not braille:
        last = list(values)[-width:] if width else []
        return "".join(
            [" " if (n := _level(v, low, top, 8)) is None else _BLOCKS[n] for v in last]
        ).rjust(width)
    pairs = list(values)[-2 * width :] if width else []
    if len(pairs) % 2:
        pairs.insert(0, None)
    found = []
    for left, right in zip(pairs[::2], pairs[1::2], strict=True):
        a, b = _level(left, low, top, 4), _level(right, low, top, 4)
        bits = (_LEFT_BARS[a] if a is not None else 0) | (_RIGHT_BARS[b] if b is not None else 0)
        found.append(chr(0x2800 + bits) if bits else " ")
    return "".join(found).rjust(width)


def _level(value: float | None, low: float, top: float, levels: int) -> int | None:
    """The step of a value among so many; None for one that is missing."""
    if value is None or value != value:
        return None
    share = min(1.0, max(0.0, (value - low) / (top - low))) if top > low else 0.0
    return min(levels - 1, int(share * levels))
