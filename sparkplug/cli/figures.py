"""Figures as people read them. None is a dash: the thing is not supported, or not known."""

from __future__ import annotations

from datetime import UTC, datetime

_NONE = "—"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float | None) -> str:
    """Bytes with a binary unit: 61.2GiB."""
    if count is None:
        return _NONE
    value = float(count)
    for unit in _UNITS:
        if abs(value) < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f}{unit}" if unit == "B" or value >= 100 else f"{value:.1f}{unit}"


def rate(bytes_per_second: float | None) -> str:
    """Bytes a second: 61.2GiB/s, or that it is not supported."""
    return _NONE if bytes_per_second is None else f"{size(bytes_per_second)}/s"


def percent(value: float | None) -> str:
    """A share in whole percent."""
    return _NONE if value is None else f"{value:.0f}%"


def number(value: float | None, unit: str = "") -> str:
    """A rounded figure with its unit."""
    return _NONE if value is None else f"{value:.0f}{unit}"


def span(seconds: float | None) -> str:
    """A time span in its two largest units: 8s, 2m11s, 3h05m, 4d2h."""
    if seconds is None:
        return _NONE
    whole = int(max(seconds, 0))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago something was."""
    if moment is None:
        return _NONE
    return span(((now or datetime.now(UTC)) - moment).total_seconds())


def clock(moment: datetime) -> str:
    """The local time of day."""
    return moment.astimezone().strftime("%H:%M:%S")
