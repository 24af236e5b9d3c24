"""Placing, asked about: where replicas would go, and whether a node still runs what is to leave."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.base import Record


class PreviewRequest(Record):
    """Ask the placer where the replicas of these agents would go, were they wanted now.

    With `drain` it is asked of the replicas on that node, were it drained.
    """

    specs: list[AgentSpec] = Field(default_factory=list, max_length=1000)
    drain: str | None = None
    stop_pinned: bool = False


class PreviewedReplica(Record):
    """Where one replica would go, and why not elsewhere."""

    agent: str
    replica: int
    what: Literal["stays", "goes", "moves", "waits"]
    node: str | None = None
    gpus: list[str] = Field(default_factory=list, description="GPU UUIDs")
    why: str = ""
    elsewhere: dict[str, str] = Field(
        default_factory=dict, description="why not there, by the name of each other node"
    )


class PreviewReply(Record):
    """Where replicas would go. Nothing was changed."""

    placer: str = Field("", description="the node that answered")
    replicas: list[PreviewedReplica]
