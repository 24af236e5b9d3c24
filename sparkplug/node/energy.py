"""Joules that GPUs took over a stretch of time, from the samples of their host.

Between two samples it is what the energy counters moved, where all of the GPUs have one, else
the mean of their power. It is divided by the requests their servers worked on meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from sparkplug.schema.host import HostSample
from sparkplug.schema.llm import EnergySpan

#: A stretch that ends after the last sample, or begins before the first, by no more than this
#: is taken to have gone on as it was (seconds).
_BEYOND_S = 2.0


class _Between(NamedTuple):
    """The time between two samples, and the watts of one request in it."""

    begins: float
    ends: float
    watts: float


class _Read(NamedTuple):
    at: float
    watts: float | None
    joules: float | None
    busy: int


def joules(samples: Sequence[HostSample], span: EnergySpan) -> float | None:
    """What the GPUs of `span` took for one request; None where no samples tell."""
    read = [found for sample in samples if (found := _read(sample, span)) is not None]
    between = [
        _Between(before.at, after.at, watts)
        for before, after in itertools.pairwise(read)
        if after.at > before.at and (watts := _watts(before, after)) is not None
    ]
    if not between:
        return None
    first, last = between[0], between[-1]
    between[0] = first._replace(begins=first.begins - _BEYOND_S)
    between[-1] = between[-1]._replace(ends=last.ends + _BEYOND_S)
    covered = total = 0.0
    for one in between:
        seconds = min(one.ends, span.seconds) - max(one.begins, 0.0)
        if seconds > 0:
            covered += seconds
            total += seconds * one.watts
    if not covered or covered < span.seconds / 2:
        return None
    # What a lost sample left open went on as the rest did.
    return round(total * span.seconds / covered, 3)


def _read(sample: HostSample, span: EnergySpan) -> _Read | None:
    gpus = [gpu for gpu in sample.gpus if gpu.uuid in span.gpus]
    if not gpus:
        return None
    power = [gpu.power_watts for gpu in gpus]
    energy = [gpu.energy_joules for gpu in gpus]
    busy = [s.requests_running or 1 for s in sample.inference if set(span.gpus) & set(s.gpus)]
    return _Read(
        (sample.time - span.began).total_seconds(),
        None if None in power else sum(one or 0.0 for one in power),
        None if None in energy else sum(one or 0.0 for one in energy),
        max(1, *busy, 1),
    )


def _watts(before: _Read, after: _Read) -> float | None:
    busy = (before.busy + after.busy) / 2
    if before.joules is not None and after.joules is not None and after.joules >= before.joules:
        return (after.joules - before.joules) / (after.at - before.at) / busy
    if before.watts is not None and after.watts is not None:
        return (before.watts + after.watts) / 2 / busy
    return None
