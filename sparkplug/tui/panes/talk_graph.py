"""Who talks to whom as a graph that fits: crowds as one box, the busiest pairs, paths, rings.

What is drawn stays the same while only counts change: which pairs are drawn is chosen anew when
there are others, and not when one becomes a little busier than another.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sparkplug.tui.panes.talk_marks import (
    RATE_ROOM,
    SYMBOLS,
    breaker_pen,
    pen_of,
    rate_words,
    weight_of,
)
from sparkplug.tui.symbols import BREAKER
from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph, Key

if TYPE_CHECKING:
    from sparkplug.schema.topology import BreakerState, Topology, TopologyEdge
    from sparkplug.tui.widgets.canvas.raster import Item

#: Boxes and pairs that are drawn at most: what a person can read, and a terminal shows.
MOST_BOXES = 36
MOST_PAIRS = 72
#: Pairs up to which each has its rate beside it.
_LABELLED = 24
_NOTE = 4
_WORSE = {"closed": 0, "half-open": 1, "open": 2}
_STEM = re.compile(r"[-_.]?\d+$")
#: What is in the box of a hub: nothing is in hand there.
_HUBS = {"group": "group", "subject": "topic"}
#: What stands for those that are drawn in no box of their own.
OTHERS = "others"


@dataclass(slots=True)
class Pair:
    """What is said between two boxes: of one pair, or of many."""

    source: str
    target: str
    messages: int = 0
    errors: int = 0
    rate: float = 0.0
    inflight: int = 0
    breaker: BreakerState = "closed"
    pairs: list[tuple[str, str]] = field(default_factory=list)

    def add(self, edge: TopologyEdge) -> None:
        """Take a pair in."""
        self.messages += edge.messages
        self.errors += edge.errors
        self.rate += edge.rate_per_second
        self.inflight += edge.inflight
        if _WORSE[edge.breaker] > _WORSE[self.breaker]:
            self.breaker = edge.breaker
        self.pairs.append((edge.from_, edge.to))

    @property
    def busy(self) -> bool:
        """Whether anything is said now."""
        return self.rate > 0 or self.inflight > 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A graph, who is in which box, what is between boxes, and what is not drawn."""

    graph: Graph = field(default_factory=Graph)
    boxes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: dict[Key, Pair] = field(default_factory=dict)
    box_of: dict[str, str] = field(default_factory=dict)
    quieter: int = 0

    @property
    def crowds(self) -> frozenset[str]:
        """Boxes that stand for several."""
        return frozenset(name for name, members in self.boxes.items() if len(members) > 1)


class TalkGraph:
    """Makes the graph, and remembers what of it was drawn."""

    def __init__(self) -> None:
        #: The crowd that is drawn one by one.
        self.opened: str | None = None
        self._kept: frozenset[Key] = frozenset()
        self._ranked: dict[str, int] = {}
        self._made_of: tuple[object, ...] = ()

    def draw(
        self,
        topology: Topology,
        takes: Callable[[TopologyEdge], bool],
        selected: Item | None = None,
        *,
        labels: bool = True,
    ) -> Drawn:
        """The pairs that `takes` takes, as a graph; paths through what is `selected` stand out.

        `labels`: where pairs are few, each has its rate beside it.
        """
        edges = [edge for edge in topology.edges if takes(edge)]
        kinds = {node.name: node for node in topology.nodes}
        names = sorted({name for edge in edges for name in (edge.from_, edge.to)})
        box_of = self._gather(names, edges)
        boxes: dict[str, list[str]] = defaultdict(list)
        for name in names:
            boxes[box_of[name]].append(name)
        pairs: dict[Key, Pair] = {}
        for edge in edges:
            key = Key(box_of[edge.from_], box_of[edge.to])
            pair = pairs.get(key)
            if pair is None:
                pair = pairs[key] = Pair(*key[:2])
            pair.add(edge)
        waits = _waiting(topology, box_of)
        chosen = self._choose(pairs, waits)
        near = _paths(chosen, selected)
        labels = labels and len(chosen) <= _LABELLED
        made_edges = [
            _edge(pairs[key], waits.get(key), labels=labels, near=near is None or key in near)
            for key in sorted(chosen)
        ]
        shunned: dict[str, BreakerState] = {}
        for pair in pairs.values():
            if _WORSE[pair.breaker] > _WORSE[shunned.get(pair.target, "closed")]:
                shunned[pair.target] = pair.breaker
        ringed = {name: certain for key, certain in waits.items() for name in key[:2]}
        on_path = {name for key in near or () for name in key[:2]}
        made_boxes = []
        for name in sorted(boxes):
            members = boxes[name]
            known = [kinds[one] for one in members if one in kinds]
            made = _box(
                name,
                members,
                kind=known[0].kind if len({node.kind for node in known}) == 1 else "",
                depth=sum(node.queue_depth for node in known),
                waiting=sum(node.waiting for node in known),
                ring=ringed.get(name),
                breaker=shunned.get(name, "closed"),
            )
            if near is not None and name not in on_path and name != selected:
                made = replace(made, pen="line")
            made_boxes.append(made)
        return Drawn(
            Graph(tuple(made_boxes), tuple(made_edges)),
            {name: tuple(members) for name, members in boxes.items()},
            {key: pairs[key] for key in chosen},
            box_of,
            len(pairs) - len(chosen),
        )

    def _gather(self, names: Sequence[str], edges: Sequence[TopologyEdge]) -> dict[str, str]:
        """The box of each name: its own, or that of its crowd where there are too many."""
        if len(names) <= MOST_BOXES:
            return {name: name for name in names}
        stems = {name: _STEM.sub("", name) or name for name in names}
        counts = Counter(stems.values())
        found = {}
        for name, stem in stems.items():
            alone = counts[stem] == 1 or stem == self.opened
            found[name] = name if alone else _crowd(stem, counts[stem])
        if len(set(found.values())) <= MOST_BOXES:
            return found
        # Still too many: those that said most keep a box, chosen anew only when others come.
        made_of = (tuple(names), self.opened)
        if made_of != self._made_of:
            self._made_of = made_of
            said: Counter[str] = Counter()
            for edge in edges:
                said[found[edge.from_]] += edge.messages
                said[found[edge.to]] += edge.messages
            ordered = sorted(set(found.values()), key=lambda box: (-said[box], box))
            self._ranked = {box: rank for rank, box in enumerate(ordered)}
        kept = {box for box, rank in self._ranked.items() if rank < MOST_BOXES - 1}
        left = sum(1 for box in found.values() if box not in kept)
        return {name: box if box in kept else _crowd(OTHERS, left) for name, box in found.items()}

    def _choose(self, pairs: dict[Key, Pair], waits: dict[Key, bool]) -> frozenset[Key]:
        """The pairs that are drawn: those that were, rings, and the busiest where there is room."""
        if len(pairs) <= MOST_PAIRS:
            self._kept = frozenset(pairs)
            return self._kept
        kept = {key for key in self._kept if key in pairs} | (waits.keys() & pairs.keys())
        if len(kept) < MOST_PAIRS:
            ordered = sorted(pairs.values(), key=lambda p: (-p.messages, p.source, p.target))
            for pair in ordered:
                kept.add(Key(pair.source, pair.target))
                if len(kept) >= MOST_PAIRS:
                    break
        self._kept = frozenset(kept)
        return self._kept


def stem_of(box: str) -> str:
    """The stem that a crowd's box is named by."""
    return box.partition(" ×")[0]


def _crowd(stem: str, count: int) -> str:
    return f"{stem} ×{count}"


def _waiting(topology: Topology, box_of: dict[str, str]) -> dict[Key, bool]:
    """The pairs of rings of waits, and whether the ring is certain."""
    found: dict[Key, bool] = {}
    for ring in topology.rings:
        for wait in ring.waits:
            ends = [name.partition("/")[0] for name in (wait.from_, wait.to)]
            if all(end in box_of for end in ends):
                key = Key(box_of[ends[0]], box_of[ends[1]])
                found[key] = found.get(key, False) or ring.certain
    return found


def _paths(keys: Iterable[Key], selected: Item | None) -> frozenset[Key] | None:
    """The edges of all paths that lead to what is selected, or from it; None: nothing is."""
    if selected is None:
        return None
    keys = list(keys)
    ends = (selected, selected) if isinstance(selected, str) else selected[:2]
    before: dict[str, list[Key]] = defaultdict(list)
    after: dict[str, list[Key]] = defaultdict(list)
    for key in keys:
        after[key.source].append(key)
        before[key.target].append(key)
    found = set() if isinstance(selected, str) else {Key(*ends)} & set(keys)
    for start, leads, end in ((ends[0], before, 0), (ends[1], after, 1)):
        todo, seen = [start], {start}
        while todo:
            for key in leads[todo.pop()]:
                found.add(key)
                if key[end] not in seen:
                    seen.add(key[end])
                    todo.append(key[end])
    return frozenset(found)


def _box(
    name: str,
    members: Sequence[str],
    *,
    kind: str,
    depth: int,
    waiting: int,
    ring: bool | None,
    breaker: BreakerState,
) -> Box:
    symbol = SYMBOLS.get(kind, "●")
    pen = "active" if depth else "dim"
    if len(members) > 1:
        symbol = "▣"
    if ring is not None:
        symbol, pen = "⊗", "bad" if ring else "warn"
    elif breaker != "closed":
        symbol, pen = BREAKER, breaker_pen(breaker)
    elif waiting:
        pen = "warn" if waiting >= 10 else "active"
    note = f"{min(depth, 9999)}" if depth else ""
    words = _HUBS.get(kind) or _depth(depth, waiting)
    if ring is not None or breaker != "closed":
        lines = (((pen, f"{symbol} {words}"),),)
    else:
        # What is no agent says so inside, too, where the symbol is not beside its name.
        sign = f"{symbol} " if kind in SYMBOLS and kind != "agent" and len(members) == 1 else ""
        lines = ((("active" if depth else "dim", sign + words),),)
    return Box(
        name, name, lines=lines, pen=pen, symbol=symbol, width=14, height=1, note=note, room=_NOTE
    )


def _depth(depth: int, waiting: int) -> str:
    if not depth:
        return "idle"
    return f"{depth} in hand" if not waiting else f"{depth - waiting} +{waiting} wait"


def _edge(pair: Pair, ring: bool | None, *, labels: bool, near: bool) -> Edge:
    label = ""
    if labels:
        label = rate_words(pair.rate) + (f" ✖{pair.errors}" if pair.errors else "")
    pen = pen_of(pair.messages, pair.errors, busy=pair.busy) if near else "line"
    weight = weight_of(pair.rate)
    if pair.breaker != "closed":
        pen = breaker_pen(pair.breaker) if near else pen
        label = f"{BREAKER} {pair.breaker}" if labels else label
    if ring is not None:
        pen, weight = ("bad" if ring else "warn"), "double"
        label = "waits" if labels else label
    room = RATE_ROOM + (len(str(pair.errors)) + 2 if pair.errors else 0) if labels else 0
    return Edge(pair.source, pair.target, "", pen, weight, label, room)
