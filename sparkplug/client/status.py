"""The mesh in a few words: this host's node, its server, and every node there is."""

from __future__ import annotations

from sparkplug import __version__
from sparkplug.bus.server import read_server
from sparkplug.client.node_orders import read_orders
from sparkplug.client.nodes import node_age, node_state, read_nodes
from sparkplug.client.session import Client
from sparkplug.config import Settings
from sparkplug.paths import Paths
from sparkplug.schema.base import utc_now
from sparkplug.schema.node import MeshStatus


async def mesh_status(client: Client | None, paths: Paths, settings: Settings) -> MeshStatus:
    """What `sparkplug status` prints; without a client, what can be told from this host alone."""
    from sparkplug.client.local import read_node

    node = read_node(paths)
    cut_off = node.cut_off if node else None
    server = read_server(paths.run)
    version: str | None = server.version if server else None
    nodes: list[dict[str, str | float | int | None]] = []
    url = server.url if server else None
    owned = server is not None
    if client is not None:
        url = client.bus.shown_url
        owned = client.private
        told = client.bus.nc.connected_server_version
        version = f"{told.major}.{told.minor}.{told.patch}"
        now = utc_now()
        orders = await read_orders(client.bus)
        nodes = [
            {
                "name": found.name,
                "state": str(node_state(found, now)),
                "version": found.version,
                "protocol": found.protocol,
                "pid": found.pid,
                "age_seconds": round(node_age(found, now), 1),
                "reason": found.reason,
                "clock_offset_seconds": found.clock_offset_seconds,
                "order": orders[found.name].words() if found.name in orders else "",
            }
            for found in await read_nodes(client.bus)
        ]
    return MeshStatus(
        mesh=client.mesh if client is not None else settings.mesh.name,
        url=url,
        version=__version__,
        node={
            "name": node.name if node else settings.node.name,
            "pid": node.pid if node else None,
            "state": str(node.state) if node else "stopped",
            "cut_off": cut_off.isoformat() if cut_off else None,
            "agents": list(node.agents) if node and cut_off else [],
        },
        nats={
            "version": version,
            "pid": server.pid if server and owned else None,
            "owned": owned,
        },
        nodes=nodes,
    )
