"""Samples brought into columns of dots: no peak is lost, however many share a column."""

from __future__ import annotations

import math
from bisect import bisect_left

from sparkplug.tui.widgets.plot.record import Record, Track

#: The least and the greatest value of a column, and the value of the column before that a line
#: leads from (NaN: none does). None: nothing was measured then.
Extent = tuple[float, float, float]
_NAN = math.nan


def column_of(time: float, step: float) -> int:
    """The column of a time; columns are `step` seconds wide and counted from 1970."""
    column = math.floor(time / step)
    if (column + 1) * step <= time:
        return column + 1
    return column - 1 if column * step > time else column


def bounds(record: Record, step: float, first: int, last: int) -> list[int]:
    """For columns `first` up to `last`: the sample each begins with; and where the last ends."""
    times = record.times
    found = [bisect_left(times, first * step)]
    size = len(times)
    for column in range(first + 1, last + 1):
        at = found[-1]
        end = column * step
        # Most columns hold one sample or none.
        if at < size and times[at] < end:
            at += 1
            if at < size and times[at] < end:
                at = bisect_left(times, end, at)
        found.append(at)
    return found


def extents(
    record: Record, track: Track, step: float, first: int, edges: list[int]
) -> list[Extent | None]:
    """The extent of a series in each column from `first` on; `edges` as `bounds` gives them."""
    found: list[Extent | None] = []
    values, size = track.values, len(record.times)
    for index in range(len(edges) - 1):
        a, b = edges[index], edges[index + 1]
        if a == b:
            value = _between(record, track, a, (first + index + 0.5) * step) if a < size else _NAN
            # The line is followed from one column to the next.
            before = _before(record, track, step, first + index, a) if value == value else _NAN
            found.append((value, value, before) if value == value else None)
            continue
        if b - a == 1:
            low = high = values[a]
            if low != low:
                found.append(None)
                continue
        else:
            both = track.extremes(a, b)
            if both is None:
                found.append(None)
                continue
            low, high = both
        found.append((low, high, _before(record, track, step, first + index, a)))
    return found


def _joined(record: Record, track: Track, index: int) -> bool:
    """Whether a line leads from the sample before to this one."""
    if not 0 < index < len(record.times):
        return False
    before, after = track.values[index - 1], track.values[index]
    near = record.times[index] - record.times[index - 1] <= record.joins
    return near and before == before and after == after


def _between(record: Record, track: Track, index: int, time: float) -> float:
    """The value on the line to a sample from the one before, at a time; NaN where there is none."""
    if not _joined(record, track, index):
        return _NAN
    t0, t1 = record.times[index - 1], record.times[index]
    v0, v1 = track.values[index - 1], track.values[index]
    share = min(1.0, max(0.0, (time - t0) / (t1 - t0)))
    return v0 + (v1 - v0) * share


def _before(record: Record, track: Track, step: float, column: int, index: int) -> float:
    """Where the line was in the column before, that leads to the sample `index`."""
    if not _joined(record, track, index):
        return _NAN
    if record.times[index - 1] >= (column - 1) * step:
        return track.values[index - 1]
    return _between(record, track, index, (column - 0.5) * step)
