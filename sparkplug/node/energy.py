"""Joules that GPUs took over a stretch of time, from the samples of their host.

By power, integrated over the samples (trapezoids), and shared with nobody: a server that works
on several requests at once is accounted for by whoever asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sparkplug.schema.host import HostSample
from sparkplug.schema.llm import EnergySpan


def joules(samples: Sequence[HostSample], span: EnergySpan) -> float | None:
    """What the GPUs of `span` took, divided by the requests their servers worked on meanwhile.

    None when no sample of that time tells the power of one of them.
    """
    wanted = set(span.gpus)
    watts: list[tuple[float, float]] = []
    for sample in samples:
        power = [g.power_watts for g in sample.gpus if g.uuid in wanted]
        if not power or any(one is None for one in power):
            continue
        at = (sample.time - span.began).total_seconds()
        busy = [
            server.requests_running or 1 for server in sample.inference if wanted & set(server.gpus)
        ]
        watts.append((at, sum(one or 0.0 for one in power) / max(1, *busy, 1)))
    near = [w for at, w in watts if -1.5 <= at <= span.seconds + 1.5]
    if not near:
        return None
    inside = [(at, w) for at, w in watts if 0 <= at <= span.seconds]
    if len(inside) < 2:
        return round(span.seconds * sum(near) / len(near), 3)
    total = inside[0][0] * inside[0][1] + (span.seconds - inside[-1][0]) * inside[-1][1]
    for (at, w), (next_at, next_w) in itertools.pairwise(inside):
        total += (next_at - at) * (w + next_w) / 2
    return round(total, 3)
