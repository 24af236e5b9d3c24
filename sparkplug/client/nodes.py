"""Nodes as faces show them. Light to import: `sparkplug status` needs nothing more."""

from __future__ import annotations

from datetime import datetime

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.client.deadline import READ_S, within
from sparkplug.schema.base import utc_now
from sparkplug.schema.node import NodeState, ObservedNode

#: A node writes its state every 5 s; after three missed writes it is silent.
STALE_AFTER_S = 15.0


async def read_nodes(bus: Bus) -> list[ObservedNode]:
    """Every node that ever joined and was not removed, by name."""
    async with within(READ_S, "the nodes of the mesh"):
        found = await Bucket(bus, subjects.BUCKET_OBSERVED).read_all(ObservedNode, "nodes.>")
    return sorted(found.values(), key=lambda node: node.name)


def node_age(node: ObservedNode, now: datetime | None = None) -> float:
    """Seconds since the node last wrote, never below zero."""
    return max(0.0, ((now or utc_now()) - node.seen).total_seconds())


def node_state(node: ObservedNode, now: datetime | None = None) -> NodeState:
    """The node's own state, or `stale` when it fell silent without having been taken down."""
    if node.state is NodeState.STOPPED or node_age(node, now) <= STALE_AFTER_S:
        return node.state
    return NodeState.STALE
