"""Who talks to whom: nodes and edges as the observer counts them."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from sparkplug.schema.base import Record


class TopologyNode(Record):
    """A sender or receiver."""

    name: str
    kind: Literal["agent", "foreign", "planner", "face", "unknown"]
    queue_depth: int = Field(0, description="requests in flight toward it")


class TopologyEdge(Record):
    """All that one sender said to one receiver since the observer began."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, serialize_by_alias=True)

    from_: str = Field(alias="from")
    to: str
    messages: int = 0
    bytes: int = 0
    errors: int = 0
    forged: int = Field(0, description="messages whose header names who did not send them")
    inflight: int = 0
    rate_per_second: float = 0.0
    latency_p50_ms: float | None = None


class Topology(Record):
    """The graph, published once a second by the one observer of the mesh."""

    nodes: list[TopologyNode] = Field(default_factory=list)
    edges: list[TopologyEdge] = Field(default_factory=list)
    messages_per_second: float = 0.0
