"""`sparkplug topology`."""

from __future__ import annotations

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.circuits import breaker_words
from sparkplug.schema.plain import plain
from sparkplug.schema.topology import Topology, TopologyEdge


async def topology(cli: Cli) -> int:
    """Who talks to whom."""
    from sparkplug.client.topology import read_topology

    async with cli.connect() as client:
        if cli.out.structured and not cli.option("watch", False):
            cli.out.data(topology_data(await read_topology(client)))
            return 0

        async def fetch() -> list[TopologyEdge]:
            graph = await read_topology(client)
            if not cli.option("watch", False):
                for line in remarks(graph):
                    cli.out.talk(line)
            return sorted(graph.edges, key=lambda edge: (-edge.messages, edge.from_, edge.to))

        return await show(cli, fetch, EDGES)


def remarks(graph: Topology) -> list[str]:
    """What stands beside the table: who waits in a ring, which circuit breakers are not closed,
    and what is not counted."""
    lines = []
    for ring in graph.rings:
        what = "a deadlock" if ring.certain else "waiting in a ring"
        told = "; ".join(
            f"{wait.from_} waits for {wait.to} to {wait.action} ({wait.seconds:.0f} s)"
            for wait in ring.waits
        )
        lines.append(f"{what}: {told}")
    lines += [f"{one.from_} leaves {one.to} alone: {breaker_words(one)}" for one in graph.breakers]
    if graph.gaps:
        times = "once" if graph.gaps == 1 else f"{graph.gaps} times"
        since = f" since {figures.clock(graph.since)}" if graph.since else ""
        lines.append(
            f"the observer was cut off {times}{since}: what was said meanwhile is not counted"
        )
    if graph.uncounted:
        lines.append(f"{graph.uncounted} messages of further pairs are not counted")
    return lines


def topology_data(graph: Topology) -> dict[str, object]:
    """The graph as `topology --json` has it."""
    return plain(graph, by_alias=True)


EDGES: Listing[TopologyEdge] = Listing(
    columns=(
        Column("from", lambda e: e.from_),
        Column("to", lambda e: e.to),
        Column("messages", lambda e: e.messages, right=True),
        Column("bytes", lambda e: figures.size(e.bytes), right=True),
        Column("errors", lambda e: e.errors, right=True),
        Column("now", lambda e: e.inflight or None, right=True),
        Column("rate", lambda e: f"{e.rate_per_second:.1f}/s", right=True),
        Column(
            "p50",
            lambda e: None if e.latency_p50_ms is None else f"{e.latency_p50_ms:.1f}ms",
            right=True,
        ),
        Column(
            "p95",
            lambda e: None if e.latency_p95_ms is None else f"{e.latency_p95_ms:.1f}ms",
            right=True,
        ),
        Column("breaker", lambda e: None if e.breaker == "closed" else e.breaker),
        Column("replies", lambda e: e.replies, wide=True, right=True),
        Column("forged", lambda e: e.forged or None, wide=True, right=True),
    ),
    name=lambda e: f"{e.from_}/{e.to}",
    data=lambda e: plain(e, by_alias=True),
    empty="nobody has spoken to anybody yet",
)
