"""What stands below the graph: who is stuck, what is selected, and what is not counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sparkplug.schema.circuits import breaker_words
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line
from sparkplug.tui.figures import duration, size
from sparkplug.tui.panes.talk_graph import Drawn
from sparkplug.tui.panes.talk_marks import breaker_pen, rate_words
from sparkplug.tui.symbols import BREAKER

if TYPE_CHECKING:
    from sparkplug.schema.topology import EdgeBreaker, Topology, TopologyEdge, WaitRing
    from sparkplug.tui.widgets.canvas.raster import Item


def detail_lines(
    topology: Topology,
    drawn: Drawn,
    selected: Item | None,
    *,
    opened: str | None,
    key: Callable[[str], str],
    width: int,
) -> list[Line]:
    """Rings of waits first, then circuit breakers that are not closed (those of the selection
    where there is one); then the selection; then what the counts leave out."""
    lines: list[Line] = []
    for ring in topology.rings:
        lines += _ring(ring, width)
    lines += _breakers(topology, drawn, selected)
    if isinstance(selected, str):
        lines.append(_box(topology, drawn, selected, key))
    elif selected is not None and selected in drawn.pairs:
        lines.append(_pair(topology, drawn, selected))
    elif not lines:
        lines.append(_all(topology))
    if opened is not None:
        lines.append((("focus", f"in {one_line(opened)}"), ("dim", " esc closes it")))
    if drawn.quieter:
        lines.append((("dim", f"{drawn.quieter} quieter pairs are not drawn; the rows have all"),))
    if topology.gaps or topology.uncounted:
        told = f"cut off {topology.gaps}×: " if topology.gaps else ""
        more = f"{topology.uncounted} messages of further pairs" if topology.uncounted else "what"
        rest = " are not counted" if topology.uncounted else " was said meanwhile is not counted"
        lines.append((("warn", f"! {told}{more}{rest}"),))
    return lines


def _ring(ring: WaitRing, width: int) -> list[Line]:
    names = " → ".join(one_line(name) for name in [*ring.agents, ring.agents[0]])
    what = "deadlock" if ring.certain else "waiting in a ring, may come undone"
    pen = "bad" if ring.certain else "warn"
    lines: list[Line] = [((pen, f"⊗ {what}: "), ("text", names))]
    waits = [
        f"{one_line(w.from_)} waits {duration(w.seconds)} for {one_line(w.to)} to "
        f"{one_line(w.action)}"
        for w in ring.waits
    ]
    lines.append((("dim", f"  {'; '.join(waits)}"[: 4 * width]),))
    return lines


def _breakers(topology: Topology, drawn: Drawn, selected: Item | None) -> list[Line]:
    told = topology.breakers
    if isinstance(selected, str):
        told = [one for one in told if selected in _boxes(one, drawn)]
    elif selected is not None:
        told = [one for one in told if _boxes(one, drawn) == selected[:2]]
    if not told:
        return []
    first = told[0]
    more = f"; {len(told) - 1} more" if len(told) > 1 else ""
    names = f"{one_line(first.from_)} leaves {one_line(first.to)} alone"
    return [
        (
            (breaker_pen(first.state), f"{BREAKER} {first.state}: "),
            ("text", names),
            ("dim", f", {breaker_words(first)}{more}"),
        )
    ]


def _boxes(one: EdgeBreaker, drawn: Drawn) -> tuple[str, str]:
    names = [name.partition("/")[0] for name in (one.from_, one.to)]
    return drawn.box_of.get(names[0], ""), drawn.box_of.get(names[1], "")


def _all(topology: Topology) -> Line:
    count, nodes = len(topology.edges), len(topology.nodes)
    return (
        ("active", rate_words(topology.messages_per_second)),
        ("dim", f" in {count} pair{'s' * (count != 1)}"),
        ("dim", f" among {nodes} participant{'s' * (nodes != 1)}"),
        ("dim", f", counted by {topology.observer}" if topology.observer else ""),
    )


def _pair(topology: Topology, drawn: Drawn, selected: Item) -> Line:
    pair = drawn.pairs[selected]  # type: ignore[index]
    edges = [e for e in topology.edges if (e.from_, e.to) in set(pair.pairs)]
    spent = max((e.latency_p95_ms or 0.0 for e in edges), default=0.0)
    errors = ("bad", f" ✖{pair.errors}") if pair.errors else ("dim", "")
    several = f" of {len(edges)} pairs" if len(edges) > 1 else ""
    return (
        ("text", f"{one_line(pair.source)} → {one_line(pair.target)}  "),
        ("active", rate_words(pair.rate)),
        ("dim", f"  {pair.messages} messages{several}, {size(sum(e.bytes for e in edges))}"),
        errors,
        ("dim", f", {pair.inflight} in flight" if pair.inflight else ""),
        ("dim", f", p95 {duration(spent / 1000)}" if spent else ""),
        ("dim", "  enter: its messages" if len(edges) == 1 else ""),
    )


def _box(topology: Topology, drawn: Drawn, selected: str, key: Callable[[str], str]) -> Line:
    members = set(drawn.boxes.get(selected, ()))
    nodes = [node for node in topology.nodes if node.name in members]
    heard = _rate_of(e for e in topology.edges if e.to in members)
    said = _rate_of(e for e in topology.edges if e.from_ in members)
    depth = sum(node.queue_depth for node in nodes)
    waiting = sum(node.waiting for node in nodes)
    more: str
    if len(members) > 1:
        more = f"  {len(members)} of them; {key('topology.crowd') or 'o'} opens it"
    else:
        more = "  enter: its messages"
    return (
        ("text", one_line(selected)),
        ("dim", "  hears "),
        ("active", heard),
        ("dim", ", says "),
        ("active", said),
        ("active" if depth else "dim", f", {depth} in flight"),
        ("warn" if waiting else "dim", f", {waiting} not begun"),
        ("dim", more),
    )


def _rate_of(edges: Iterable[TopologyEdge]) -> str:
    return rate_words(sum(edge.rate_per_second for edge in edges))
