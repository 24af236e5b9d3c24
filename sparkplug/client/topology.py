"""Who talks to whom, as the observer counts it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.hosts import subscribe
from sparkplug.client.session import Client
from sparkplug.schema.node import Nothing
from sparkplug.schema.topology import Topology

_DEADLINE_S = 3.0


async def read_topology(client: Client) -> Topology:
    """The graph now. Raises NoMeshError when no observer answers."""
    return await call(client.bus, subjects.TOPOLOGY_GET, Nothing(), Topology, deadline=_DEADLINE_S)


async def follow_topology(client: Client) -> AsyncGenerator[Topology, None]:
    """The graph now, then every time it is published (at most once a second), for ever."""
    updates = subscribe(client, subjects.TOPOLOGY, Topology)
    async with contextlib.aclosing(updates):
        yield await read_topology(client)
        async for graph in updates:
            yield graph
