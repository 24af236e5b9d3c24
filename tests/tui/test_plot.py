"""The plot in an app: its axes and legend, its cursor by key and mouse, and what it repaints."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot
from textual.widget import Widget

from sparkplug.tui.cells import plain
from sparkplug.tui.looks import Looks
from sparkplug.tui.themes import Depth, Terminal, load_themes
from sparkplug.tui.units import BYTES, PERCENT, TOKENS_PER_SECOND, WATTS
from sparkplug.tui.widgets.meter import Meter
from sparkplug.tui.widgets.plot.legend import legend
from sparkplug.tui.widgets.plot.picture import Limit, Series
from sparkplug.tui.widgets.plot.plot import Plot
from sparkplug.tui.widgets.plot.record import Record
from sparkplug.tui.widgets.sparkline import Sparkline


def _said(width: int, moment: str = "") -> str:
    lines = [(Series(str(n), f"gpu {n}", str(n)), "text", 10.0 * n) for n in range(8)]
    return plain(legend(lines, [Limit(90, "cap")], PERCENT, width, moment))


def test_a_legend_leaves_no_line_out_unsaid() -> None:
    assert "0 gpu 0  0%  " in _said(140)
    assert _said(140).endswith("┄ cap 90% ")
    assert "gpu" not in _said(90)
    for width in range(70, 46, -1):
        assert "7 70%" in _said(width)
        assert len(_said(width).rstrip()) <= width
    for width in range(46, 4, -1):
        for moment in ("", "-12s"):
            said = _said(width, moment)
            left = int(said.rpartition("+")[2])
            assert said.count("%") == 8 - left
            assert len(said) <= max(width, len(moment) + 3)


BEGIN = 1_700_000_000.0


class Shown(Looks, App[int]):
    """An app with one widget."""

    def __init__(self, widget: Widget, terminal: Terminal) -> None:
        super().__init__(themes=load_themes({"XDG_CONFIG_HOME": "/"})[0], terminal=terminal)
        self.theme = "neon"
        self.widget = widget

    def compose(self) -> ComposeResult:
        """The widget."""
        yield self.widget

    @property
    def text(self) -> list[str]:
        """What is on the screen, row by row."""
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]


@contextlib.asynccontextmanager
async def shown(
    widget: Widget, size: tuple[int, int] = (60, 12), terminal: Terminal | None = None
) -> AsyncIterator[tuple[Shown, Pilot[int]]]:
    app = Shown(widget, terminal or Terminal())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


def record_of(count: int = 120, *keys: str) -> Record:
    """A saw of 0 to 100, shifted for every series, once a second."""
    record = Record()
    for n in range(count):
        record.add(
            BEGIN + n + 0.5, {key: float((5 * n + 30 * i) % 101) for i, key in enumerate(keys)}
        )
    return record


def series(*keys: str) -> list[Series]:
    return [Series(key, f"the {key}", key) for key in keys]


async def test_axes_legend_limit_and_marks() -> None:
    plot = Plot("watts", unit=WATTS, ends=(0.0, 100.0))
    async with shown(plot) as (app, pilot):
        assert any("nothing measured yet" in line for line in app.text)
        plot.show(record_of(120, "a", "b"), series("a", "b"), [Limit(100, "cap")])
        await pilot.pause()
        assert app.text[0].startswith("╭─ watts ─")
        assert "a the a 90W  b the b 19W  ┄ cap 100W" in app.text[1]
        labels = [line[2:6].strip() for line in app.text[2:10]]
        assert [label for label in labels if label] == ["100W", "50W", "0W"]
        assert "┄" in app.text[2]
        assert app.text[10].strip("│ ").endswith("now")
        assert "-60s" in app.text[10]
        marks = [line[-4:-2].strip() for line in app.text[2:10]]
        assert sorted(filter(None, marks)) == ["a", "b"]
        plot.clock = True
        plot.resized()
        await pilot.pause()
        assert app.text[10].count(":") >= 4


@pytest.mark.parametrize("depth", ["full", "16", "none"])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_lines_are_told_apart(depth: Depth, ascii_only: bool) -> None:
    plot = Plot("x", ends=(0.0, 100.0))
    keys = ("p", "q", "u")
    async with shown(plot, terminal=Terminal(depth, ascii_only)) as (app, pilot):
        plot.show(record_of(120, *keys), series(*keys))
        await pilot.pause()
        body = [line[8:-5] for line in app.text[2:10]]
        drawn = {letter for line in body for letter in line if letter in keys}
        assert drawn == (set(keys) if ascii_only or depth == "none" else set())
        if ascii_only:
            assert "".join(app.text).isascii()
        if depth == "full" and not ascii_only:
            found = {
                str(segment.style.color)
                for strip in app.screen._compositor.render_strips()[2:10]
                for segment in strip
                if segment.style and any("\u2801" <= letter <= "\u28ff" for letter in segment.text)
            }
            assert len(found) == 3


async def test_the_cursor_by_keys() -> None:
    plot = Plot("x", unit=PERCENT, ends=(0.0, 100.0), span=40.0)
    record = record_of(120, "a")
    moved: list[float | None] = []
    async with shown(plot) as (app, pilot):
        plot.show(record, series("a"))
        plot.focus()
        app.widget.post_message = _noting(plot, moved)  # type: ignore[method-assign]
        assert plot.cursor is None
        await pilot.press("left")
        assert plot.cursor == record.times[-1]
        assert "now" in app.text[1]
        await pilot.press("left", "left")
        assert plot.cursor == record.times[-3]
        assert "-2.0s" in app.text[1]
        assert f"{record.value('a', -3):.0f}%" in app.text[1]
        assert "│" in app.text[5][8:-2], "a line stands where the cursor is"
        await pilot.press("home")
        assert plot.cursor is not None
        assert plot.cursor - plot._picture.first_time < 1
        await pilot.press("left")
        assert plot.cursor >= plot._picture.first_time
        await pilot.press("end", "right")
        assert plot.cursor == record.times[-1]
        await pilot.press("left")
        placed = plot.cursor
        record.add(BEGIN + 120.5, {"a": 1.0})
        plot.update_plot()
        assert plot.cursor == placed, "it stays at its time"
        for n in range(60):
            record.add(BEGIN + 121.5 + n, {"a": 1.0})
        plot.update_plot()
        assert plot.cursor is None, "it goes with its time"
        await pilot.press("left", "escape")
        assert plot.cursor is None
        assert moved[-1] is None
        assert placed in moved


def _noting(plot: Plot, moved: list[float | None]) -> Any:
    post = plot.post_message

    def noting(message: Any) -> bool:
        if isinstance(message, Plot.CursorMoved):
            moved.append(message.moment)
        return post(message)

    return noting


async def test_the_cursor_of_many_samples_moves_by_cells() -> None:
    plot = Plot("x", span=4000.0)
    async with shown(plot) as (_, pilot):
        record = Record(keep=5000)
        for n in range(4000):
            record.add(BEGIN + n, {"a": float(n)})
        plot.show(record, series("a"))
        plot.focus()
        await pilot.press("end")
        cells = []
        for _ in range(5):
            assert plot.cursor is not None
            cells.append(plot._picture.cell_of(plot.cursor))
            await pilot.press("left")
        assert cells == list(range(cells[0], cells[0] - 5, -1))


async def test_the_cursor_by_mouse() -> None:
    plot = Plot("x", span=40.0)
    record = record_of(120, "a")
    async with shown(plot) as (_, pilot):
        plot.show(record, series("a"))
        await pilot.hover(plot, offset=(30, 5))
        first = plot.cursor
        assert first is not None
        assert plot._picture.cell_of(first) == 30 - 2 - plot._left
        await pilot.hover(plot, offset=(40, 5))
        second = plot.cursor
        assert second is not None
        assert second > first
        await pilot.click(plot, offset=(20, 5))
        pinned = plot.cursor
        assert pinned is not None
        assert pinned < first
        await pilot.hover(plot, offset=(40, 5))
        assert plot.cursor == pinned, "it was put there"
        plot.action_drop()
        assert plot.cursor is None
        await pilot.hover(plot, offset=(1, 5))
        assert plot.cursor is None, "there is nothing to read beside the picture"
        assert plot.span == 40.0
        plot.action_zoom(2.0)
        assert plot.span == 80.0


async def test_what_the_mouse_points_at_is_read_while_the_wheel_turns() -> None:
    plot = Plot("x", span=40.0)
    wheel = {"widget": plot, "x": 20, "y": 5, "delta_x": 0, "delta_y": 1, "button": 0}
    wheel |= {"shift": False, "meta": False, "ctrl": False}
    async with shown(plot) as (_, pilot):
        plot.show(record_of(120, "a"), series("a"))
        await pilot.hover(plot, offset=(20, 5))
        before = plot.cursor
        assert before is not None
        for event, span in ((MouseScrollUp, 20.0), (MouseScrollDown, 40.0)):
            plot.post_message(event(**wheel))
            await pilot.pause()
            assert plot.span == span
            assert plot.cursor is not None
            assert (plot.cursor > before) is (span < 40.0)
        assert plot.cursor == before
        await pilot.click(plot, offset=(50, 5))
        pinned = plot.cursor
        plot.post_message(MouseScrollDown(**wheel))
        await pilot.pause()
        assert plot.cursor == pinned, "it was put there"


async def test_only_cells_that_changed_are_refreshed() -> None:
    plot = Plot("x", unit=PERCENT, ends=(0.0, 100.0), jump=8)
    record = record_of(600, "a", "b")
    async with shown(plot, (100, 20)) as (app, pilot):
        plot.show(record, series("a", "b"))
        await pilot.pause()
        small = 0
        for n in range(600, 640):
            before = app.text
            record.add(BEGIN + n + 0.5, {"a": (5.0 * n) % 101, "b": 40.0})
            plot.update_plot()
            told = list(plot._repaint_regions)
            await pilot.pause()
            for y, (old, new) in enumerate(zip(before, app.text, strict=True)):
                for x, (one, other) in enumerate(zip(old.ljust(100), new.ljust(100), strict=True)):
                    if one != other:
                        assert any(region.contains(x, y) for region in told), (x, y)
            small += sum(region.area for region in told) < 120
        assert small > 30
        plot.update_plot()
        assert not plot._repaint_regions, "nothing new, nothing painted"
        plot.place_cursor(record.times[-20])
        assert plot._repaint_regions
        assert all(region.width <= 60 and region.height <= 18 for region in plot._repaint_regions)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 3), (6, 4), (20, 5), (23, 7), (24, 7)])
async def test_small_boxes(size: tuple[int, int]) -> None:
    plot = Plot("a long title of a plot")
    async with shown(plot, size) as (app, pilot):
        plot.show(record_of(50, "a", "b"), series("a", "b"), [Limit(3, "cap")])
        plot.focus()
        await pilot.press("left", "home", "minus", "plus", "end", "escape")
        await pilot.resize_terminal(120, 30)
        await pilot.pause()
        assert "now" in app.text[28]
        await pilot.resize_terminal(*size)
        await pilot.pause()
        assert len(app.text) == size[1]


async def test_another_theme_is_another_picture() -> None:
    plot = Plot("x", ends=(0.0, 100.0))
    async with shown(plot) as (app, pilot):
        plot.show(record_of(120, "a"), series("a"))
        await pilot.pause()
        assert any("\u2801" <= letter <= "\u28ff" for letter in "".join(app.text))
        app.wear("mono")
        await pilot.pause()
        assert "".join(app.text).isascii()
        assert "".join(app.text[2:10]).count("a") > 20
        app.wear("neon")
        await pilot.pause()
        assert any("\u2801" <= letter <= "\u28ff" for letter in "".join(app.text))


async def test_hostile_names() -> None:
    plot = Plot("x\x1b[31m\n日本")
    async with shown(plot) as (app, pilot):
        names = ["\x1b[2J" + "x" * 10_000, "\u202eright", "日本語" * 50]
        plot.show(
            record_of(9, "a", "b", "c"),
            [Series(k, n, k) for k, n in zip("abc", names, strict=True)],
        )
        await pilot.pause()
        assert "\x1b" not in "".join(app.text)
        assert all(strip.cell_length == 60 for strip in app.screen._compositor.render_strips())


# Sparkline and meter


async def test_a_sparkline() -> None:
    line = Sparkline("busy", unit=PERCENT, top=100.0, told=("min", "max", "last"))
    async with shown(line, (44, 3)) as (app, pilot):
        line.set_values([0, 12.5, 25, None, 50, float("nan"), 75, 100, 150, -5])
        await pilot.pause()
        assert app.text[0] == "busy           ▁▂▃ ▅ ▇██▁ min -5% max 150% -5%"[-44:].strip() or (
            "▁▂▃ ▅ ▇██▁ min -5% max 150% -5%" in app.text[0]
        )
        line.add(None)
        await pilot.pause()
        assert "▂▃ ▅ ▇██▁  min -5% max 150% n/s" in app.text[0]
        await pilot.resize_terminal(9, 3)
        await pilot.pause()
        assert len(app.text[0]) <= 9


async def test_a_sparkline_refreshes_what_differs_and_scales_itself() -> None:
    line = Sparkline(unit=TOKENS_PER_SECOND, told=())
    async with shown(line, (20, 2)) as (app, pilot):
        line.set_values([50.0] * 20)
        await pilot.pause()
        assert app.text[0] == "█" * 20
        line.add(50.0)
        assert not line._repaint_regions
        line.add(25.0)
        assert {(region.x, region.width) for region in line._repaint_regions} == {(19, 1)}
        await pilot.pause()
        assert app.text[0] == "█" * 19 + "▅"
        line.set_values([100.0, *[50.0] * 19])
        await pilot.pause()
        assert app.text[0] == "█" + "▅" * 19


async def test_a_meter() -> None:
    meter = Meter("memory", unit=BYTES, top=80 * 2.0**30)
    async with shown(meter, (40, 2)) as (app, pilot):
        meter.set_value(None)
        await pilot.pause()
        assert app.text[0] == "memory   ···················· n/s of 80G"
        meter.set_value(41 * 2.0**30, mark=60 * 2.0**30)
        await pilot.pause()
        assert app.text[0].startswith("memory   █████████")
        assert "│" in app.text[0]
        assert app.text[0].endswith("41G of 80G")
        meter.set_value(41 * 2.0**30, mark=60 * 2.0**30)
        assert not meter._repaint_regions
        meter.set_value(42 * 2.0**30, mark=60 * 2.0**30)
        assert sum(region.width for region in meter._repaint_regions) <= 3
        await pilot.resize_terminal(6, 2)
        await pilot.pause()
        assert len(app.text[0]) <= 6
