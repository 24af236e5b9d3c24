"""The canvas by keyboard and mouse: what is in sight, selected, painted and edited."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.pilot import Pilot

from sparkplug.tui.gallery.canvas import graph as made
from sparkplug.tui.glyphs import to_ascii
from sparkplug.tui.themes import Pens, load_themes, pens
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.editable import EditableCanvas
from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph, Key, Point

NAMES = ("ask", "draft", "check", "tell")
DIAMOND = Graph(
    tuple(Box(name, name, ((("ok", "fine"),),)) for name in NAMES),
    (
        Edge("ask", "draft"),
        Edge("ask", "check"),
        Edge("draft", "tell", label="4.5/s", room=6),
        Edge("check", "tell"),
    ),
)


class Plain(App[None]):
    """A canvas alone, and what it told."""

    CSS = "Canvas { width: 1fr; height: 1fr; } Screen { overflow: hidden; }"
    pens: Pens

    def __init__(self, canvas: Canvas) -> None:
        themes, _ = load_themes()
        self.canvas = canvas
        self.pens = pens(themes["neon"])
        self._variables = themes["neon"].variables
        self.told: list[Any] = []
        super().__init__()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(self._variables)

    def compose(self) -> ComposeResult:
        yield self.canvas

    def on_mount(self) -> None:
        self.canvas.focus()

    def on_canvas_moved(self, event: Canvas.Moved) -> None:
        self.told.append(("moved", event.item))

    def on_canvas_chosen(self, event: Canvas.Chosen) -> None:
        self.told.append(("chosen", event.item))

    def on_editable_canvas_box_moved(self, event: EditableCanvas.BoxMoved) -> None:
        self.told.append(event)

    def on_editable_canvas_edge_drawn(self, event: EditableCanvas.EdgeDrawn) -> None:
        self.told.append(("edge", event.source, event.target))


class Seen:
    """A canvas on a screen of a test."""

    def __init__(self, app: Plain, pilot: Pilot[None]) -> None:
        self.app, self.pilot, self.canvas = app, pilot, app.canvas

    @property
    def text(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while not condition():
                    await asyncio.sleep(0.01)
        assert condition(), self.text

    def cell(self, box: str) -> tuple[int, int]:
        """Where the inside of a box is on the screen: border, padding, the box's own border."""
        place = self.canvas.drawing.places[box]
        view = self.canvas.view
        return place.x - view.x + 2 + 1, place.y - view.y + 1 + (place.height > 1)


@contextlib.asynccontextmanager
async def seen(
    graph: Graph, size: tuple[int, int] = (100, 30), canvas: Canvas | None = None
) -> AsyncIterator[Seen]:
    app = Plain(canvas or Canvas("plane", empty="nothing here"))
    async with app.run_test(size=size) as pilot:
        app.canvas.show(graph)
        found = Seen(app, pilot)
        await found.until(lambda: not graph.boxes or app.canvas.drawing.places)
        await pilot.pause()
        yield found


async def test_all_of_it_is_in_the_middle_when_it_fits() -> None:
    async with seen(DIAMOND) as it:
        for words in ("╭ ask ", "╭ tell ", "4.5/s", "fine"):
            assert words in it.text
        assert it.canvas.zoom == "full"
        bounds, view = it.canvas.drawing.bounds, it.canvas.view
        assert abs((bounds.x - view.x) - (view.right - bounds.right)) <= 1
        assert abs((bounds.y - view.y) - (view.bottom - bounds.bottom)) <= 1
        await it.pilot.resize_terminal(44, 12)
        await it.until(lambda: it.canvas.zoom == "line")
        assert "• draft" in it.text


async def test_boxes_are_walked_and_chosen_by_keys() -> None:
    async with seen(DIAMOND) as it:
        before = it.canvas.view
        await it.press("right")
        assert it.canvas.view.x > before.x, "nothing is selected: the view moves"
        await it.press("n")
        assert it.canvas.selected == "ask"
        assert "▸ask" in it.text
        await it.press("right")
        first = it.canvas.selected
        assert first in ("draft", "check")
        await it.press("down" if first == "draft" else "up")
        assert {it.canvas.selected, first} == {"draft", "check"}
        await it.press("l", "enter")
        assert it.canvas.selected == "tell"
        assert it.app.told[-1] == ("chosen", "tell")
        await it.press("N", "G", "g")
        assert it.canvas.selected == "ask"
        await it.press("escape")
        assert it.canvas.selected is None
        assert it.app.told[-1] == ("moved", None)
        assert "▸" not in it.text


async def test_edges_are_walked_by_keys() -> None:
    async with seen(DIAMOND) as it:
        await it.press("greater_than_sign")
        assert it.canvas.selected == Key("ask", "draft") or it.canvas.selected == Key(
            "ask", "check"
        )
        await it.press("n", "greater_than_sign")
        seen_edges = {it.canvas.selected}
        for _ in range(3):
            await it.press("greater_than_sign")
            seen_edges.add(it.canvas.selected)
        assert seen_edges == set(DIAMOND.by_key)
        last = it.canvas.selected
        await it.press("less_than_sign", "greater_than_sign")
        assert it.canvas.selected == last
        it.canvas.select(Key("draft", "tell"))
        await it.pilot.pause()
        assert "draft → tell · 4.5/s" in it.text, "what is selected is named in the border"
        assert "━━▶" in it.text


async def test_zoom_shows_less_of_more() -> None:
    async with seen(DIAMOND) as it:
        await it.press("n", "right", "minus")
        assert it.canvas.zoom == "line"
        assert "▸ " in it.text
        await it.press("minus")
        assert it.canvas.zoom == "dot"
        assert "draft" not in it.text.replace(" draft ─╯", "")
        await it.press("minus", "plus", "plus", "plus")
        assert it.canvas.zoom == "full"
        await it.press("shift+left", "J", "minus", "0")
        assert it.canvas.zoom == "full", "the nearest at which all of it is in sight"


async def test_the_box_one_looks_at_stays_while_zooming() -> None:
    graph = made(60, 20)
    async with seen(graph, (100, 30)) as it:
        await it.press("n", "n", "n", "n", "right", "right", "plus", "plus")
        assert it.canvas.zoom == "full"
        await it.press("minus")
        name = it.canvas.selected
        assert isinstance(name, str)
        assert it.canvas.drawing.places[name].meets(it.canvas.view)
        await it.press("plus")
        assert it.canvas.drawing.places[name].meets(it.canvas.view)


async def test_a_click_selects_and_two_choose() -> None:
    async with seen(DIAMOND) as it:
        await it.pilot.click(offset=it.cell("check"))
        assert it.canvas.selected == "check"
        await it.pilot.click(offset=it.cell("tell"), times=2)
        await it.pilot.pause()
        assert ("chosen", "tell") in it.app.told
        await it.pilot.click(offset=(3, 2))
        assert it.canvas.selected is None
        key = Key("check", "tell")
        x, y = it.canvas.drawing.routes[key][-1]
        view = it.canvas.view
        await it.pilot.click(offset=(x - view.x + 2, y - view.y + 1))
        assert isinstance(it.canvas.selected, Key)
        assert it.canvas.selected.target == "tell"


async def test_the_ground_is_dragged_and_the_wheel_turns() -> None:
    async with seen(made(40, 10), (80, 24)) as it:
        before = it.canvas.view
        await it.pilot.mouse_down(offset=(40, 3))
        await it.pilot.hover(offset=(30, 3))
        await it.pilot.mouse_up(offset=(30, 3))
        await it.pilot.pause()
        assert it.canvas.view.x == before.x + 10
        assert it.canvas.selected is None, "letting go selects nothing"
        wheel = {"widget": it.canvas, "x": 5, "y": 5, "delta_x": 0, "delta_y": 1, "button": 0}
        for event, shift, ctrl in (
            (MouseScrollDown, False, False),
            (MouseScrollDown, True, False),
            (MouseScrollUp, False, True),
        ):
            before, zoom = it.canvas.view, it.canvas.zoom
            it.canvas.post_message(event(**wheel, shift=shift, meta=False, ctrl=ctrl))
            await it.pilot.pause()
            after = it.canvas.view
            if ctrl:
                assert (zoom, it.canvas.zoom) == ("line", "full")
            elif shift:
                assert after.x > before.x
                assert after.y == before.y
            else:
                assert after.y > before.y
                assert after.x == before.x


async def test_a_map_is_there_when_not_all_is_in_sight_and_leads_there() -> None:
    async with seen(made(60, 20), (100, 30)) as it:
        await it.press("plus", "plus")
        corner = it.canvas._corner()
        assert corner is not None
        assert any(0x2800 < ord(letter) < 0x2900 for letter in it.text)
        before = it.canvas.view
        await it.pilot.click(offset=(corner.right - 2 + 2, corner.y + 3 + 1))
        await it.pilot.pause()
        assert it.canvas.view.x > before.x
        await it.press("0")
    async with seen(DIAMOND) as it:
        assert it.canvas._corner() is None


async def test_only_what_changed_is_painted() -> None:
    async with seen(DIAMOND) as it:
        canvas = it.canvas
        canvas.show(replace(DIAMOND))
        assert not canvas._repaint_regions, "the same is not painted again"
        boxes = tuple(
            replace(box, lines=((("bad", "gone"),),), pen="bad") if box.id == "tell" else box
            for box in DIAMOND.boxes
        )
        before = it.text.split("\n")
        canvas.show(replace(DIAMOND, boxes=boxes))
        (region,) = canvas._repaint_regions
        assert region.size == canvas.drawing.places["tell"][2:]
        await it.pilot.pause()
        after = it.text.split("\n")
        assert "gone" in it.text
        for y, (old, new) in enumerate(zip(before, after, strict=True)):
            for x, (one, other) in enumerate(zip(old, new, strict=True)):
                assert one == other or region.contains(x, y)
        edges = tuple(replace(edge, label="9.9/s") if edge.room else edge for edge in DIAMOND.edges)
        places = canvas.drawing.places
        canvas.show(replace(DIAMOND, boxes=boxes, edges=edges))
        await it.pilot.pause()
        assert "9.9/s" in it.text
        assert canvas.drawing.places == places


async def test_boxes_that_come_and_go() -> None:
    canvas = Canvas("plane", stable=True, empty="nothing here")
    async with seen(Graph(), canvas=canvas) as it:
        assert "nothing here" in it.text
        canvas.show(DIAMOND)
        await it.pilot.pause()
        canvas.select("tell")
        places = dict(canvas.drawing.places)
        more = replace(
            DIAMOND,
            boxes=(*DIAMOND.boxes, Box("new", "new")),
            edges=(*DIAMOND.edges, Edge("tell", "new")),
        )
        canvas.show(more)
        assert canvas.selected == "tell"
        assert {name: canvas.drawing.places[name] for name in NAMES} == places
        less = replace(DIAMOND, boxes=DIAMOND.boxes[:3])
        canvas.show(less)
        await it.pilot.pause()
        assert canvas.selected is None
        assert it.app.told[-1] == ("moved", None)
        canvas.show(Graph())
        await it.pilot.pause()
        assert "nothing here" in it.text


async def test_a_large_graph_is_laid_out_without_holding_anything_up() -> None:
    canvas = Canvas("plane")
    async with seen(Graph(), canvas=canvas) as it:
        graph = made(300, 100)
        canvas.show(graph)
        assert not canvas.drawing.places, "it is laid out in a thread"
        other = replace(graph, boxes=tuple(replace(box, pen="bad") for box in graph.boxes))
        canvas.show(other)
        await it.until(lambda: len(canvas.drawing.places) == 300)
        assert canvas._raster.graph is other, "what it was when it was done counts"
        canvas.show(made(200, 10))
        canvas.show(made(150, 10))
        await it.until(lambda: len(canvas.drawing.places) == 150)


async def test_what_is_gone_is_not_touched_while_the_layout_is_made() -> None:
    canvas = EditableCanvas("plane")
    async with seen(made(200, 50), canvas=canvas) as it:
        canvas.select("b199")
        canvas.show(made(150, 10))
        assert canvas.selected is None
        await it.press("m", "down", "c", "enter", "right", "greater_than_sign", "plus", "escape")
        await it.until(lambda: len(canvas.drawing.places) == 150)
        await it.press("n", "m", "down", "escape")
        assert canvas.selected is not None
        assert canvas.moving is None


@pytest.mark.parametrize("size", [(20, 5), (8, 3), (2, 2), (1, 1)])
async def test_tiny_sizes(size: tuple[int, int]) -> None:
    async with seen(made(40, 20), canvas=EditableCanvas("plane")) as it:
        await it.pilot.resize_terminal(*size)
        await it.press("n", "right", "plus", "minus", "0", "greater_than_sign", "m", "down")
        await it.press("escape", "c", "escape", "pagedown", "shift+right", "escape")
        await it.pilot.resize_terminal(100, 30)
        await it.press("n", "plus", "plus")
        await it.until(lambda: "step-" in it.text)


async def test_in_ascii_nothing_is_lost() -> None:
    async with seen(DIAMOND) as it:
        await it.press("n")
        plain = to_ascii(it.text)
        assert plain.isascii()
        assert "+>ask " in plain
        assert "->| fine |" in plain


# Editing


async def test_a_box_is_moved_by_keys() -> None:
    canvas = EditableCanvas("plane")
    async with seen(DIAMOND, canvas=canvas) as it:
        canvas.select("tell")
        await it.press("m", "down", "down", "right")
        assert canvas.moving == "tell"
        assert "moving tell" in it.text
        await it.press("enter")
        assert canvas.moving is None
        event = it.app.told[-1]
        assert isinstance(event, EditableCanvas.BoxMoved)
        assert event.box == "tell"
        assert event.after == Point(event.before.x, event.after.y) or event.after.y > event.before.y
        assert event.graph.placed
        moved = canvas.drawing.places["tell"]
        canvas.show(event.graph)
        assert canvas.drawing.places["tell"] == moved
        places = dict(canvas.drawing.places)
        count = len(it.app.told)
        await it.press("m", "up", "up", "escape")
        assert canvas.drawing.places == places, "esc leaves it where it was"
        assert canvas.moving is None
        assert not [one for one in it.app.told[count:] if isinstance(one, Message)]


async def test_a_moved_box_goes_over_what_is_in_its_way() -> None:
    spots = (Point(0, 0), Point(30, 0), Point(60, 0))
    graph = Graph(tuple(Box(f"b{at}", f"b{at}", place=spot) for at, spot in enumerate(spots)))
    canvas = EditableCanvas("plane")
    async with seen(graph, canvas=canvas) as it:
        canvas.select("b0")
        await it.press("m")
        for _ in range(30):
            await it.press("right")
            places = list(canvas.drawing.places.values())
            for at, one in enumerate(places):
                assert not any(one.meets(other) for other in places[at + 1 :])
        assert canvas.drawing.places["b0"].x > 60


async def test_an_edge_is_drawn_by_keys() -> None:
    canvas = EditableCanvas("plane")
    async with seen(DIAMOND, canvas=canvas) as it:
        await it.press("n", "c")
        assert canvas.connecting == "ask"
        assert "ask → ?" in it.text
        canvas.select("tell")
        await it.press("enter")
        assert it.app.told[-1] == ("edge", "ask", "tell")
        assert canvas.connecting is None
        await it.press("c", "escape", "enter")
        assert it.app.told[-1] == ("chosen", "tell")


async def test_a_box_is_dragged_and_an_edge_drawn_by_mouse() -> None:
    canvas = EditableCanvas("plane")
    async with seen(DIAMOND, canvas=canvas) as it:
        x, y = it.cell("tell")
        before = canvas.drawing.places["tell"]
        await it.pilot.mouse_down(offset=(x, y))
        await it.pilot.hover(offset=(x + 4, y + 3))
        await it.pilot.mouse_up(offset=(x + 4, y + 3))
        await it.pilot.pause()
        event = it.app.told[-1]
        assert isinstance(event, EditableCanvas.BoxMoved)
        assert canvas.drawing.places["tell"][:2] == (before.x + 4, before.y + 3)
        place = canvas.drawing.places["ask"]
        x, y = it.cell("ask")
        right = x + place.width - 2
        to = it.cell("tell")
        await it.pilot.mouse_down(offset=(right, y))
        await it.pilot.hover(offset=to)
        assert canvas.connecting == "ask"
        assert canvas.selected == "tell", "what it would lead to is shown"
        await it.pilot.mouse_up(offset=to)
        await it.pilot.pause()
        assert it.app.told[-1] == ("edge", "ask", "tell")
        await it.pilot.click(offset=it.cell("draft"))
        assert canvas.selected == "draft"
        assert not isinstance(it.app.told[-1], EditableCanvas.BoxMoved)


async def test_a_canvas_that_is_not_edited_moves_nothing() -> None:
    async with seen(DIAMOND) as it:
        places = dict(it.canvas.drawing.places)
        await it.press("n", "m", "down", "c", "enter")
        assert it.canvas.drawing.places == places
        assert it.app.told[-1][0] == "chosen"


async def test_edges_lead_down_where_all_of_it_is_in_sight_only_so() -> None:
    names = "abcdefgh"
    chain = Graph(
        tuple(Box(name, name * 8) for name in names),
        tuple(Edge(*pair) for pair in itertools.pairwise(names)),
    )
    async with seen(chain, (60, 40), Canvas(turns=True, stable=True)) as there:
        assert there.canvas.drawing.way == "down"
        assert there.canvas.zoom == "full"
        bounds = there.canvas.drawing.bounds
        assert (bounds.width, bounds.height) <= (60, 40)
        more = replace(
            chain, boxes=(*chain.boxes, Box("x", "x")), edges=(*chain.edges, Edge("a", "x"))
        )
        before = there.canvas.drawing.places
        there.canvas.show(more)
        await there.pilot.pause()
        assert there.canvas.drawing.way == "down", "it goes on as it was"
        now = there.canvas.drawing.places
        assert [now[name].y for name in names] == [before[name].y for name in names]
    async with seen(DIAMOND, (100, 30), Canvas(turns=True)) as there:
        assert there.canvas.drawing.way == "right"
