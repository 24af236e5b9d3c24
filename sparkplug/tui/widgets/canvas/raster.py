"""What is in each row of the plane, made when it is first looked at and kept until it changes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from sparkplug.tui.cells import Line, Span, fit
from sparkplug.tui.widgets.canvas import ink
from sparkplug.tui.widgets.canvas.faces import face
from sparkplug.tui.widgets.canvas.model import Box, Drawing, Edge, Graph, Key, Point, Rect, Zoom

#: What can be selected: a box by its id, an edge by its key.
Item = str | Key

#: Whose pen is seen where edges share a cell.
_RANK = {"bad": 5, "warn": 4, "active": 3, "focus": 2, "ok": 2, "text": 1}


class Run(NamedTuple):
    """Text of one pen, from a column on, so many cells wide."""

    x: int
    cells: int
    pen: str | Style
    text: str


class Piece(NamedTuple):
    """A part of an edge in one row: columns `x` to `end`, with lines to these sides."""

    x: int
    end: int
    sides: int
    key: Key


class Raster:
    """A drawing as rows of runs."""

    def __init__(self, graph: Graph, drawing: Drawing, zoom: Zoom) -> None:
        self.graph, self.drawing, self.zoom = graph, drawing, zoom
        self.bounds = drawing.bounds
        self.selected: Item | None = None
        self._rows: dict[int, list[Run]] = {}
        self._boxes: dict[int, list[tuple[int, str]]] = {}
        self._pieces: dict[int, list[Piece]] = {}
        self._tips: dict[int, list[tuple[int, str, Key]]] = {}
        self._labels: dict[int, list[tuple[Rect, Key]]] = {}
        for name, place in drawing.places.items():
            for y in range(place.y, place.bottom):
                self._boxes.setdefault(y, []).append((place.x, name))
        for boxes in self._boxes.values():
            boxes.sort()
        for key, route in drawing.routes.items():
            self._trace(key, route)
        for key, label in drawing.labels.items():
            self._labels.setdefault(label.y, []).append((label, key))

    def _trace(self, key: Key, route: tuple[Point, ...]) -> None:
        """Put an edge into the rows it goes through."""
        first = _side(self.drawing.places[key.source], route[0])
        tip = _opposite(_side(self.drawing.places[key.target], route[-1]))
        came = first
        for (x, y), (to_x, to_y) in pairwise(route):
            if y == to_y:
                goes = ink.RIGHT if to_x > x else ink.LEFT
                self._add(y, Piece(x, x, came | goes, key))
                low, high = min(x, to_x) + 1, max(x, to_x) - 1
                if low <= high:
                    self._add(y, Piece(low, high, ink.ACROSS, key))
            else:
                goes = ink.DOWN if to_y > y else ink.UP
                self._add(y, Piece(x, x, came | goes, key))
                for row in range(min(y, to_y) + 1, max(y, to_y)):
                    self._add(row, Piece(x, x, ink.UPRIGHT, key))
            came = _opposite(goes)
        x, y = route[-1]
        to = _side(self.drawing.places[key.target], route[-1])
        self._add(y, Piece(x, x, came | to, key))
        self._tips.setdefault(y, []).append((x, ink.TIPS[_opposite(tip)], key))

    def _add(self, y: int, piece: Piece) -> None:
        self._pieces.setdefault(y, []).append(piece)

    # What is where

    def box_at(self, x: int, y: int) -> str | None:
        """The box in a cell."""
        for start, name in self._boxes.get(y, ()):
            if start <= x < self.drawing.places[name].right:
                return name
        return None

    def edge_at(self, x: int, y: int) -> Key | None:
        """The edge in a cell, or the one whose label is there; the most important of several."""
        for label, key in self._labels.get(y, ()):
            if label.holds(x, y):
                return key
        found = [piece.key for piece in self._pieces.get(y, ()) if piece.x <= x <= piece.end]
        return max(found, key=lambda key: self._rank(self._edge(key)), default=None)

    def regions(self, item: Item) -> Iterator[Rect]:
        """The cells that an item is drawn in, as rectangles."""
        if isinstance(item, str):
            if item in self.drawing.places:
                yield self.drawing.places[item]
            return
        for (x, y), (to_x, to_y) in pairwise(self.drawing.routes.get(item, ())):
            low, top = min(x, to_x), min(y, to_y)
            yield Rect(low, top, abs(to_x - x) + 1, abs(to_y - y) + 1)
        if item in self.drawing.routes:
            yield Rect(*self.drawing.routes[item][-1], 1, 1)
        if item in self.drawing.labels:
            yield self.drawing.labels[item]

    # What changes

    def select(self, item: Item | None) -> list[Rect]:
        """Mark another box or edge; the cells that look different now."""
        if item == self.selected:
            return []
        both = (self.selected, item)
        self.selected = item
        return self._forget(one for one in both if one is not None)

    def take(self, graph: Graph) -> list[Rect]:
        """A graph of the same shape, with other words and pens; the cells that look different."""
        old, self.graph = self.graph, graph
        changed: list[Item] = [
            name for name, box in graph.by_id.items() if _differ(box, old.by_id.get(name))
        ]
        changed += [key for key, edge in graph.by_key.items() if _differ(edge, old.by_key.get(key))]
        changed += old.loops ^ graph.loops
        return self._forget(changed)

    def _forget(self, items: Iterable[Item]) -> list[Rect]:
        found = [region for item in items for region in self.regions(item)]
        for region in found:
            for y in range(region.y, region.bottom):
                self._rows.pop(y, None)
        return found

    # What is drawn

    def row(self, y: int) -> list[Run]:
        """The runs of a row, from left to right."""
        found = self._rows.get(y)
        if found is None:
            found = self._rows[y] = self._draw(y)
        return found

    def segments(
        self, x: int, y: int, width: int, pens: dict[str, Style], base: Style
    ) -> list[Segment]:
        """`width` cells of a row from a column on, as they are painted."""
        runs = self.row(y)
        found: list[Segment] = []
        at, end = x, x + width
        for run in runs[max(0, bisect_right(runs, x, key=_start) - 1) :]:
            if run.x >= end:
                break
            text, start, size = run.text, run.x, run.cells
            if start + size <= at:
                continue
            if start > at:
                found.append(Segment(" " * (start - at), base))
                at = start
            if start < at:
                text = cut(text, at - start, size)
                size -= at - start
            if at + size > end:
                text = cut(text, 0, size, end - at)
                size = end - at
            pen = run.pen
            found.append(Segment(text, base + (pens[pen] if isinstance(pen, str) else pen)))
            at += size
        if at < end:
            found.append(Segment(" " * (end - at), base))
        return found

    def lines(self) -> list[Line]:
        """All rows as lines, from the first cell that is drawn on."""
        found: list[Line] = []
        for y in range(self.bounds.y, self.bounds.bottom):
            at = self.bounds.x
            line: list[Span] = []
            for run in self.row(y):
                if run.x > at:
                    line.append(("text", " " * (run.x - at)))
                line.append((run.pen, run.text))
                at = run.x + run.cells
            found.append(tuple(line))
        return found

    def _edge(self, key: Key) -> Edge:
        return self.graph.by_key[key]

    def _rank(self, edge: Edge) -> int:
        return 9 if edge.key == self.selected else _RANK.get(edge.pen, 0)

    def _draw(self, y: int) -> list[Run]:
        cells = self._lines(y)
        for x, tip, key in self._tips.get(y, ()):
            _, owner = cells[x]
            cells[x] = (
                -ord(tip),
                key if self._rank(self._edge(key)) >= self._rank(self._edge(owner)) else owner,
            )
        texts: list[tuple[int, int, Line]] = []
        for label, key in self._labels.get(y, ()):
            edge = self._edge(key)
            if edge.words:
                across = label.width - edge.space == 2
                size = min(cell_len(edge.words), edge.space)
                words = fit(edge.words, size)
                words = f" {words} " if across else words
                x = label.x + (label.width - size - 2) // 2 if across else label.x
                pen = "focus" if key == self.selected else edge.pen
                texts.append((x, cell_len(words), ((pen, words),)))
        for x, name in self._boxes.get(y, ()):
            place, box = self.drawing.places[name], self.graph.by_id[name]
            marked = name == self.selected
            loop = name in self.graph.loops
            line = face(box, place, self.zoom, y - place.y, marked=marked, loop=loop)
            texts.append((x, place.width, line))
        for x, size, _ in texts:
            for column in range(x, x + size):
                cells.pop(column, None)
        runs = [*self._line_runs(cells)]
        for x, _, line in texts:
            at = x
            for own, text in line:
                if text:
                    size = cell_len(text)
                    runs.append(Run(at, size, own, text))
                    at += size
        runs.sort(key=_start)
        return runs

    def _lines(self, y: int) -> dict[int, tuple[int, Key]]:
        """The lines that leave each cell of a row, and whose pen they have.

        Where edges that have no end in common cross, the upright one is seen, as a bridge over
        the other; a joint is seen only where edges belong together.
        """
        cells: dict[int, tuple[int, Key]] = {}
        pieces = self._pieces.get(y, ())
        for upright in (False, True):
            for piece in pieces:
                if ink.upright(piece.sides) is not upright:
                    continue
                edge = self._edge(piece.key)
                weight = 2 if piece.key == self.selected else ink.WEIGHTS[edge.weight]
                number = piece.sides * weight
                for x in range(piece.x, piece.end + 1):
                    there = cells.get(x)
                    if there is None:
                        cells[x] = (number, piece.key)
                        continue
                    first = self._rank(edge) > self._rank(self._edge(there[1]))
                    if not _together(piece.key, there[1]) and ink.crosses(there[0], number):
                        if upright:
                            cells[x] = (number, piece.key)
                        continue
                    owner = piece.key if first else there[1]
                    cells[x] = (ink.joined(there[0], number), owner)
        return cells

    def _line_runs(self, cells: dict[int, tuple[int, Key]]) -> Iterator[Run]:
        start, text, pen, last = 0, "", "", -1
        for x in sorted(cells):
            number, key = cells[x]
            own = "focus" if key == self.selected else self._edge(key).pen
            if text and (own != pen or x != last + 1):
                yield Run(start, len(text), pen, text)
                text = ""
            if not text:
                start, pen = x, own
            text += chr(-number) if number < 0 else ink.line(number)
            last = x
        if text:
            yield Run(start, len(text), pen, text)


def cut(text: str, skip: int, size: int, keep: int | None = None) -> str:
    """Cells `skip` to `keep` of a text of `size` cells; half a wide character is a space."""
    end = size if keep is None else keep
    if len(text) == size and text.isascii():
        return text[skip:end]
    found, at = "", 0
    for character in text:
        wide = cell_len(character)
        if skip <= at and at + wide <= end:
            found += character
        elif at < end and at + wide > skip:
            found += " " * (min(end, at + wide) - max(skip, at))
        at += wide
    return found


def _differ(one: Box | Edge, other: Box | Edge | None) -> bool:
    return one is not other and one != other


def _start(run: Run) -> int:
    return run.x


def _together(one: Key, other: Key) -> bool:
    return one.source == other.source or one.target == other.target


def _side(place: Rect, point: Point) -> int:
    """The side of a cell that a box lies on."""
    if point.x >= place.right:
        return ink.LEFT
    if point.x < place.x:
        return ink.RIGHT
    return ink.UP if point.y >= place.bottom else ink.DOWN


def _opposite(side: int) -> int:
    return {ink.UP: ink.DOWN, ink.DOWN: ink.UP, ink.LEFT: ink.RIGHT, ink.RIGHT: ink.LEFT}[side]
