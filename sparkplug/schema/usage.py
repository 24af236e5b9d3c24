"""What an agent takes and does: counted by itself, measured by its node, kept for a while."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from sparkplug.schema.base import Record, utc_now

#: Four classes for each doubling, from a millisecond up: a quantile is right within 10 %.
_PER_DOUBLING = 4
_SMALLEST_S = 0.001
_LARGEST_CLASS = 96


class Latency:
    """How long answers took, in classes that grow by a fourth root of two."""

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets or {})

    def note(self, seconds: float) -> None:
        """One more answer."""
        steps = math.log2(max(seconds, _SMALLEST_S) / _SMALLEST_S) * _PER_DOUBLING
        number = min(math.ceil(steps), _LARGEST_CLASS)
        self.buckets[number] = self.buckets.get(number, 0) + 1

    def since(self, before: Latency) -> Latency:
        """Those that came after `before` was taken."""
        left = {n: count - before.buckets.get(n, 0) for n, count in self.buckets.items()}
        return Latency({n: count for n, count in left.items() if count > 0})

    def quantile(self, share: float) -> float | None:
        """The seconds that `share` (0 to 1) of the answers did not exceed; None without any."""
        total = sum(self.buckets.values())
        if not total:
            return None
        seen = 0
        for number in sorted(self.buckets):
            seen += self.buckets[number]
            if seen >= share * total:
                break
        return float(_SMALLEST_S * 2 ** ((number - 0.5) / _PER_DOUBLING))


class AgentCounts(Record):
    """What a replica has counted since it was started; it travels in its reports."""

    received: int = Field(0, description="messages it took from the bus")
    sent: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    cpu_seconds: float | None = Field(
        None, description="processor time of its own steps, in a shared process"
    )
    latency: dict[int, int] = Field(
        default_factory=dict, description="answers by class of time, see Latency"
    )
    model_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    model_cost: float = 0.0


class AgentUsage(Record):
    """What one replica takes and does now. None: not known, or not there."""

    agent: str
    replica: str
    pid: int | None = None
    shared: int = Field(0, description="agents in its process; 0 when it has one of its own")
    cpu_percent: float | None = Field(None, description="of one core")
    cpu_seconds: float = Field(0.0, description="since its node has known it, over all restarts")
    rss_bytes: int | None = Field(None, description="of its process, all of it")
    pss_bytes: int | None = Field(
        None, description="of its process, each page shared by n counted as 1/n; read every 30 s"
    )
    gpu_memory_bytes: int | None = None
    gpu_percent: float | None = Field(None, description="of the SMs of the GPU that it uses most")
    received: int = 0
    sent: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    inflight: int = 0
    prompts: int = Field(0, description="prompts and calls it answered, well or not")
    errors: int = 0
    restarts: int = 0
    latency_p50_ms: float | None = Field(None, description="of the last five minutes")
    latency_p95_ms: float | None = None
    model_calls: int = Field(0, description="calls of models, all tries counted")
    tokens_in: int = Field(0, description="tokens sent to models")
    tokens_out: int = Field(0, description="tokens that models wrote")
    tokens_per_second: float | None = Field(
        None, description="tokens that models wrote, over the last ten seconds"
    )
    model_cost: float = Field(0.0, description="money, by the prices of the settings")


class NodeUsage(Record):
    """The usage of a node's replicas, or of a part of them, published every two seconds."""

    node: str
    part: int = Field(0, description="which message of those that make up one time, from 0")
    time: datetime = Field(default_factory=utc_now)
    agents: list[AgentUsage] = Field(default_factory=list)


class UsageRequest(Record):
    """Ask a node for the usage of its replicas now, or for the history of one agent's."""

    agent: str | None = Field(None, description="of one agent alone")
    seconds: float = Field(0.0, ge=0, le=86400, description="of history; 0 = none")


class UsagePoint(Record):
    """A point of a replica's history: the mean or the sum of the ten seconds before `time`."""

    time: datetime
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    prompts_per_second: float | None = None
    errors_per_second: float | None = None
    messages_per_second: float | None = None
    latency_p95_ms: float | None = None


class UsageHistory(Record):
    """The history of one replica on one node, oldest first."""

    agent: str
    replica: str
    points: list[UsagePoint] = Field(default_factory=list)


class UsageReply(Record):
    """What a node knows: usage now, and history where it was asked for."""

    now: NodeUsage
    history: list[UsageHistory] = Field(default_factory=list)
