"""The widget: a plane one moves over, nears and leaves, and selects boxes and edges on."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.events import (
    Click,
    MouseDown,
    MouseMove,
    MouseScrollDown,
    MouseScrollUp,
    MouseUp,
)
from textual.message import Message

from sparkplug.tui.widgets.canvas import walk
from sparkplug.tui.widgets.canvas.model import Key, Point
from sparkplug.tui.widgets.canvas.plane import Plane
from sparkplug.tui.widgets.canvas.raster import Item
from sparkplug.tui.widgets.selecting import RIGHT


class Canvas(Plane, can_focus=True):
    """Boxes and the edges between them. Posts `Moved` when another is selected and `Chosen` on
    enter or a double click.

    One that is `stable` leaves boxes where they are while others come and go. Of one that `turns`
    edges lead the other way where all of it is in sight only so.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "go('left')", "left", show=False, id="canvas.left"),
        Binding("j,down", "go('down')", "down", show=False, id="canvas.down"),
        Binding("k,up", "go('up')", "up", show=False, id="canvas.up"),
        Binding("l,right", "go('right')", "right", show=False, id="canvas.right"),
        Binding("H,shift+left", "pan(-1, 0)", "view left", show=False, id="canvas.view-left"),
        Binding("J,shift+down", "pan(0, 1)", "view down", show=False, id="canvas.view-down"),
        Binding("K,shift+up", "pan(0, -1)", "view up", show=False, id="canvas.view-up"),
        Binding("L,shift+right", "pan(1, 0)", "view right", show=False, id="canvas.view-right"),
        Binding("pagedown,ctrl+f", "page(1)", "a page down", show=False, id="canvas.page-down"),
        Binding("pageup,ctrl+b", "page(-1)", "a page up", show=False, id="canvas.page-up"),
        Binding("n", "box(1)", "next box of the graph", id="canvas.next"),
        Binding("N", "box(-1)", "box of the graph before", id="canvas.previous"),
        Binding("greater_than_sign", "edge(1)", "next edge", id="canvas.next-edge"),
        Binding("less_than_sign", "edge(-1)", "edge before", id="canvas.previous-edge"),
        Binding("g,home", "end(0)", "first box", show=False, id="canvas.first"),
        Binding("G,end", "end(-1)", "last box", show=False, id="canvas.last"),
        Binding("enter", "choose", "into", id="canvas.into"),
        Binding("plus,equals_sign", "zoom(1)", "nearer", id="canvas.nearer"),
        Binding("minus", "zoom(-1)", "further", id="canvas.further"),
        Binding("0", "fit", "all of it", id="canvas.fit"),
        Binding("escape", "drop", "select nothing", show=False, id="canvas.drop"),
    ]

    class Moved(Message):
        """Another box or edge is selected, or none."""

        def __init__(self, canvas: Canvas, item: Item | None) -> None:
            super().__init__()
            self.canvas = canvas
            self.item = item

    class Chosen(Message):
        """Enter, or a double click, on a box or an edge."""

        def __init__(self, canvas: Canvas, item: Item) -> None:
            super().__init__()
            self.canvas = canvas
            self.item = item

    takes_right = True
    #: Where the mouse was pressed, and where the view was then.
    _pressed: tuple[Point, Point] | None = None
    _dragged = False

    # What is selected

    def select(self, item: Item | None) -> None:
        """Select a box or an edge, and bring it into sight; None: nothing. Others than there are
        count for nothing."""
        known = item is None or item in self._graph.by_id or item in self._graph.by_key
        if not known or item == self.selected:
            return
        self._repaint(self._raster.select(item))
        if item is not None:
            self.reveal(item)
        self._tell()
        self.post_message(self.Moved(self, item))

    def deselected(self) -> None:
        """What was selected is gone."""
        self.post_message(self.Moved(self, None))

    def action_go(self, side: walk.Side) -> None:
        """To the nearest box on a side; the view moves when no box is selected."""
        if self.selected in self.drawing.places and isinstance(self.selected, str):
            found = walk.towards(self.drawing, self.selected, side)
            if found is not None:
                self.select(found)
            return
        x, y = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[side]
        self.action_pan(x, y)

    def action_box(self, by: int) -> None:
        """To the next box."""
        order = walk.boxes_in_order(self.drawing)
        if order:
            at = self.selected.target if isinstance(self.selected, Key) else self.selected
            self.select(_next(order, at, by))

    def action_edge(self, by: int) -> None:
        """To the next edge; from a box to the first that leaves it."""
        order = walk.edges_in_order(self.drawing)
        if not order:
            return
        at = self.selected
        if isinstance(at, str):
            mine = [key for key in order if at == key.source] or [k for k in order if at in k[:2]]
            self.select(mine[0] if mine else order[0])
        else:
            self.select(_next(order, at, by))

    def action_end(self, at: int) -> None:
        """To the first or the last box."""
        order = walk.boxes_in_order(self.drawing)
        if order:
            self.select(order[at])

    def action_choose(self) -> None:
        """Go into what is selected."""
        if self.selected is None:
            raise SkipAction
        self.post_message(self.Chosen(self, self.selected))

    def action_drop(self) -> None:
        """Select nothing."""
        if self.selected is None:
            raise SkipAction
        self.select(None)

    # The mouse

    def _cell(self, event: MouseDown | MouseMove | MouseUp | Click) -> Point:
        """The cell of the view under the mouse."""
        return Point(event.x - self.content_offset.x, event.y - self.content_offset.y)

    def item_at(self, cell: Point) -> Item | None:
        """The box or edge in a cell of the view."""
        x, y = cell.x + self._view.x, cell.y + self._view.y
        return self._raster.box_at(x, y) or self._raster.edge_at(x, y)

    def _in_map(self, cell: Point) -> bool:
        """Go where a press on the map leads."""
        corner = self._corner()
        if corner is None or not corner.holds(*cell):
            return False
        x, y = self._minimap().place(cell.x - corner.x - 1, cell.y - corner.y - 1)
        self._move_view(round(x) - self.size.width // 2, round(y) - self.size.height // 2)
        return True

    def on_mouse_down(self, event: MouseDown) -> None:
        """The ground is taken hold of."""
        if event.button != 1:
            return
        self._pressed, self._dragged = (self._cell(event), self._view), False
        self.capture_mouse()
        self.press(self._pressed[0])

    def on_mouse_move(self, event: MouseMove) -> None:
        """What was taken hold of moves."""
        if self._pressed is None:
            return
        cell = self._cell(event)
        if cell != self._pressed[0] or self._dragged:
            self._dragged = True
            self.drag(*self._pressed, cell)

    def on_mouse_up(self, event: MouseUp) -> None:
        """And is let go."""
        if self._pressed is not None:
            self._pressed = None
            self.release_mouse()
            self.let_go(self._cell(event), dragged=self._dragged)

    def press(self, cell: Point) -> None:
        """The mouse was pressed on a cell of the view."""
        self._dragged = self._in_map(cell)

    def drag(self, start: Point, view: Point, cell: Point) -> None:
        """The mouse is at a cell; it was pressed at `start`, when the view was there."""
        if not self._in_map(start):
            self._move_view(view.x + start.x - cell.x, view.y + start.y - cell.y)

    def let_go(self, cell: Point, *, dragged: bool) -> None:
        """The mouse was let go over a cell."""

    def on_click(self, event: Click) -> None:
        """Select what is there; twice: go into it. The right button asks what can be done."""
        if self._dragged:
            self._dragged = False
            return
        self.select(self.item_at(self._cell(event)))
        if event.button == RIGHT:
            if self.selected is not None:
                self.ask(event)
        elif event.chain == 2 and self.selected is not None:
            self.action_choose()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """With ctrl nearer; else as every box, up."""
        self._zoom_by_wheel(event, -1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """With ctrl further; else as every box, down."""
        self._zoom_by_wheel(event, 1)

    def scroll_aside(self, way: int) -> bool:
        """Move the view to the left or right, which has no end."""
        self.action_pan(way, 0)
        return True

    def _zoom_by_wheel(self, event: Any, by: int) -> None:
        if event.ctrl:
            event.stop()
            event.prevent_default()
            self.action_zoom(-by)


def _next(order: list[Any], at: Any, by: int) -> Any:
    if at not in order:
        return order[0 if by > 0 else -1]
    return order[(order.index(at) + by) % len(order)]
