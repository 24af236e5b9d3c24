"""Figures for people: the unit stands in a fact's name, its value is written with it."""

from __future__ import annotations

from typing import Any

_BINARY = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))

_HOUR = 3600.0
_DAY = 86400.0

#: How a name ends, and the unit its value is written with. The longest ending counts.
_UNITS = {
    "gib_per_second": "GiB/s",
    "mib_per_second": "MiB/s",
    "kib_per_second": "KiB/s",
    "percent": "%",
    "watts": "W",
    "celsius": "°C",
    "mhz": "MHz",
    "gib": "GiB",
    "mib": "MiB",
    "kib": "KiB",
    "ms": "ms",
}


def ending(name: str) -> str:
    """The unit part of a name, "" when it has none: `memory_used_bytes` ends in `bytes`."""
    for unit in ("bytes_per_second", "bytes", "seconds", *_UNITS):
        if name == unit or name.endswith(f"_{unit}"):
            return unit
    return ""


def label(name: str) -> str:
    """A name without its unit, as words: `memory_used_bytes` is `memory used`."""
    unit = ending(name)
    words = name[: -len(unit)].rstrip("_") if unit else name
    return words.replace("_", " ") or name.replace("_", " ")


def quantity(name: str, value: Any) -> str:
    """A value with its unit, to a tenth where it is no whole number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    unit = ending(name)
    if unit == "bytes":
        return _bytes(value)
    if unit == "bytes_per_second":
        return f"{_bytes(value)}/s"
    if unit == "seconds":
        return _seconds(value)
    text = number(value)
    return f"{text} {_UNITS[unit]}" if unit else text


def number(value: float) -> str:
    """Whole numbers whole, others to a tenth; what is smaller than a tenth to two digits."""
    if isinstance(value, int) or value == int(value):
        return str(int(value))
    return f"{value:.1f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _bytes(value: float) -> str:
    for unit, size in _BINARY:
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{number(value)} B"


def _seconds(value: float) -> str:
    """Long times in days or hours, to a tenth."""
    if abs(value) >= 2 * _DAY:
        return f"{value / _DAY:.1f} days"
    if abs(value) >= 2 * _HOUR:
        return f"{value / _HOUR:.1f} h"
    return f"{number(value)} s"
