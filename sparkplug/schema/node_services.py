"""What a node's services are asked and answer: telemetry, the process table, logs."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.host import HostSample, Process
from sparkplug.schema.node import NodeOrder, NodeState, ObservedNode


class HostView(Record):
    """A host as faces show it: its node's state, and the latest sample when it answers."""

    name: str
    state: NodeState
    age_seconds: float
    node: ObservedNode
    sample: HostSample | None = None
    order: NodeOrder | None = Field(None, description="what people want of it; None: nothing")


class WindowRequest(Record):
    """Ask a node for its samples of the last `seconds`."""

    seconds: float = Field(10.0, gt=0, le=3600)


class WindowReply(Record):
    """The samples of a window, oldest first."""

    samples: list[HostSample]


class ProcessesReply(Record):
    """The process table of a host."""

    host: str
    time: datetime = Field(default_factory=utc_now)
    processes: list[Process]


class KernelLogReply(Record):
    """The kernel's OOM and Xid lines since boot where readable; `reason` says why not."""

    readable: bool
    reason: str | None = None
    lines: list[str] = Field(default_factory=list)


class LogsRequest(Record):
    """Ask a node for the log of a replica, from a byte offset or its last lines."""

    agent: str
    replica: str = "0"
    lines: int = Field(200, ge=0, le=100_000)
    offset: int | None = Field(None, ge=0, description="bytes; continue a follow from here")
    before: int | None = Field(None, ge=0, description="bytes; the piece that ends here")
    previous: bool = Field(False, description="the log of the process before this one")


class LogsReply(Record):
    """A piece of a log, where it begins, and the offset (bytes) to ask for next.

    `start` is null from a node that does not know `before`.
    """

    text: str
    start: int | None = None
    offset: int
    size: int
