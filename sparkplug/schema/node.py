"""Nodes: how a daemon shows itself, and what its services answer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.host import GpuState


class NodeState(StrEnum):
    """How a node is. `stale` means silent: its lease lapsed and it was not taken down."""

    STARTING = "starting"
    READY = "ready"
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
    pid: int
    started: datetime = Field(default_factory=utc_now)
    seen: datetime = Field(default_factory=utc_now, description="when it last wrote this")
    cores: int = 0
    reason: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    gpus: list[str] = Field(default_factory=list, description="UUIDs of the GPUs that work")
    gpu_room: list[GpuRoom] = Field(default_factory=list, description="all its GPUs, lost ones too")
    simulated: bool = False


class NodeOrder(Record):
    """What people want of a node, in the `nodes` bucket: whether it takes anything new.

    A node that nobody ever said anything about takes what it is given.
    """

    name: str
    cordoned: bool = False
    draining: bool = Field(False, description="what can run elsewhere moves off")
    stop_pinned: bool = Field(False, description="draining stops what can run nowhere else, too")
    reason: str = ""
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
    node: dict[str, str | int | None]
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


class NodeOutcome(Record):
    """How the daemon ended when it ended on purpose; its parent then does not restart it."""

    outcome: Literal["down", "failed"]
    error: dict[str, str | None] | None = None
