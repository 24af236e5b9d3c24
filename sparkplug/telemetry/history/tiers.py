"""Figures at three resolutions: a second for an hour, ten for a day, a minute for thirty days."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparkplug.telemetry.history.ring import Ring

_PEAK = "^"
#: The column of how long (seconds) a step was measured: not for all of it when a node begins or
#: ends, or was asleep.
_MEASURED = "^measured"


@dataclass(frozen=True)
class Resolution:
    """How often a point is kept, for how long (seconds), and its share of the room."""

    seconds: float
    kept: float
    share: float


RESOLUTIONS = (
    Resolution(1.0, 3600.0, 0.1),
    Resolution(10.0, 86400.0, 0.25),
    Resolution(60.0, 30 * 86400.0, 0.65),
)


@dataclass
class _Bin:
    """What came in one step: sums, counts and maxima by column."""

    number: int
    measured: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)

    def add(self, values: Mapping[str, float | None]) -> None:
        for name, value in values.items():
            if value is None or value != value:
                continue
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
            if value > self.peaks.get(name, -math.inf):
                self.peaks[name] = value

    def record(self) -> dict[str, float | None]:
        found: dict[str, float | None] = {n: s / self.counts[n] for n, s in self.sums.items()}
        peaks = {_PEAK + name: peak for name, peak in self.peaks.items()}
        return found | peaks | {_MEASURED: self.measured}


class Tiers:
    """The rings of one host. Not for several threads at once; raises OSError."""

    def __init__(self, folder: Path, *, period: float, most_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._rings: list[tuple[Resolution, Ring]] = []
        self._bins: dict[float, _Bin] = {}
        self._period = period
        self._last: float | None = None
        for resolution in RESOLUTIONS:
            seconds = period if resolution.seconds == 1.0 else max(resolution.seconds, period)
            capacity = int(resolution.kept / seconds)
            path = folder / f"{resolution.seconds:g}s.ring"
            ring = Ring(path, capacity, int(most_bytes * resolution.share))
            self._rings.append((resolution, ring))

    def add(self, time: float, values: Mapping[str, float | None]) -> None:
        """Keep a sample: at once in the finest ring, in the others when their step is over."""
        apart = self._period if self._last is None else time - self._last
        self._last = time
        for resolution, ring in self._rings:
            if resolution.seconds == 1.0:
                ring.append(time, values)
                continue
            number = int(time // resolution.seconds)
            before = self._bins.get(resolution.seconds)
            if before is None or before.number != number:
                if before is not None and before.counts:
                    ring.append((before.number + 1) * resolution.seconds, before.record())
                before = self._bins[resolution.seconds] = _Bin(number)
            before.add(values)
            # Over a gap that is longer than a step nothing was measured.
            most = max(resolution.seconds, self._period)
            before.measured += apart if 0 < apart <= most else self._period

    def columns(self) -> list[str]:
        """The names of all figures that were ever kept."""
        found: dict[str, None] = {}
        for _, ring in self._rings:
            found |= dict.fromkeys(n for n in ring.columns() if not n.startswith(_PEAK))
        return list(found)

    def resolution(self, since: float, until: float, points: int) -> Resolution:
        """The coarsest that gives as many points, among those that reach back so far.

        Where none reaches back so far, the one that reaches back farthest.
        """
        step = (until - since) / points
        reaching = [
            resolution
            for resolution, ring in self._rings
            if (oldest := ring.oldest) is not None
            and oldest <= max(since, self._first()) + 2 * resolution.seconds
        ]
        fitting = [r for r in reaching if r.seconds <= max(step, 1.0) * 1.5]
        if fitting:
            return fitting[-1]
        return reaching[0] if reaching else RESOLUTIONS[0]

    def _first(self) -> float:
        """The time of the oldest record of any ring."""
        return min((o for _, ring in self._rings if (o := ring.oldest) is not None), default=0.0)

    def read(
        self, resolution: Resolution, since: float, until: float, columns: Sequence[str]
    ) -> tuple[list[float], list[list[float]], list[list[float]], list[float]]:
        """The records of a ring: times, and for each column means and maxima (NaN: none).

        What the step that is under way has so far comes last. At last for how long each record
        was measured (seconds; NaN: not kept, as of single samples).
        """
        ring = next(ring for kind, ring in self._rings if kind == resolution)
        if resolution.seconds == 1.0:
            times, means = ring.read(since, until, columns)
            return times, means, means, [math.nan] * len(times)
        asked = [*columns, *(_PEAK + name for name in columns), _MEASURED]
        times, found = ring.read(since, until, asked)
        means, peaks, measured = found[: len(columns)], found[len(columns) : -1], found[-1]
        now = self._bins.get(resolution.seconds)
        if now is not None and now.counts and now.number * resolution.seconds < until:
            record = now.record()
            times.append(min((now.number + 1) * resolution.seconds, until))
            for name, mean, peak in zip(columns, means, peaks, strict=True):
                value, most = record.get(name), record.get(_PEAK + name)
                mean.append(math.nan if value is None else value)
                peak.append(math.nan if most is None else most)
            measured.append(now.measured)
        return times, means, peaks, measured

    def close(self) -> None:
        """Close all files."""
        for _, ring in self._rings:
            ring.close()
