"""Nodes as faces show them. Light to import: `sparkplug status` needs nothing more."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, Entry, decode
from sparkplug.bus.clock import clock_offset
from sparkplug.bus.connection import Bus
from sparkplug.client.deadline import READ_S, within
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.node import NodeState, ObservedNode

log = logging.getLogger(__name__)

#: A node writes its state every 5 s; after three missed writes it is silent.
STALE_AFTER_S = 15.0


async def read_nodes(bus: Bus) -> list[ObservedNode]:
    """Every node that ever joined and was not removed, by name.

    `seen` is by this host's clock, whatever the clocks of the nodes say.
    """
    async with within(READ_S, "the nodes of the mesh"):
        entries = await Bucket(bus, subjects.BUCKET_OBSERVED).entries("nodes.>")
        ahead = await clock_ahead(bus)
    found = [node for entry in entries if (node := decode_node(entry, ahead)) is not None]
    return sorted(found, key=lambda node: node.name)


async def clock_ahead(bus: Bus) -> float:
    """Seconds by which this host's clock is ahead of the server's; 0 where that is not told."""
    try:
        return await clock_offset(bus)
    except (TimeoutError, SparkplugError) as error:
        log.debug("clock: %s", error)
        return 0.0


def decode_node(entry: Entry, ahead: float) -> ObservedNode | None:
    """A node's record, with `seen` as this host's clock had it when the server got it.

    `ahead` is by how many seconds this host's clock is ahead of the server's.
    """
    node = decode(ObservedNode, entry)
    if node is not None and entry.time is not None:
        node.seen = entry.time + timedelta(seconds=ahead - node.silent_seconds)
    return node


def node_age(node: ObservedNode, now: datetime | None = None) -> float:
    """Seconds since the server was last written to by the node, never below zero."""
    return max(0.0, ((now or utc_now()) - node.seen).total_seconds())


def node_state(node: ObservedNode, now: datetime | None = None) -> NodeState:
    """The node's own state, or `stale` when it fell silent without having been taken down.

    The placer marks a node whose lease lapsed; this tells the same while no placer is there.
    """
    if node.state is NodeState.STOPPED or node_age(node, now) <= STALE_AFTER_S:
        return node.state
    return NodeState.STALE
