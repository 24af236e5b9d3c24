"""Who talks to whom: as a graph, and as lines where that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkplug.tui.cells import Line, Span, fit
from sparkplug.tui.panes.talk_marks import RATE_ROOM, SYMBOLS, pen_of, rate_words, weight_of

if TYPE_CHECKING:
    from sparkplug.schema.topology import Topology, TopologyEdge
    from sparkplug.tui.widgets.canvas.model import Graph

#: Pairs that are told one by one.
_PAIRS = 60


def talk_lines(topology: Topology, width: int, height: int) -> list[Line]:
    """The graph when it fits in so many cells, else a line for each pair, the busiest first."""
    from sparkplug.tui.widgets.canvas.picture import picture

    # Names and rates take cells of their own: what has no room even for these is not laid out,
    # which takes a quarter of a second for three hundred pairs.
    names = {name for edge in topology.edges for name in (edge.from_, edge.to)}
    if len(topology.edges) * RATE_ROOM + sum(map(len, names)) > width * height:
        return pair_lines(topology, width)
    drawn = picture(talk_graph(topology), width, height, ("line",))
    return drawn if drawn is not None else pair_lines(topology, width)


def talk_graph(topology: Topology) -> Graph:
    """Those who talk as boxes, with how many requests they have in hand; pairs as edges, by
    their rate and their share of errors."""
    from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph

    kinds = {node.name: node for node in topology.nodes}
    pairs = sorted(topology.edges, key=lambda edge: (edge.from_, edge.to))
    names = sorted({name for edge in pairs for name in (edge.from_, edge.to)})
    boxes = []
    for name in names:
        node = kinds.get(name)
        depth = node.queue_depth if node is not None else 0
        symbol = SYMBOLS.get(node.kind if node is not None else "", "?")
        if depth:
            symbol = str(depth) if depth < 10 else "+"
        boxes.append(Box(name, name, pen="active" if depth else "dim", symbol=symbol))
    edges = []
    for edge in pairs:
        label = rate_words(edge.rate_per_second)
        label += f" ✖{edge.errors}" if edge.errors else ""
        room = RATE_ROOM + (len(str(edge.errors)) + 2 if edge.errors else 0)
        weight = weight_of(edge.rate_per_second)
        edges.append(
            Edge(
                edge.from_,
                edge.to,
                "",
                pen_of(edge.messages, edge.errors, busy=_busy(edge)),
                weight,
                label,
                room,
            )
        )
    return Graph(tuple(boxes), tuple(edges))


def pair_lines(topology: Topology, width: int) -> list[Line]:
    """A line for each pair, the busiest first; of very many the busiest alone."""
    edges = sorted(topology.edges, key=lambda e: (-e.rate_per_second, -e.messages, e.from_, e.to))
    name = max(6, min(16, (width - 22) // 2))
    lines: list[Line] = []
    for edge in edges[:_PAIRS]:
        busy = "active" if _busy(edge) else "dim"
        arrow = {"light": "──▶", "heavy": "━━▶", "double": "══▶"}[weight_of(edge.rate_per_second)]
        line: list[Span] = [
            ("text", fit(edge.from_, name, "right")),
            (pen_of(edge.messages, edge.errors, busy=_busy(edge)), f" {arrow} "),
            ("text", fit(edge.to, name)),
            (busy, f" {rate_words(edge.rate_per_second):>7} "),
            ("dim", f"{edge.messages}"),
        ]
        if edge.errors:
            line.append(("bad", f" ✖{edge.errors}"))
        if edge.latency_p50_ms is not None and width > 60:
            line.append(("dim", f" p50 {edge.latency_p50_ms:.0f} ms"))
        lines.append(tuple(line))
    if (more := len(edges) - _PAIRS) > 0:
        lines.append((("dim", f"and {more} quieter pairs; `sparkplug topology` tells them all"),))
    return lines


def _busy(edge: TopologyEdge) -> bool:
    return edge.rate_per_second > 0 or edge.inflight > 0
