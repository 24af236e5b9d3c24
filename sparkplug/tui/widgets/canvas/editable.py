"""A canvas on which boxes are moved and edges drawn, by mouse and by keyboard.

It shows what is being done and tells what was done; the owner changes its graph and shows it,
keeps what it needs to undo it, or shows the old one to refuse.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from sparkplug.tui.widgets.canvas import walk
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.free import (
    lay_out_placed,
    place_boxes,
    scaled,
    unscaled,
)
from sparkplug.tui.widgets.canvas.model import Graph, Point, Rect
from sparkplug.tui.widgets.canvas.raster import Item, Raster

_WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


class EditableCanvas(Canvas):
    """A canvas whose owner's graph is edited on it. Posts `BoxMoved` and `EdgeDrawn`.

    A box is dragged by its inside, an edge from a box's right border to another box. By
    keyboard: `m` takes the selected box up, arrows move it, `enter` puts it down; `c` begins an
    edge at the selected box, the box it leads to is selected as ever, `enter` draws it. `esc`
    leaves things as they were.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "take_up", "move the box", id="canvas.move"),
        Binding("c", "connect", "draw an edge from the box", id="canvas.connect"),
    ]

    class BoxMoved(Message):
        """A box was put elsewhere; `places` are those of all boxes, in cells of the plane."""

        def __init__(
            self, canvas: EditableCanvas, box: str, before: Point, after: Point, graph: Graph
        ) -> None:
            super().__init__()
            self.canvas = canvas
            self.box = box
            self.before = before
            self.after = after
            #: The graph with every box at its place.
            self.graph = graph

    class EdgeDrawn(Message):
        """An edge was drawn from a box to a box."""

        def __init__(self, canvas: EditableCanvas, source: str, target: str) -> None:
            super().__init__()
            self.canvas = canvas
            self.source = source
            self.target = target

    #: The box that is moved, and the graph before.
    _taken: tuple[str, Graph] | None = None
    #: The box an edge is drawn from.
    _from: str | None = None
    #: Whether the mouse has hold of a box.
    _mouse = False

    @property
    def moving(self) -> str | None:
        """The box that is being moved."""
        return self._taken[0] if self._taken else None

    @property
    def connecting(self) -> str | None:
        """The box that an edge is being drawn from."""
        return self._from

    def show(self, graph: Graph) -> None:
        """Show this graph; what was being done to the old one is over."""
        self._taken = self._from = None
        super().show(graph)

    def _named(self, item: Item | None) -> str:
        name = super()._named(item)
        if self._taken is not None:
            return f"moving {name}"
        if self._from is not None:
            return f"{super()._named(self._from)} → {name if item != self._from else '?'}"
        return name

    # Moving

    def action_take_up(self) -> None:
        """Move the selected box with the arrows; put it down when it is moved already."""
        if self._taken is not None:
            self._put_down()
        elif isinstance(self.selected, str) and self._whole:
            self._take_up(self.selected)
            self._tell()

    @property
    def _whole(self) -> bool:
        """Whether all of the graph is drawn, and nothing else."""
        return self.drawing.places.keys() == self._graph.by_id.keys()

    def _take_up(self, name: str) -> None:
        """From here on the boxes are where they are put."""
        self._from = None
        self._taken = (name, self._graph)
        if not self._graph.placed:
            at = {
                box: unscaled(Point(*rect[:2]), self.zoom)
                for box, rect in self.drawing.places.items()
            }
            boxes = tuple(replace(box, place=at[box.id]) for box in self._graph.by_id.values())
            self._show_moved(replace(self._graph, boxes=boxes))

    def _move_to(self, name: str, place: Point) -> bool:
        """Put the box there, unless another is in the way."""
        boxes = tuple(replace(b, place=place) if b.id == name else b for b in self._graph.boxes)
        graph = replace(self._graph, boxes=boxes)
        places = place_boxes(graph, self.zoom)
        grown = _grown(places[name])
        if any(grown.meets(rect) for other, rect in places.items() if other != name):
            return False
        self._show_moved(graph)
        return True

    def _show_moved(self, graph: Graph) -> None:
        chosen = self.selected
        drawing = lay_out_placed(graph, self.zoom, self.drawing)
        self._before[self.zoom] = drawing
        self._graph = graph
        self._raster = Raster(graph, drawing, self.zoom)
        self._raster.selected = chosen
        self._map = None
        self.refresh()

    def _put_down(self) -> None:
        if self._taken is None:
            return
        (name, old), self._taken = self._taken, None
        self._tell()
        before, after = old.by_id[name].place, self._graph.by_id[name].place
        if after is not None and before != after:
            self.post_message(self.BoxMoved(self, name, before or after, after, self._graph))

    def _leave(self) -> None:
        """As it was."""
        taken, self._taken, self._from = self._taken, None, None
        if taken is not None:
            self.show(taken[1])
        self._tell()

    # Connecting

    def action_connect(self) -> None:
        """Begin an edge at the selected box."""
        if isinstance(self.selected, str) and self._taken is None:
            self._from = self.selected
            self._tell()

    def _connect(self, target: Item | None) -> None:
        source, self._from = self._from, None
        self._tell()
        if source is not None and target in self._graph.by_id and target != source:
            assert isinstance(target, str)
            self.post_message(self.EdgeDrawn(self, source, target))

    # Keys and mouse

    def action_go(self, side: walk.Side) -> None:
        """Move the box that is taken up over whatever is in the way; else as ever."""
        if self._taken is None:
            super().action_go(side)
            return
        name = self._taken[0]
        x, y = _WAYS[side]
        # at a distance one sees, and never past all the others
        here = scaled(self._graph.by_id[name].place or Point(0, 0), self.zoom)
        step = 2 if x and self.zoom == "full" else 1
        for far in range(1, self._raster.bounds.width + self._raster.bounds.height + 2):
            there = Point(here.x + x * step * far, here.y + y * step * far)
            if self._move_to(name, unscaled(there, self.zoom)):
                self.reveal(name)
                return

    def action_choose(self) -> None:
        """Put down, or draw the edge; else as ever."""
        if self._taken is not None:
            self._put_down()
        elif self._from is not None:
            self._connect(self.selected)
        else:
            super().action_choose()

    def action_drop(self) -> None:
        """Leave things as they were; else as ever."""
        if self._taken is not None or self._from is not None:
            self._leave()
        else:
            super().action_drop()

    def select(self, item: Item | None) -> None:
        """Select; not while a box is moved."""
        if self._taken is None:
            super().select(item)

    def press(self, cell: Point) -> None:
        """On a box: hold it, by its right border an edge."""
        super().press(cell)
        if self._dragged:
            return
        item = self.item_at(cell)
        if isinstance(item, str) and self._whole:
            self._put_down()
            self.select(item)
            place = self.drawing.places[item]
            if self.zoom != "dot" and cell.x + self._view.x == place.right - 1:
                self._from = item
            self._mouse = True

    def drag(self, start: Point, view: Point, cell: Point) -> None:
        """Move the box, or choose where the edge leads; on the ground as ever."""
        if not self._mouse:
            super().drag(start, view, cell)
            return
        if self._from is not None:
            over = self.item_at(cell)
            if isinstance(over, str) and over != self.selected:
                super().select(over)
            return
        name = self.selected
        if not isinstance(name, str):
            return
        if self._taken is None:
            self._take_up(name)
            self._held_at = Point(*self.drawing.places[name][:2])
        to = self._held_at.x + cell.x - start.x, self._held_at.y + cell.y - start.y
        self._move_to(name, unscaled(Point(*to), self.zoom))
        self._tell()

    def let_go(self, cell: Point, *, dragged: bool) -> None:
        """The box is where it is, the edge leads to what is under the mouse."""
        if not self._mouse:
            return
        self._mouse = False
        if self._from is not None:
            if dragged:
                self._connect(self.item_at(cell))
            else:
                self._from = None
        elif dragged:
            self._put_down()

    _held_at: Point = Point(0, 0)


def _grown(place: Rect) -> Rect:
    """A box and the cells beside it, where edges pass."""
    if place.height == 1:
        return place
    return Rect(place.x - 2, place.y - 1, place.width + 4, place.height + 2)
