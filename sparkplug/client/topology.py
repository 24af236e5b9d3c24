"""Who talks to whom, as the observer counts it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.service import call
from sparkplug.client.hosts import receive
from sparkplug.client.session import Client
from sparkplug.schema.errors import NoMeshError
from sparkplug.schema.node import Nothing
from sparkplug.schema.topology import Topology

_DEADLINE_S = 3.0
_TAKE_OVER_S = 5.0
_AGAIN_S = 0.25


async def read_topology(client: Client) -> Topology:
    """The graph now. Raises NoMeshError when no observer answers, nor another takes over."""
    until = time.monotonic() + _TAKE_OVER_S
    while True:
        try:
            return await call(
                client.bus, subjects.TOPOLOGY_GET, Nothing(), Topology, deadline=_DEADLINE_S
            )
        except NoMeshError:
            # Its lease lapses before another observes.
            if time.monotonic() > until or not client.bus.connected:
                raise
        await asyncio.sleep(_AGAIN_S)


async def follow_topology(client: Client) -> AsyncGenerator[bytes, None]:
    """The graph now, then whenever another is published (at most once a second), for ever.

    It comes as JSON, for `as_topology`: a graph of hundreds of pairs that nobody looks at is not
    worth reading every second.
    """
    updates = receive(client, subjects.TOPOLOGY)
    async with contextlib.aclosing(updates):
        last = (await read_topology(client)).model_dump_json(by_alias=True).encode()
        yield last
        async for body in updates:
            if body != last:
                last = body
                yield body


def as_topology(body: bytes) -> Topology | None:
    """The graph of a message; None when it does not hold."""
    try:
        return Topology.model_validate_json(body)
    except ValidationError:
        return None
