"""How soon a planted A→B→C→A wait is named: with the three agents and what each waits for.

Counted from the prompt that sets it off until a face that follows the graph has been told.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

from bench.figures import Figure
from fakes.node import Node, eventually
from sparkplug.bus import synadia
from sparkplug.client import agents, cancelling
from sparkplug.client.readiness import wait_ready
from sparkplug.client.session import Client
from sparkplug.client.topology import as_topology, follow_topology, read_topology
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import SparkplugError

_TIMES = 10
_DEADLINE_S = 30.0
_NAMES = ("alpha", "beta", "gamma")
_ASKS = [("alpha/0", "beta/0"), ("beta/0", "gamma/0"), ("gamma/0", "alpha/0")]

RING = """
async def handle(ctx, request):
    name, _, rest = request.text.partition(" ")
    return "done" if name == "end" else await ctx.ask(name, rest)
"""


async def _named(client: Client, going: asyncio.Event) -> float:
    """Seconds until the ring is named."""
    began = 0.0
    async with contextlib.aclosing(follow_topology(client)) as graphs:
        async for body in graphs:
            if not going.is_set():
                # The graph now; the ring is planted before the next is asked for.
                began = time.perf_counter()
                going.set()
                continue
            graph = as_topology(body)
            for ring in graph.rings if graph is not None else ():
                asks = [(wait.from_, wait.to) for wait in ring.waits]
                if ring.certain and asks == _ASKS and all(wait.action for wait in ring.waits):
                    return time.perf_counter() - began
    raise AssertionError("it was never named")


async def _plant(client: Client) -> float:
    going = asyncio.Event()
    target = await agents.target(client, "alpha")
    naming = asyncio.create_task(_named(client, going))
    await going.wait()
    asking = asyncio.create_task(
        synadia.whole(synadia.prompt(client.bus, target, "beta gamma alpha end"))
    )
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await naming
    finally:
        await cancelling.cancel(client, "gamma", every=True)
        with contextlib.suppress(SparkplugError):
            await asking


async def measure(node: Node, folder: Path) -> list[Figure]:
    """Plant and end it, several times."""
    (folder / "ring_bench.py").write_text(RING)
    took = []
    async with node.client() as client:
        for name in _NAMES:
            spec = AgentSpec(name=name, entrypoint="ring_bench:handle", concurrency=1)
            await agents.deploy(client, spec, folder)
        await wait_ready(client, list(_NAMES), 60)
        synadia.use_inbox(client.bus.inbox_prefix)

        async def undone() -> bool:
            return not (await read_topology(client)).rings

        for _ in range(_TIMES):
            took.append(await _plant(client))
            await eventually(undone, _DEADLINE_S)
    return [Figure(f"a planted ring of waits named, worst of {_TIMES}", max(took), "s", 2.0)]


def run() -> list[Figure]:
    """All figures of this file."""
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        try:
            return asyncio.run(measure(node, Path(folder)))
        finally:
            node.close()
