"""The wheel, a drag that goes beyond what is in sight, and where one stands in a list."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import pytest
from textual.app import ComposeResult
from textual.events import (
    MouseScrollDown,
    MouseScrollLeft,
    MouseScrollRight,
    MouseScrollUp,
)
from textual.widget import Widget
from tui_centre import Centre

import sparkplug.tui
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import DEFAULT, Terminal, load_themes
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.log_view.box import LogBox
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.rows import Row, Rows
from sparkplug.tui.widgets.table import Column, Table
from sparkplug.tui.widgets.tree import Tree
from sparkplug.tui.widgets.tree_nodes import Node


class Shown(Looks, PaintedApp):
    """One box and nothing else."""

    CSS_PATH = Path(sparkplug.tui.__file__ or "").with_name("style.tcss")

    def __init__(self, box: Widget) -> None:
        super().__init__(themes=load_themes()[0], terminal=Terminal())
        self.theme = DEFAULT
        self.box = box
        self.told: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.box

    async def on_mount(self) -> None:
        self.box.styles.height = "1fr"
        self.lines.focus()

    def tell(self, text: str, pen: str = "ok") -> None:
        self.told.append(text)

    @property
    def lines(self) -> Lines:
        return self.box.view if isinstance(self.box, LogBox) else cast("Lines", self.box)


class Box(Centre):
    """A box under test."""

    app: Shown  # type: ignore[assignment]

    async def turn(self, event: Any, times: int = 1, *, shift: bool = False) -> None:
        """Turn the wheel over it."""
        at = {"widget": self.app.lines, "x": 5, "y": 5, "delta_x": 0, "delta_y": 0, "button": 0}
        for _ in range(times):
            self.app.lines.post_message(event(**at, shift=shift, meta=False, ctrl=False))
        await self.pilot.pause()

    @property
    def below(self) -> str:
        """The lower border."""
        return self.screen.splitlines()[-1]


@contextlib.asynccontextmanager
async def seen(box: Widget, size: tuple[int, int] = (50, 12)) -> AsyncIterator[Box]:
    app = Shown(box)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Box(app, pilot)  # type: ignore[arg-type]


def table(count: int, **options: Any) -> Table:
    columns = [Column("name", 8, itemgetter(0)), Column("at", 6, itemgetter(1), kind="number")]
    columns += [Column(f"more-{n}", 20, itemgetter(0), extra=True) for n in range(4)]
    found = Table(columns, key=itemgetter(0), title="t", **options)
    found.set_rows([(f"row-{n}", n) for n in range(count)])
    return found


def rows(count: int, **options: Any) -> Rows:
    found = Rows("t", **options)
    found.set_rows([Row(f"row-{n}", (("text", f"row {n}"),)) for n in range(count)])
    return found


def tree(count: int) -> Tree:
    found = Tree("t")
    found.set_nodes([Node(str(n), (("text", f"node {n}"),)) for n in range(count)])
    return found


@pytest.mark.parametrize("make", [table, rows, tree])
async def test_a_list_says_where_one_stands_once_it_does_not_fit(make: Any) -> None:
    async with seen(make(1200)) as box:
        assert " 1/1,200 ─╯" in box.below
        await box.press("down", "down")
        assert " 3/1,200 ─╯" in box.below
        await box.press("G")
        assert " 1,200/1,200 ─╯" in box.below
        await box.press("g")
        page = box.app.lines.page
        await box.turn(MouseScrollDown, 4)
        assert f" 13-{12 + page}/1,200 ─╯" in box.below, "the cursor was left behind"
        await box.turn(MouseScrollUp, 4)
        assert " 1/1,200 ─╯" in box.below
    async with seen(make(4)) as box:
        assert "/" not in box.below
        await box.press("down")
        assert "/" not in box.below


@pytest.mark.parametrize("make", [table, rows])
async def test_a_list_without_a_cursor_says_nothing_until_it_is_scrolled(make: Any) -> None:
    async with seen(make(100, leads=False)) as box:
        await box.press("down")
        assert " 2/100 ─╯" in box.below
        box.app.set_focus(None)
        await box.pilot.pause()
        assert "/" not in box.below
        await box.turn(MouseScrollDown)
        assert f" 4-{3 + box.app.lines.page}/100 ─╯" in box.below


async def test_where_one_stands_follows_rows_filters_and_sizes() -> None:
    box_ = rows(30)
    async with seen(box_) as box:
        await box.press("G")
        assert " 30/30 ─╯" in box.below
        box_.set_rows([Row(f"row-{n}", (("text", f"row {n}"),)) for n in range(10, 60)])
        await box.pilot.pause()
        assert " 20/50 ─╯" in box.below
        box_.tell_below("more is told")
        await box.pilot.pause()
        assert " 20/50 · more is told ─╯" in box.below
        await box.pilot.resize_terminal(50, 60)
        await box.pilot.pause()
        assert "─ more is told ─╯" in box.below


async def test_saying_where_one_stands_paints_one_row() -> None:
    made = rows(100)
    async with seen(made) as box:
        painted: list[Any] = []
        made.refresh = lambda *regions, **_: painted.extend(regions)  # type: ignore[method-assign]
        await box.press("down")
        heights = {region.height for region in painted}
        assert heights == {1}
        assert len(painted) == 3, "the row that was left, the one gone to, and the border"
        painted.clear()
        made.tell_standing()
        assert not painted


async def test_the_wheel_goes_aside_in_a_wide_table() -> None:
    made = table(40)
    async with seen(made) as box:
        await box.turn(MouseScrollDown, shift=True)
        assert made.top == 3, "where nothing is beside, it turns as without shift"
        await box.turn(MouseScrollUp, shift=True)
        await box.press("ctrl+w")
        await box.turn(MouseScrollDown, 2, shift=True)
        assert made.top == 0
        assert made.chosen.left == 2
        await box.turn(MouseScrollUp, shift=True)
        assert made.chosen.left == 1
        await box.turn(MouseScrollRight)
        assert made.chosen.left == 2
        await box.turn(MouseScrollLeft, 5)
        assert made.chosen.left == 0


async def log(count: int = 100) -> LogBox:
    found = LogBox("log")
    found.view.append("".join(f"line {n} {'and more ' * 9}\n" for n in range(count)))
    await found.view.settle()
    return found


async def test_the_wheel_at_the_end_of_a_log_follows_it(home: Path) -> None:
    made = await log()
    async with seen(made) as box:
        await box.shows("follow", "line 99")
        await box.turn(MouseScrollDown)
        await box.press("pagedown")
        assert made.view.follows, "one has not moved up"
        await box.turn(MouseScrollUp)
        assert not made.view.follows
        await box.turn(MouseScrollDown)
        assert not made.view.follows, "it came to the end, and may want to read there"
        await box.turn(MouseScrollDown)
        assert made.view.follows
        made.view.append("and the last\n")
        await box.shows("and the last")


async def test_the_wheel_goes_aside_in_a_log_that_is_not_wrapped(home: Path) -> None:
    made = await log()
    async with seen(made) as box:
        await box.press("g", "w")
        await box.turn(MouseScrollDown, 2, shift=True)
        await box.shows("from column 17")
        await box.turn(MouseScrollUp, shift=True)
        await box.shows("from column 9")
        await box.press("w")
        await box.turn(MouseScrollDown, shift=True)
        assert "line 0 " not in box.screen


async def test_a_page_that_grows_is_left_by_the_wheel_and_come_back_to() -> None:
    page = Page("p")
    async with seen(page) as box:
        page.stick(True)
        for count in (50, 60):
            page.show_text("\n".join(f"line {n}" for n in range(count)))
            await box.shows(f"line {count - 1}")
        await box.turn(MouseScrollUp)
        page.show_text("\n".join(f"line {n}" for n in range(70)))
        await box.pilot.pause()
        assert "line 69" not in box.screen
        await box.turn(MouseScrollDown, 20)
        page.show_text("\n".join(f"line {n}" for n in range(80)))
        await box.shows("line 79")
        await box.press("up")
        page.show_text("\n".join(f"line {n}" for n in range(90)))
        await box.press("G")
        page.show_text("\n".join(f"line {n}" for n in range(95)))
        await box.shows("line 94")


@pytest.mark.parametrize("what", ["page", "log"])
async def test_a_drag_that_is_held_at_the_edge_selects_on(what: str, home: Path) -> None:
    made: Widget
    if what == "page":
        made = Page("p")
        made.show_text("\n".join(f"line {n}" for n in range(100)))
    else:
        made = await log()
    async with seen(made) as box:
        await box.press("g")
        await box.shows("line 0")
        lines = box.app.lines
        x = lines.content_region.x + (what == "log")
        await box.pilot.mouse_down(offset=(x, 2))
        await box.pilot.hover(offset=(x + 5, 4))
        held = (x + 5, lines.content_region.bottom)
        await box.pilot.hover(offset=held)
        await box.until(lambda: "line 25" in box.screen)
        await box.pilot.mouse_up(offset=held)
        await box.pilot.pause()
        stands = box.screen
        text = box.app.screen.get_selected_text() or ""
        assert {f"line {n}" for n in range(2, 20)} <= {one[:7].rstrip() for one in text.split("\n")}
        assert not box.app.screen._selecting
        # A hover later, at the edge, is none.
        await box.pilot.hover(offset=held)
        await box.pilot.pause(0.3)
        assert box.screen == stands
        await box.press("ctrl+c")
        await box.until(lambda: box.app.clipboard == text)
