"""What was measured: the values of several series at common times."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence

#: Samples whose least and greatest values are kept ready.
BLOCK = 64
#: Beyond this a difference of two values would be no number.
_MOST = 1e300
_NAN = math.nan
_INF = math.inf


def clean_value(value: float | None) -> float:
    """A value as it is kept: NaN for what is missing or infinite."""
    if value is None or not -_INF < value < _INF:
        return _NAN
    return float(min(_MOST, max(-_MOST, value)))


class Track:
    """The values of one series; NaN where there is none."""

    def __init__(self) -> None:
        self.values = array("d")
        self._low = array("d")
        self._high = array("d")
        self._gaps = False

    def add(self, value: float) -> None:
        """One more value, as `clean_value` gives it."""
        if len(self.values) % BLOCK == 0:
            self._low.append(_INF)
            self._high.append(-_INF)
        self.values.append(value)
        if value != value:
            self._gaps = True
            return
        if value < self._low[-1]:
            self._low[-1] = value
        if value > self._high[-1]:
            self._high[-1] = value

    def extend(self, values: Sequence[float]) -> None:
        """Many more at once."""
        for value in values:
            self.add(value)

    def cut(self, first: int, last: int) -> None:
        """Keep those from `first`, a multiple of BLOCK, up to `last`."""
        del self.values[last:]
        del self.values[:first]
        whole = (last - first) // BLOCK
        del self._low[: first // BLOCK], self._high[: first // BLOCK]
        del self._low[whole:], self._high[whole:]
        rest = self.values[whole * BLOCK :]
        del self.values[whole * BLOCK :]
        self.extend(rest)

    def extremes(self, first: int, last: int) -> tuple[float, float] | None:
        """The least and greatest of some values; None where all are missing."""
        low, high = _INF, -_INF
        a, b = -(-first // BLOCK), last // BLOCK
        if a < b:
            low, high = min(self._low[a:b]), max(self._high[a:b])
            pieces = (self.values[first : a * BLOCK], self.values[b * BLOCK : last])
        else:
            pieces = (self.values[first:last], array("d"))
        for piece in pieces:
            found: Sequence[float] = piece
            if self._gaps:
                found = [value for value in piece if value == value]
            if found:
                low, high = min(low, min(found)), max(high, max(found))
        return (low, high) if low <= high else None


class Record:
    """Series by key, measured at the same times (seconds since 1970 UTC, ever later).

    At least the last `keep` samples are kept. Samples more than `joins` seconds apart are not
    joined by a line: nobody measured in between.
    """

    def __init__(self, keep: int = 3600, joins: float = _INF) -> None:
        self.times = array("d")
        self.tracks: dict[str, Track] = {}
        self.joins = joins
        self._keep = max(BLOCK, keep)
        #: Another number when samples that were there are no more, or others.
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.times)

    @property
    def newest(self) -> float | None:
        """The time of the last sample."""
        return self.times[-1] if self.times else None

    def add(self, time: float, values: Mapping[str, float | None]) -> None:
        """A sample. Where a clock was set back, what it overtakes goes."""
        if not math.isfinite(time):
            return
        if self.times and time <= self.times[-1]:
            self._cut(0, bisect_left(self.times, time))
            self.epoch += 1
        for key in values:
            if key not in self.tracks:
                self._new(key)
        self.times.append(time)
        for key, track in self.tracks.items():
            track.add(clean_value(values.get(key)))
        if len(self.times) > self._keep + self._keep // 4:
            self._cut((len(self.times) - self._keep) // BLOCK * BLOCK, len(self.times))

    def load(self, times: Sequence[float], series: Mapping[str, Sequence[float | None]]) -> None:
        """Put these samples in the place of all there are. Times are in order, all of a length."""
        self.times = array("d", times[-self._keep :])
        self.tracks = {}
        for key, values in series.items():
            track = self.tracks[key] = Track()
            track.extend([clean_value(value) for value in values[-self._keep :]])
        self.epoch += 1

    def value(self, key: str, index: int) -> float | None:
        """The value of a series in a sample; None where there is none."""
        track = self.tracks.get(key)
        if track is None or not self.times:
            return None
        value = track.values[index]
        return None if value != value else value

    def nearest(self, time: float) -> int:
        """The sample nearest to a time; there is one at least."""
        index = bisect_left(self.times, time)
        if index and (
            index == len(self.times) or time - self.times[index - 1] <= self.times[index] - time
        ):
            index -= 1
        return index

    def _new(self, key: str) -> None:
        track = self.tracks[key] = Track()
        track.extend([_NAN] * len(self.times))

    def _cut(self, first: int, last: int) -> None:
        self.times = self.times[first:last]
        for track in self.tracks.values():
            track.cut(first, last)
