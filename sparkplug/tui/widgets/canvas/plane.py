"""The plane under the canvas: its layout, what of it is in sight, and painting what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.worker import Worker

from sparkplug.tui.cells import strip
from sparkplug.tui.widgets.canvas import minimap, walk
from sparkplug.tui.widgets.canvas.free import lay_out_placed
from sparkplug.tui.widgets.canvas.layered import lay_out
from sparkplug.tui.widgets.canvas.minimap import Minimap
from sparkplug.tui.widgets.canvas.model import ZOOMS, Drawing, Graph, Point, Rect, Zoom, alike
from sparkplug.tui.widgets.canvas.raster import Item, Raster
from sparkplug.tui.widgets.lines import Lines

#: Boxes and edges up to here are laid out at once (a few ms), more in a thread.
_AT_ONCE = 80
#: Where edges are led one by one, fewer.
_LED_AT_ONCE = 12
_STEP = Point(6, 2)


class Plane(Lines):
    """A graph, drawn; see `canvas.Canvas`."""

    ALLOW_SELECT = False

    def __init__(
        self,
        title: str = "",
        *,
        stable: bool = False,
        turns: bool = False,
        empty: str = "",
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(title, id=id)
        self._label = title
        self._empty = empty
        self._stable = stable
        self._turns = turns
        self._graph = Graph()
        self._before: dict[Zoom, Drawing] = {}
        self._raster = Raster(self._graph, Drawing(), "full")
        #: Whether a layout of the graph was asked for, and whether it is still made.
        self._laid = self._waits = False
        #: The zoom that was asked for; None: the nearest at which all of it is in sight.
        self._asked: Zoom | None = None
        #: Whether boxes may become dots for that.
        self._far = False
        self._view = Point(0, 0)
        self._held = False  # the view is where a person moved it
        self._anchor: tuple[str, int, int] | None = None
        self._map: Minimap | None = None

    # What there is

    @property
    def graph(self) -> Graph:
        """What is drawn."""
        return self._graph

    @property
    def drawing(self) -> Drawing:
        """Where everything is at this zoom."""
        return self._raster.drawing

    @property
    def zoom(self) -> Zoom:
        """How much is shown of a box."""
        return self._raster.zoom

    @property
    def selected(self) -> Item | None:
        """The box (its id) or edge (its key) that is selected."""
        item = self._raster.selected
        # while a layout is made the graph may have lost what is still drawn
        return item if item in self._graph.by_id or item in self._graph.by_key else None

    @property
    def view(self) -> Rect:
        """The cells of the plane that are in sight."""
        return Rect(*self._view, self.size.width, self.size.height)

    def show(self, graph: Graph) -> None:
        """Show this graph. Where only words and pens differ, only those cells are painted."""
        before, self._graph = self._graph, graph
        if self._laid and alike(before, graph):
            if self._waits:
                return  # what it is when its layout is done counts
            self._repaint(self._raster.take(graph))
            self._tell()
            return
        self._laid = True
        self._lay_out()

    def set_empty(self, text: str) -> None:
        """What to say when there is no box."""
        if text != self._empty:
            self._empty = text
            self.refresh_row(0)

    # Layout

    def _lay_out(self) -> None:
        graph = self._graph
        before = dict(self._before) if self._stable or graph.placed else {}
        self.workers.cancel_group(self, "canvas-layout")
        most = _LED_AT_ONCE if graph.placed else _AT_ONCE
        if len(graph.boxes) + len(graph.edges) <= most or not self.is_attached:
            self._take(_drawn(graph, self._zooms(), before, self._room(), turns=self._turns))
        else:
            self._waits = True

            async def later() -> None:
                await self._lay_out_later(graph, before)

            _: Worker[None] = self.run_worker(later, group="canvas-layout")

    async def _lay_out_later(self, graph: Graph, before: dict[Zoom, Drawing]) -> None:
        size = self._room()
        while True:
            zooms = self._zooms()
            found = await asyncio.to_thread(_drawn, graph, zooms, before, size, turns=self._turns)
            if zooms == self._zooms():
                break
        self._take(found)

    def _room(self) -> tuple[int, int]:
        return self.size.width, self.size.height

    def _zooms(self) -> tuple[Zoom, ...]:
        """What is tried, until one fits; the last when none does."""
        if self._asked is not None:
            return (self._asked,)
        return ("full", "line", "dot", "line") if self._far else ("full", "line")

    def _take(self, raster: Raster) -> None:
        """A layout is done."""
        old, self._raster = self._raster, raster
        self._waits = False
        raster.take(self._graph)
        self._before[raster.zoom] = raster.drawing
        chosen = old.selected
        kept = chosen in self._graph.by_id or chosen in self._graph.by_key
        raster.selected = chosen if kept else None
        self._map = None
        if self._anchor is not None and self._anchor[0] in raster.drawing.places:
            name, x, y = self._anchor
            place = raster.drawing.places[name]
            self._view = Point(place.x + place.width // 2 - x, place.y + place.height // 2 - y)
        elif not self._held:
            self._begin()
        self._anchor = None
        self._keep_near()
        self.refresh()
        self._tell()
        if chosen is not None and not kept:
            self.deselected()

    def _begin(self) -> None:
        """In the middle what fits, else the boxes that edges begin at."""
        bounds, (width, height) = self._raster.bounds, (self.size.width, self.size.height)
        first = _first(self.drawing)
        self._view = Point(
            _beginning((bounds.x, bounds.width), (first.x, first.width), width),
            _beginning((bounds.y, bounds.height), (first.y, first.height), height),
        )

    def resized(self) -> None:
        """All of it stays in sight, unless a person moved the view."""
        if self._asked is None and self._graph.boxes:
            self._lay_out()
        elif not self._held:
            self._begin()
        self._keep_near()

    # What is drawn

    def render_line(self, y: int) -> Strip:
        """One row of the view, as Textual asks for it."""
        width, base, pens = self.size.width, self.rich_style, self.pens
        if not self._graph.by_id:
            return strip((("dim", self._empty if y == 0 else ""),), width, pens, base)
        x, top = self._view
        corner = self._corner()
        if corner is None or not corner.y <= y < corner.bottom:
            return Strip(self._raster.segments(x, top + y, width, pens, base), width)
        segments = self._raster.segments(x, top + y, corner.x, pens, base)
        line = self._minimap().row(y - corner.y, self.view)
        mapped = strip(line, corner.width, pens, base)
        return Strip([*segments, *mapped], width)

    def _corner(self) -> Rect | None:
        """The cells of the view that the map is in; None: it is not needed, or has no room."""
        bounds, view = self._raster.bounds, self.view
        small = view.width < minimap.LEAST_WIDTH or view.height < minimap.LEAST_HEIGHT
        if small or (bounds.width <= view.width and bounds.height <= view.height):
            return None
        width, height = minimap.WIDTH + 2, minimap.HEIGHT + 2
        return Rect(view.width - width, view.height - height, width, height)

    def _minimap(self) -> Minimap:
        if self._map is None:
            self._map = Minimap(self.drawing.places.values(), self._raster.bounds)
        return self._map

    def _repaint(self, regions: Iterable[Rect]) -> None:
        """Paint cells of the plane again, where they are in sight."""
        view = Region(0, 0, self.size.width, self.size.height)
        seen = []
        for rect in regions:
            region = Region(rect.x - self._view.x, rect.y - self._view.y, rect.width, rect.height)
            if region.overlaps(view):
                seen.append(region.intersection(view))
        if seen:
            self.refresh(*seen)

    def _tell(self) -> None:
        """What is selected, in the border."""
        count = len(self._graph.by_id)
        self.retitle(self._label, f"{self._named(self.selected)}" if count else "")

    def _named(self, item: Item | None) -> str:
        if item is None:
            return ""
        if isinstance(item, str):
            return self._graph.by_id[item].name
        ends = (self._graph.by_id[end].name for end in (item.source, item.target))
        label = self._graph.by_key[item].words.strip()
        return " → ".join(ends) + (f" · {label}" if label else "")

    # The view

    def _move_view(self, x: int, y: int) -> None:
        before = self._view
        self._view = Point(x, y)
        self._keep_near()
        if self._view != before:
            self._held = True
            self.refresh()

    def _keep_near(self) -> None:
        """Something of the graph stays in sight."""
        bounds, view = self._raster.bounds, self.view
        before = self._view
        left, right = bounds.x - view.width // 2, bounds.right - (view.width + 1) // 2
        top, bottom = bounds.y - view.height // 2, bounds.bottom - (view.height + 1) // 2
        x = min(max(view.x, left), max(left, right))
        y = min(max(view.y, top), max(top, bottom))
        self._view = Point(x, y)
        if self._view != before:
            self.refresh()

    def reveal(self, item: Item) -> None:
        """Move the view as little as brings a box, or the tip of an edge, into sight."""
        if isinstance(item, str):
            place = self.drawing.places.get(item)
        else:
            route = self.drawing.routes.get(item)
            place = Rect(*route[-1], 1, 1) if route else None
        if place is None:
            return
        view = self.view
        x = _seen(view.x, view.width, place.x, place.right, 2)
        y = _seen(view.y, view.height, place.y, place.bottom, 1)
        if (x, y) != self._view:
            self._view = Point(x, y)
            self._held = True
            self.refresh()

    def scroll_lines(self, by: int) -> None:
        """The wheel."""
        self._move_view(self._view.x, self._view.y + by)

    def action_pan(self, x: int, y: int) -> None:
        """Move the view by steps."""
        self._move_view(self._view.x + x * _STEP.x, self._view.y + y * _STEP.y)

    def action_page(self, by: int) -> None:
        """Move the view by its height."""
        self._move_view(self._view.x, self._view.y + by * max(1, self.size.height - 2))

    def action_zoom(self, by: int) -> None:
        """Show more of each box, or more boxes."""
        at = ZOOMS.index(self.zoom) + by
        if 0 <= at < len(ZOOMS):
            self._zoom_to(ZOOMS[at])

    def action_fit(self) -> None:
        """The nearest zoom at which all of it is in sight."""
        self._held, self._asked, self._anchor, self._far = False, None, None, True
        self._lay_out()

    def _zoom_to(self, zoom: Zoom) -> None:
        view = self.view
        name = self.selected if isinstance(self.selected, str) else None
        place = self.drawing.places.get(name) if name else None
        if place is None or not place.meets(view):
            middle = view.x + view.width // 2, view.y + view.height // 2
            name = walk.nearest_to(self.drawing, *middle)
        if name is not None:
            place = self.drawing.places[name]
            x, y = place.x + place.width // 2 - view.x, place.y + place.height // 2 - view.y
            self._anchor = name, x, y
        self._held, self._asked = True, zoom
        self._lay_out()

    def deselected(self) -> None:
        """What was selected is gone."""


def _seen(at: int, size: int, start: int, end: int, margin: int) -> int:
    """Where a view must begin so that what goes from `start` to `end` is in it, its beginning
    above all; where it is, when it is in it already."""
    if at <= start and end <= at + size:
        return at
    if at > start or end - start + 2 * margin > size:
        return start - margin
    return end + margin - size


def _drawn(
    graph: Graph,
    zooms: Sequence[Zoom],
    before: dict[Zoom, Drawing],
    size: tuple[int, int],
    *,
    turns: bool,
) -> Raster:
    """The graph at the first of the zooms at which it fits, else at the last.

    With `turns` its edges may lead the other way where it fits only so, or more of its boxes are
    in sight; once they do they go on doing so.
    """
    found, zoom = Drawing(), zooms[-1]
    for zoom in zooms:
        last = before.get(zoom)
        if graph.placed:
            found = lay_out_placed(graph, zoom, last)
            if _fits(found, size):
                break
            continue
        first = last.way if last is not None and turns else graph.way
        found = lay_out(graph.shape(zoom, first), last)
        if _fits(found, size):
            break
        if turns:
            turned = lay_out(graph.shape(zoom, "right" if first == "down" else "down"), last)
            if _fits(turned, size):
                found = turned
                break
            # One that was drawn is turned only for much: it is to stand still.
            worth = 1 if last is None else 2
            if _in_sight(turned, size) > worth * _in_sight(found, size):
                found = turned
    return Raster(graph, found, zoom)


def _fits(drawing: Drawing, size: tuple[int, int]) -> bool:
    bounds = drawing.bounds
    return bounds.width <= size[0] and bounds.height <= size[1]


def _in_sight(drawing: Drawing, size: tuple[int, int]) -> int:
    """How many boxes are in sight where the view begins."""
    bounds, first = drawing.bounds, _first(drawing)
    x = _beginning((bounds.x, bounds.width), (first.x, first.width), size[0])
    y = _beginning((bounds.y, bounds.height), (first.y, first.height), size[1])
    return sum(
        x <= place.x and place.right <= x + size[0] and y <= place.y and place.bottom <= y + size[1]
        for place in drawing.places.values()
    )


def _first(drawing: Drawing) -> Rect:
    """One of the boxes that edges begin at: the one in the middle."""
    ranks = drawing.ranks
    least = min(ranks.values(), default=0)
    found = sorted(
        place for name, place in drawing.places.items() if ranks.get(name, least) == least
    )
    return found[len(found) // 2] if found else drawing.bounds


def _beginning(whole: tuple[int, int], box: tuple[int, int], room: int) -> int:
    """Where the view begins along one axis: what fits is in its middle; of what does not, the
    box is, as far as there is something on both sides of it."""
    start, size = whole
    if size <= room:
        return start - (room - size) // 2
    middle = box[0] + box[1] // 2 - room // 2
    return min(max(start, middle), start + size - room)
