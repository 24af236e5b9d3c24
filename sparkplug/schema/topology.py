"""Who talks to whom, and who waits for whom: as the observer counts it off the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from sparkplug.schema.base import Record

#: `group` and `subject` are hubs: what is said to them goes to all who belong or listen there.
NodeKind = Literal["agent", "foreign", "planner", "face", "unknown", "group", "subject"]
HUBS: frozenset[str] = frozenset({"group", "subject"})
#: How a circuit breaker is: all is asked, nothing is asked, the next request decides.
BreakerState = Literal["closed", "half-open", "open"]


class TopologyNode(Record):
    """A sender or receiver."""

    name: str
    kind: NodeKind
    queue_depth: int = Field(0, description="requests in flight toward it")
    waiting: int = Field(0, description="of these, how many it has not begun")


class TopologyEdge(Record):
    """All that one sender said to one receiver since the observer began."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, serialize_by_alias=True)

    from_: str = Field(alias="from")
    to: str
    messages: int = 0
    replies: int = Field(0, description="pieces of answers that came back")
    bytes: int = Field(0, description="both ways, headers left out")
    errors: int = 0
    forged: int = Field(0, description="messages whose header names who did not send them")
    inflight: int = 0
    rate_per_second: float = 0.0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    breaker: BreakerState = Field(
        "closed", description="the worst of the circuit breakers between their replicas"
    )


class EdgeBreaker(Record):
    """A circuit breaker that is not closed: a replica that does not ask another for now."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, serialize_by_alias=True)

    from_: str = Field(alias="from", description="agent/replica that holds it")
    to: str = Field(description="agent/replica that is left alone")
    state: BreakerState = "open"
    failures: int = Field(0, description="in a row; an answer that is an error counts a quarter")


class WaitEdge(Record):
    """A replica has a request in hand that waits for another replica's answer."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, serialize_by_alias=True)

    from_: str = Field(alias="from", description="agent/replica that waits")
    to: str = Field(description="agent/replica it waits for")
    action: str = Field("", description="what it asked for")
    during: str = Field("", description="the action it does itself meanwhile")
    seconds: float = Field(0.0, description="for how long")


class WaitRing(Record):
    """Replicas that wait for each other in a ring.

    `certain`: none of them can go on, since each waits for a request that waits itself, or that
    stands in the queue of one with no room. Else the ring may still come undone: one of them has
    room and works on the request that closes it.
    """

    agents: list[str] = Field(description="agent/replica, in the order they wait")
    waits: list[WaitEdge]
    certain: bool = True
    seconds: float = Field(0.0, description="since the last of the waits began")


class Topology(Record):
    """The graph, published once a second by the one observer of the mesh."""

    nodes: list[TopologyNode] = Field(default_factory=list)
    edges: list[TopologyEdge] = Field(default_factory=list)
    messages_per_second: float = 0.0
    waits: list[WaitEdge] = Field(default_factory=list, description="the longest first")
    rings: list[WaitRing] = Field(default_factory=list, description="certain ones first")
    breakers: list[EdgeBreaker] = Field(
        default_factory=list, description="circuit breakers that are not closed, open ones first"
    )
    observer: str = Field("", description="the node that counts")
    since: datetime | None = Field(None, description="when it began to count")
    gaps: int = Field(
        0, description="times it was cut off since: what was said meanwhile is not counted"
    )
    uncounted: int = Field(0, description="messages of pairs beyond those there is room for")


class Wait(Record):
    """One answer that a request in hand waits for."""

    question: str = Field(description="the id it was asked under")
    agent: str
    replica: str
    action: str = ""
    seconds: float = 0.0


class HeldRequest(Record):
    """A request a replica has in hand: under which id it was asked, and what it waits for."""

    id: str
    question: str = ""
    action: str = ""
    seconds: float = 0.0
    waits: list[Wait] = Field(default_factory=list)


class WaitReport(Record):
    """What a replica says of its requests in hand while one of them waits for another agent."""

    agent: str
    replica: str
    concurrency: int = 1
    in_hand: int = 0
    requests: list[HeldRequest] = Field(default_factory=list)
