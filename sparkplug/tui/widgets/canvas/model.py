"""What is drawn: boxes and edges, as plain data; and where the layout put them, in cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rich.cells import cell_len

from sparkplug.tui.cells import Line, clean, length

#: How heavy an edge is drawn.
Weight = Literal["light", "heavy", "double"]
#: How much is shown: boxes with what is in them, one line each, one symbol each.
Zoom = Literal["full", "line", "dot"]
ZOOMS: tuple[Zoom, ...] = ("dot", "line", "full")
#: Which way edges lead.
Way = Literal["right", "down"]

#: No box is drawn wider or higher than this, and no label longer, in cells.
MOST_WIDE = 40
MOST_HIGH = 12
MOST_LABEL = 16


class Point(NamedTuple):
    """A cell of the plane: columns to the right, rows down."""

    x: int
    y: int


class Rect(NamedTuple):
    """Cells from (x, y) on, `width` columns and `height` rows of them."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column after it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row after it."""
        return self.y + self.height

    def holds(self, x: int, y: int) -> bool:
        """Whether a cell is in it."""
        return self.x <= x < self.right and self.y <= y < self.bottom

    def meets(self, other: Rect) -> bool:
        """Whether they share a cell."""
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.bottom
            and other.y < self.bottom
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its name, what is in it, and how its state is drawn.

    `symbol` and `pen` are the state's, and `note` stands after the name where the box is one
    line. `width` and `height` are the least of what is inside, and `room` that of the note, in
    cells, so that a box does not grow with every figure. `place` is its upper left cell when a
    person put it there; a graph whose boxes all have one is drawn as it was put.
    """

    id: str
    title: str = ""
    lines: tuple[Line, ...] = ()
    pen: str = "line"
    symbol: str = "•"
    width: int = 0
    height: int = 1
    note: str = ""
    room: int = 0
    place: Point | None = None

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        return clean((self.title or self.id)[: 4 * MOST_WIDE])

    @property
    def inside(self) -> tuple[Line, ...]:
        """What is in it, no more of it than is ever drawn."""
        most = 4 * MOST_WIDE
        return tuple(
            tuple((pen, text[:most]) for pen, text in line[:MOST_WIDE])
            for line in self.lines[:MOST_HIGH]
        )

    @property
    def sign(self) -> str:
        """Its symbol, as what can be drawn."""
        return clean(self.symbol[:4])

    @property
    def remark(self) -> str:
        """Its note, as what can be drawn."""
        return clean(self.note[:MOST_WIDE])

    def size(self, zoom: Zoom) -> tuple[int, int]:
        """Columns and rows it takes, border and all."""
        if zoom == "dot":
            return 1, 1
        name = cell_len(self.name)
        if zoom == "line":
            note = max(self.room, cell_len(self.remark))
            return min(MOST_WIDE, cell_len(self.sign) + 3 + name + note + bool(note)), 1
        inside = max([name + 2, self.width, *(length(line) + 2 for line in self.inside)])
        return min(MOST_WIDE, inside) + 2, min(MOST_HIGH, max(1, self.height, len(self.lines))) + 2


class Key(NamedTuple):
    """What tells an edge from others."""

    source: str
    target: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from a box to a box. `room` is the least space kept for its label, in cells."""

    source: str
    target: str
    name: str = ""
    pen: str = "dim"
    weight: Weight = "light"
    label: str = ""
    room: int = 0

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return Key(self.source, self.target, self.name)

    @property
    def words(self) -> str:
        """Its label, as what can be drawn."""
        return clean(self.label[: 4 * MOST_LABEL])

    @property
    def space(self) -> int:
        """The cells kept for its label."""
        return min(MOST_LABEL, max(self.room, cell_len(self.words)))


@dataclass(frozen=True, slots=True)
class Shape:
    """What a layout depends on: sizes of boxes, which edges there are, and the way they lead."""

    sizes: tuple[tuple[str, int, int], ...]
    wires: tuple[tuple[Key, int], ...]
    way: Way = "right"


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes and edges. Edges to boxes that are not there, and second ones of a key, are dropped.

    An edge from a box to itself is not routed; the box is marked with `↻`.
    """

    boxes: tuple[Box, ...] = ()
    edges: tuple[Edge, ...] = ()
    way: Way = "right"
    by_id: Mapping[str, Box] = field(init=False, compare=False, repr=False)
    by_key: Mapping[Key, Edge] = field(init=False, compare=False, repr=False)
    loops: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        ids = {box.id: box for box in self.boxes}
        keys: dict[Key, Edge] = {}
        loops = set()
        for edge in self.edges:
            if edge.source not in ids or edge.target not in ids:
                continue
            if edge.source == edge.target:
                loops.add(edge.source)
            else:
                keys.setdefault(edge.key, edge)
        object.__setattr__(self, "by_id", ids)
        object.__setattr__(self, "by_key", keys)
        object.__setattr__(self, "loops", frozenset(loops))

    @property
    def placed(self) -> bool:
        """Whether a person put every box where it is."""
        return bool(self.by_id) and all(box.place is not None for box in self.by_id.values())

    def shape(self, zoom: Zoom, way: Way | None = None) -> Shape:
        """What its layout depends on, at a zoom; with `way`, were its edges to lead that way."""
        labels = zoom != "dot"
        return Shape(
            tuple((name, *box.size(zoom)) for name, box in self.by_id.items()),
            tuple((key, edge.space if labels else 0) for key, edge in self.by_key.items()),
            way or self.way,
        )


def alike(one: Graph, other: Graph) -> bool:
    """Whether two graphs are laid out the same, at every zoom."""
    return (
        one.way == other.way
        and len(one.boxes) == len(other.boxes)
        and len(one.edges) == len(other.edges)
        and all(
            a is b
            or (
                (a.id, a.place) == (b.id, b.place)
                and all(a.size(zoom) == b.size(zoom) for zoom in ZOOMS)
            )
            for a, b in zip(one.boxes, other.boxes, strict=True)
        )
        and all(
            a is b or (a.key == b.key and a.space == b.space)
            for a, b in zip(one.edges, other.edges, strict=True)
        )
    )


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where everything is. A route goes from the cell beside its source to the one beside its
    target; its points are its ends and corners."""

    places: Mapping[str, Rect] = field(default_factory=dict)
    routes: Mapping[Key, tuple[Point, ...]] = field(default_factory=dict)
    labels: Mapping[Key, Rect] = field(default_factory=dict)
    #: The layer of each box, for a layout that begins where this one ended.
    ranks: Mapping[str, int] = field(default_factory=dict)
    way: Way = "right"

    @property
    def bounds(self) -> Rect:
        """The least rectangle around all of it."""
        xs: list[int] = []
        ys: list[int] = []
        for place in self.places.values():
            xs += (place.x, place.right)
            ys += (place.y, place.bottom)
        for route in self.routes.values():
            for x, y in route:
                xs += (x, x + 1)
                ys += (y, y + 1)
        for label in self.labels.values():
            xs += (label.x, label.right)
            ys += (label.y, label.bottom)
        if not xs:
            return Rect(0, 0, 0, 0)
        return Rect(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
