"""Where the marks of the axes stand: round numbers and round times."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

_MULTIPLES = (1.0, 2.0, 2.5, 5.0, 10.0)
#: A range is at least this share of its values, so that its marks need few figures.
_LEAST_SHARE = 1e-3
#: Rounding of floats is no reason to leave out a mark at the end.
_NEAR = 1e-6
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
#: Steps of a time axis in seconds.
_TIMES = (
    *(1, 2, 5, 10, 15, 30),
    *(k * _MINUTE for k in (1, 2, 5, 10, 15, 30)),
    *(k * _HOUR for k in (1, 2, 3, 6, 12)),
    *(k * _DAY for k in (1, 2, 7, 14, 28, 91, 182, 365)),
)
_LATEST = 2.5e11
#: Cells between two labels of the time axis.
_APART = 2


def nice_step(rough: float, *, binary: bool = False) -> float:
    """The least round number that is not less: 1, 2, 2.5 or 5 times a power of ten, or of two."""
    if not math.isfinite(rough) or rough < 1e-300:
        return 1e-300 if rough < 1 else 1e300
    if binary and rough >= 1:
        return 2.0 ** math.ceil(math.log2(rough) - _NEAR)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (*_MULTIPLES, 20.0) if m * power >= rough * (1 - _NEAR))


def ticks(low: float, high: float, most: int, *, binary: bool = False) -> tuple[list[float], float]:
    """Round numbers from `low` to `high`, at most `most` of them (two at least), and their step.

    None at all where no round number lies between.
    """
    most = max(2, most)
    step = nice_step((high - low) / (most - 1), binary=binary)
    while True:
        first, last = math.ceil(low / step - _NEAR), math.floor(high / step + _NEAR)
        if last - first < most:
            return [k * step for k in range(first, last + 1)], step
        step = nice_step(step * 1.01, binary=binary)


def nice_range(
    low: float,
    high: float,
    most: int,
    *,
    bottom: float | None = None,
    top: float | None = None,
    binary: bool = False,
) -> tuple[float, float]:
    """A range with round ends that holds `low` to `high`; `bottom` and `top` are kept as given."""
    low = low if bottom is None else bottom
    high = high if top is None else top
    least = max(abs(low), abs(high)) * _LEAST_SHARE or 1.0
    if high - low < least:
        if top is None:
            high = max(high, low) + least
        else:
            low = top - least if bottom is None else low
        high = max(high, low + least)
    step = nice_step((high - low) / (max(2, most) - 1), binary=binary)
    found_low = math.floor(low / step + _NEAR) * step if bottom is None else low
    found_high = math.ceil(high / step - _NEAR) * step if top is None else high
    return found_low, found_high


def time_labels(
    start: float, end: float, cells: int, *, clock: bool, newest: float | None = None
) -> list[tuple[int, str]]:
    """Labels of a time axis `cells` wide: the cell each begins in, and its text.

    Times are seconds since 1970 UTC. With `clock` they are times of day here, else how long
    before `newest` (the end, if it is not given).
    """
    if cells <= 0 or end <= start:
        return []
    a_cell = (end - start) / cells
    zero = end if newest is None else newest
    shift = datetime.fromtimestamp(end).astimezone().utcoffset() if clock else None
    offset = shift.total_seconds() if shift is not None else -zero
    step, text = _time_step(a_cell, clock=clock, longest=end - start)
    found: list[tuple[int, str]] = []
    free = cells + 1
    first, last = math.ceil((start + offset) / step), math.floor((end + offset) / step + _NEAR)
    # From the newest on, so that `now` is never left out.
    for mark in range(last, first - 1, -1):
        label = text(mark * step)
        at = (mark * step - offset - start) / a_cell
        x = min(max(0, round(at) - len(label) // 2), cells - len(label))
        if x >= 0 and x + len(label) < free:
            found.append((x, label))
            free = x
    return found[::-1]


def _time_step(
    a_cell: float, *, clock: bool, longest: float
) -> tuple[float, Callable[[float], str]]:
    """The least step whose labels do not touch, and what writes them."""
    for step in _TIMES:
        text = _clock_text(step) if clock else _age_text(step)
        widest = len(text(0.0 if clock else -longest))
        if step / a_cell >= widest + _APART:
            return step, text
    step = _TIMES[-1]
    while step / a_cell < 12:
        step *= 10
    return step, _clock_text(step) if clock else _age_text(step)


def _clock_text(step: float) -> Callable[[float], str]:
    """The time of day of seconds counted from midnight, 1 January 1970, here."""
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%d %b"

    def text(local: float) -> str:
        # Seconds of the clock on the wall: no zone is to be added.
        return datetime.fromtimestamp(min(max(0.0, local), _LATEST), UTC).strftime(form)

    return text


def _age_text(step: float) -> Callable[[float], str]:
    size, unit = (1, "s")
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m"), (1, "s")):  # noqa: B007
        if step % size == 0:
            break

    def text(age: float) -> str:
        return "now" if age >= 0 else f"-{round(-age / size)}{unit}"

    return text
