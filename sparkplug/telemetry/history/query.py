"""Answering how a host went: bins of equal length, means, maxima and energy over a window."""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sparkplug.schema.gpu import Gpu
from sparkplug.schema.history import (
    DRAWN,
    GpuEnergy,
    HistoryReply,
    HistoryRequest,
    Series,
    unit_of,
)
from sparkplug.telemetry.history.tiers import Tiers

_JOULES_IN_KWH = 3.6e6
#: A gap longer than so many steps is one in which nothing was measured, for energy as for plots.
_GAP_STEPS = 3.0


def answer(
    tiers: Tiers, host: str, request: HistoryRequest, gpus: Sequence[Gpu], *, simulated: bool
) -> HistoryReply:
    """What was asked for, from the ring that fits. Blocking; raises OSError."""
    until = request.until.timestamp() if request.until is not None else time.time()
    since = until - request.seconds
    resolution = tiers.resolution(since, until, request.points)
    known = tiers.columns()
    wanted = [name for name in known if _is_wanted(name, request.series)]
    drawn = [name for name in known if name.endswith(f"/{DRAWN}")]
    asked = list(dict.fromkeys([*wanted, *drawn]))
    times, means, peaks, measured = tiers.read(resolution, since, until, asked)
    step = max((until - since) / request.points, resolution.seconds)
    count = max(1, math.ceil((until - since) / step - 1e-9))
    bins = [min(int((at - since) / step - 1e-9), count - 1) for at in times]
    series = []
    for name in wanted:
        if name.endswith(f"/{DRAWN}") and not _named_outright(name, request.series):
            continue
        place = asked.index(name)
        series.append(_binned(name, bins, count, means[place], peaks[place]))
    energy = [
        _energy(name, times, means[asked.index(name)], measured, resolution.seconds, gpus)
        for name in drawn
    ]
    total = [e.kilowatt_hours for e in energy if e.kilowatt_hours is not None]
    return HistoryReply(
        host=host,
        since=datetime.fromtimestamp(since, UTC),
        until=datetime.fromtimestamp(until, UTC),
        step_seconds=round(step, 3),
        kept_seconds=resolution.seconds,
        times=[round(since + (number + 1) * step, 3) for number in range(count)],
        series=series,
        energy=sorted(energy, key=lambda e: (e.index is None, e.index or 0, e.uuid)),
        kilowatt_hours=round(sum(total), 6) if total else None,
        simulated=simulated,
    )


def _is_wanted(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _named_outright(name: str, patterns: Sequence[str]) -> bool:
    return any(p.endswith(DRAWN) and fnmatch.fnmatchcase(name, p) for p in patterns)


def _binned(
    name: str, bins: Sequence[int], count: int, means: Sequence[float], peaks: Sequence[float]
) -> Series:
    sums, numbers, most = [0.0] * count, [0] * count, [-math.inf] * count
    for place, mean, peak in zip(bins, means, peaks, strict=True):
        if mean != mean:
            continue
        sums[place] += mean
        numbers[place] += 1
        most[place] = max(most[place], peak if peak == peak else mean)
    points = [_rounded(s / n) if n else None for s, n in zip(sums, numbers, strict=True)]
    maxima = [_rounded(value) if value > -math.inf else None for value in most]
    known, total = [p for p in points if p is not None], sum(numbers)
    return Series(
        name=name,
        unit=unit_of(name),
        means=points,
        maxima=maxima,
        mean=_rounded(sum(sums) / total) if total else None,
        maximum=max((value for value in maxima if value is not None), default=None),
        minimum=min(known, default=None),
    )


def _energy(
    name: str,
    times: Sequence[float],
    watts: Sequence[float],
    measured: Sequence[float],
    step: float,
    gpus: Sequence[Gpu],
) -> GpuEnergy:
    """Each point holds for as long as it was measured.

    Where that was not kept, for the time since the one before; over a gap, for a step alone.
    """
    uuid = name.split("/")[1]
    joules = seconds = 0.0
    before: float | None = None
    for at, value, known in zip(times, watts, measured, strict=True):
        span = at - before if before is not None else step
        before = at
        if value != value:
            continue
        span = span if 0 < span <= _GAP_STEPS * step else step
        span = known if known == known else span
        joules += value * span
        seconds += span
    gpu = next((gpu for gpu in gpus if gpu.uuid == uuid), None)
    return GpuEnergy(
        uuid=uuid,
        index=gpu.index if gpu is not None else None,
        name=gpu.name if gpu is not None else None,
        kilowatt_hours=round(joules / _JOULES_IN_KWH, 6) if seconds else None,
        mean_watts=round(joules / seconds, 1) if seconds else None,
        measured_seconds=round(seconds, 1),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.5g}") if abs(value) < 1e6 else float(round(value))
