"""The history of one replica's usage: a ring of small numbers, a point every ten seconds."""

from __future__ import annotations

import math
import time
from array import array
from datetime import timedelta

from sparkplug.schema.base import utc_now
from sparkplug.schema.usage import AgentUsage, UsageHistory, UsagePoint

KEEP_EVERY_S = 10.0

#: CPU %, RSS and GPU memory in bytes, prompts, errors and messages a second, p95 in ms.
_WIDTH = 7
_NONE = math.nan


class UsageTrack:
    """Points of one replica. An hour of them takes 13 KiB."""

    def __init__(self, agent: str, replica: str, points: int) -> None:
        self._agent = agent
        self._replica = replica
        self._most = points
        self._values = array("f")
        self._times = array("d")
        self._next = 0
        self._before: tuple[float, float, int, int, int] | None = None

    def keep(self, usage: AgentUsage) -> None:
        """Add a point; the oldest goes when there are enough."""
        now = time.monotonic()
        messages = usage.received + usage.sent
        seen = (now, usage.cpu_seconds, usage.prompts, usage.errors, messages)
        before, self._before = self._before, seen
        if before is None:
            return
        span = max(now - before[0], 1e-3)
        point = array(
            "f",
            (
                100 * (usage.cpu_seconds - before[1]) / span,
                _NONE if usage.rss_bytes is None else usage.rss_bytes,
                _NONE if usage.gpu_memory_bytes is None else usage.gpu_memory_bytes,
                (usage.prompts - before[2]) / span,
                (usage.errors - before[3]) / span,
                (messages - before[4]) / span,
                _NONE if usage.latency_p95_ms is None else usage.latency_p95_ms,
            ),
        )
        if len(self._times) < self._most:
            self._times.append(now)
            self._values.extend(point)
        else:
            self._times[self._next] = now
            self._values[self._next * _WIDTH : (self._next + 1) * _WIDTH] = point
        self._next = (self._next + 1) % self._most

    def since(self, seconds: float) -> UsageHistory:
        """The points of the last `seconds`, oldest first."""
        now, wall = time.monotonic(), utc_now()
        count = len(self._times)
        order = [(self._next + i) % count for i in range(count)] if count == self._most else None
        points = []
        for at in order or range(count):
            age = now - self._times[at]
            if age > seconds:
                continue
            row = self._values[at * _WIDTH : (at + 1) * _WIDTH]
            cpu, rss, gpu, prompts, errors, messages, p95 = (
                None if math.isnan(value) else value for value in row
            )
            points.append(
                UsagePoint(
                    time=wall - timedelta(seconds=age),
                    cpu_percent=_rounded(cpu),
                    rss_bytes=None if rss is None else int(rss),
                    gpu_memory_bytes=None if gpu is None else int(gpu),
                    prompts_per_second=_rounded(prompts),
                    errors_per_second=_rounded(errors),
                    messages_per_second=_rounded(messages),
                    latency_p95_ms=_rounded(p95),
                )
            )
        return UsageHistory(agent=self._agent, replica=self._replica, points=points)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(max(value, 0.0), 2)
