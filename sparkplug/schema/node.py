"""Nodes: how a daemon shows itself, and what its services answer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.host import GpuState

#: What nodes and faces say to each other. It grows by one when an older release could not take
#: part any more; more fields and more services do not change it.
PROTOCOL = 1


class NodeState(StrEnum):
    """How a node is.

    `joining`: it has its lease and takes no agents yet. `cut-off`: it has no lease, as it says
    itself on its own host. `stale`: the same as the mesh says it: it is silent, its lease lapsed,
    and it was not taken down.
    """

    STARTING = "starting"
    JOINING = "joining"
    READY = "ready"
    CUT_OFF = "cut-off"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STALE = "stale"


class GpuRoom(Record):
    """What is free on a GPU, as last sampled. None: the device does not tell."""

    uuid: str
    index: int = 0
    name: str = ""
    state: GpuState = GpuState.OK
    total_bytes: int | None = None
    free_bytes: int | None = None
    held: dict[str, int | None] = Field(
        default_factory=dict, description="bytes in use by agents, by name/replica"
    )


class ObservedNode(Record):
    """How a node is, in the `observed` bucket: written by that node, kept until removed."""

    name: str
    host: str
    state: NodeState
    version: str
    protocol: int = Field(1, description="what it speaks on the bus")
    pid: int
    started: datetime = Field(default_factory=utc_now)
    seen: datetime = Field(default_factory=utc_now, description="when it last wrote this")
    cores: int = 0
    reason: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    gpus: list[str] = Field(default_factory=list, description="UUIDs of the GPUs that work")
    gpu_room: list[GpuRoom] = Field(default_factory=list, description="all its GPUs, lost ones too")
    simulated: bool = False
    epoch: int = Field(0, description="raised with every new lease; 0: it holds none")
    alone: bool = Field(
        False, description="no other node is there: what runs on it runs on without a lease"
    )
    silent_seconds: float = Field(0.0, description="how long it had been silent when this was said")
    clock_offset_seconds: float | None = Field(
        None, description="how far its clock is ahead of the server's; none: not measured"
    )


class NodeOrder(Record):
    """What people want of a node, in the `nodes` bucket: whether it takes anything new, and what
    of its trouble they have seen to.

    A node that nobody ever said anything about takes what it is given.
    """

    name: str
    cordoned: bool = False
    draining: bool = Field(False, description="what can run elsewhere moves off")
    stop_pinned: bool = Field(False, description="draining stops what can run nowhere else, too")
    reason: str = ""
    acknowledged: datetime | None = Field(
        None, description="what its driver reported up to then, somebody has seen to"
    )
    changed_by: str = ""
    changed: datetime = Field(default_factory=utc_now)

    def words(self) -> str:
        """How a person reads it; empty when the node takes what it is given."""
        if not self.cordoned:
            return ""
        what = "draining" if self.draining else "cordoned"
        by = f" by {self.changed_by}" if self.changed_by else ""
        return f"{what}{by}" + (f": {self.reason}" if self.reason else "")


class MeshStatus(Record):
    """What `sparkplug status` prints."""

    mesh: str
    url: str | None
    version: str
    node: dict[str, str | int | list[str] | None]
    nats: dict[str, str | int | bool | None]
    nodes: list[dict[str, str | float | int | None]]


class Nothing(Record):
    """A request or a reply that has nothing to say."""


class NodeInfo(Record):
    """The node of a state directory, as it writes itself down in its run directory."""

    name: str
    pid: int
    started: float = Field(description="start time of the process, seconds since the epoch")
    parent_pid: int | None = None
    state: NodeState
    url: str
    version: str
    cut_off: datetime | None = Field(None, description="since when its lease was not renewed")
    agents: list[str] = Field(
        default_factory=list, description="the replicas that run while it is cut off"
    )


class NodeOutcome(Record):
    """How the daemon ended when it ended on purpose; its parent then does not restart it."""

    outcome: Literal["down", "failed"]
    error: dict[str, str | None] | None = None
