"""The table on a screen: keys, the mouse, what is painted, hostile text, any size."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from textual.app import ComposeResult
from textual.pilot import Pilot
from tui_centre import centre
from tui_mesh import Mesh

import sparkplug.tui
from sparkplug.tui.dialogs.columns import ColumnRows
from sparkplug.tui.filter import Filter
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import DEFAULT, Terminal, load_themes
from sparkplug.tui.widgets.table import Column, Table
from sparkplug.tui.widgets.table import taking as module

COLUMNS = [
    Column("name", 8, itemgetter(0), grows=True),
    Column("size", 6, itemgetter(1), kind="bytes", rank=1),
    Column("state", 8, itemgetter(2), rank=2),
    Column("age", 4, itemgetter(3), kind="age", rank=3),
    Column("more", 10, itemgetter(4), extra=True, full=30),
]
SINCE = datetime.now(UTC) - timedelta(hours=2)
ROWS = [(f"gpu-{n}", n << 20, "error" if n % 5 == 0 else "ok", SINCE, f"m{n}") for n in range(40)]


class Shown(Looks, PaintedApp):
    """One table and nothing else."""

    CSS_PATH = Path(sparkplug.tui.__file__ or "").with_name("style.tcss")

    def __init__(self, table: Table) -> None:
        super().__init__(themes=load_themes()[0], terminal=Terminal())
        self.theme = DEFAULT
        self.table = table

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(self.themes[DEFAULT].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        yield self.table

    async def on_mount(self) -> None:
        self.table.styles.height = "1fr"
        self.table.focus()

    def draw_frame(self) -> None:
        pass

    def note_place(self) -> None:
        pass

    @property
    def text(self) -> list[str]:
        return [strip.text for strip in self.screen._compositor.render_strips()]


def made(**options: Any) -> Table:
    return Table(
        COLUMNS, key=itemgetter(0), title="t", failing=lambda r: r[2] == "error", **options
    )


@contextlib.asynccontextmanager
async def shown(
    table: Table, size: tuple[int, int] = (60, 14)
) -> AsyncIterator[tuple[Shown, Pilot[int]]]:
    app = Shown(table)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def names(table: Table, count: int = 3) -> list[str]:
    return [table.at_key(index) for index in range(min(count, table.shown))]


async def test_keys_sort_and_the_header_says_by_what() -> None:
    table = made()
    table.set_rows(random.Random(1).sample(ROWS, 40))
    async with shown(table) as (app, pilot):
        await pilot.press("s")
        assert names(table) == ["gpu-0", "gpu-1", "gpu-2"]
        assert "name▲" in app.text[1]
        await pilot.press("I")
        assert names(table) == ["gpu-39", "gpu-38", "gpu-37"]
        assert "name▼" in app.text[1]
        await pilot.press("s")
        assert "size▼" in app.text[1], "of numbers the biggest come first"
        assert names(table, 1) == ["gpu-39"]
        await pilot.press("s", "s", "s")
        assert table.sorted_by is None, "after the last column as they were given"
        await pilot.click(Table, offset=(4, 1))
        assert table.sorted_by == ("name", False)
        await pilot.click(Table, offset=(4, 1))
        assert table.sorted_by == ("name", True)


async def test_a_click_moves_the_cursor_and_one_more_goes_into_the_row() -> None:
    table, chosen = made(), []
    table.set_rows(ROWS)
    async with shown(table) as (_app, pilot):
        with patch.object(table, "action_choose", lambda: chosen.append(table.row)):
            await pilot.click(Table, offset=(6, 6))
            assert table.row is not None
            assert table.row.key == "gpu-4"
            assert not chosen
            await pilot.click(Table, offset=(2, 5))
            assert not chosen, "a mark"
            await pilot.click(Table, offset=(6, 5))
            assert [row.key for row in chosen] == ["gpu-3"]


async def test_marks_by_keys_and_mouse_survive_what_moves_rows() -> None:
    table = made()
    table.set_rows(ROWS)
    async with shown(table) as (app, pilot):
        await pilot.press("space", "space", "j", "space")
        assert [row.key for row in table.marked] == ["gpu-0", "gpu-1", "gpu-3"]
        assert "t 40 · 3 marked" in app.text[0]
        assert app.text[2].startswith("│ •gpu-0")
        await pilot.press("s", "I")
        table.wanted = Filter("gpu-1")
        table.put("gpu-1", ("gpu-1", 5, "ok", SINCE, "x"))
        table.flush()
        assert [row.key for row in table.marked] == ["gpu-0", "gpu-1", "gpu-3"]
        table.wanted = Filter("")
        await pilot.press("escape")
        assert table.leave()
        assert not table.marked
        table.sort("name", down=False)
        await pilot.press("g", "M", "j", "j", "M", "j")
        assert [row.key for row in table.marked] == ["gpu-0", "gpu-1", "gpu-2"]
        await pilot.press("asterisk")
        assert table.mark_count == 37
        assert not table.is_marked("gpu-1")
        table.leave()
        await pilot.press("g", "shift+down", "shift+down", "shift+up")
        assert [row.key for row in table.marked] == ["gpu-0", "gpu-1", "gpu-2"]
        table.leave()
        await pilot.click(Table, offset=(2, 5))
        assert [row.key for row in table.marked] == ["gpu-3"]


async def test_columns_are_chosen_moved_and_as_they_were() -> None:
    table = made()
    table.set_rows(ROWS)
    async with shown(table) as (app, pilot):
        assert "more" not in app.text[1]
        await pilot.press("c", "j", "space", "G", "space")
        await pilot.press("K", "K", "escape")
        await until(lambda: len(app.screen_stack) == 1)
        await pilot.pause()
        assert app.text[1].strip("│ ").split() == ["name", "more", "state", "age"]
        await pilot.press("c", "r", "escape")
        await until(lambda: len(app.screen_stack) == 1)
        await pilot.pause()
        assert app.text[1].strip("│ ").split() == ["name", "size", "state", "age"]


async def test_a_click_on_the_mark_of_a_column_shows_or_hides_it() -> None:
    table = made()
    table.set_rows(ROWS)
    async with shown(table, (80, 20)) as (app, pilot):
        await pilot.press("c")
        await pilot.pause()
        chooser = app.screen.query_one(ColumnRows)
        await pilot.click(chooser, offset=(3, 2))
        await pilot.pause()
        assert "· size" in app.text[chooser.region.y + 2]
        assert not table.chosen.is_shown("size")
        assert chooser.row is not None
        assert chooser.row.key == "size"
        await pilot.click(chooser, offset=(3, 2))
        await pilot.pause()
        assert table.chosen.is_shown("size")
        assert table.sorted_by is None
        await pilot.click(chooser, offset=(6, 2))
        await pilot.pause()
        assert table.sorted_by == ("size", True), "elsewhere as in any list"


async def test_wide_has_all_columns_and_the_first_stays() -> None:
    table = made()
    table.set_rows(ROWS)
    async with shown(table, (40, 10)) as (app, pilot):
        await pilot.press("ctrl+w")
        await pilot.pause()
        assert app.text[1].strip("│ ").split() == ["name", "size", "state", "age", "more"]
        await pilot.press(*["right"] * 9)
        await pilot.pause()
        assert app.text[1].strip("│ ").split() == ["name", "more"]
        assert "gpu-0    m0" in app.text[2]
        await pilot.press("left")
        await pilot.pause()
        assert "age" in app.text[1]
        await pilot.press("ctrl+w")
        await pilot.pause()
        assert app.text[1].strip("│ ").split() == ["name", "size", "state", "age"]


async def test_only_what_fails_and_filters_of_columns() -> None:
    table = made()
    table.set_rows(ROWS)
    async with shown(table) as (app, pilot):
        await pilot.press("ctrl+z")
        assert table.shown == 8
        await pilot.pause()
        assert "t 8 of 40 failing" in app.text[0]
        table.put("gpu-5", (*ROWS[5][:2], "ok", *ROWS[5][3:]))
        table.flush()
        assert table.shown == 7
        assert table.leave()
        assert table.shown == 40
        table.wanted = Filter("state:err name:!3")
        assert names(table, 9) == ["gpu-0", "gpu-10", "gpu-15", "gpu-20", "gpu-25", "gpu-40"][:5]
        table.wanted = Filter("no such thing")
        await pilot.pause()
        assert "nothing matches /no such thing" in app.text[2]


async def test_only_the_cell_that_changed_is_painted() -> None:
    table = made()
    table.set_rows(ROWS)
    async with shown(table) as (_, pilot):
        await until(lambda: not table._repaint_regions)
        assert table._timer is None, "nothing is armed while nothing is dirty"
        table.change("gpu-3", "state", "error")
        table.flush()
        (region,) = table._repaint_regions
        place = next(p for p in table._places if p.index == 2)
        assert (region.y, region.height) == (table.gutter.top + 1 + 3, 1)
        assert region.width == place.width
        await pilot.pause()
        before = list(table._repaint_regions)
        assert not table.change("gpu-3", "state", "error")
        table.change("gpu-39", "state", "out of sight")
        table.put("gpu-4", tuple(ROWS[4]))
        table.set_rows([*table._records.records])
        table.flush()
        table.tick()
        assert list(table._repaint_regions) == before == []


async def test_ages_in_sight_tick_and_no_other() -> None:
    table = made()
    table.set_rows([(f"r{n}", n, "ok", SINCE, "") for n in range(40)])
    async with shown(table) as (_, pilot):
        now = datetime.now(UTC)
        table.put("r2", ("r2", 2, "ok", now, ""))
        table.put("r30", ("r30", 2, "ok", now, ""))
        table.flush()
        await pilot.pause()
        await until(lambda: not table._repaint_regions)

        def ticked() -> bool:
            table.tick()
            return bool(table._repaint_regions)

        await until(ticked)
        assert len(table._repaint_regions) == 1, "the hours of the others are the same"


async def test_the_view_follows_the_cursor_unless_one_looks_elsewhere() -> None:
    table = made(sort="size")
    table.set_rows(ROWS)
    async with shown(table) as (app, pilot):
        await pilot.press("j")
        table.change("gpu-1", "size", 1 << 40)
        table._sorted = 0.0
        table.flush()
        assert table.row is not None
        assert table.row.key == "gpu-1"
        assert table.place_of("gpu-1") == 39
        assert table.top == 40 - table.page, "it is in sight"
        table.scroll_lines(-100)
        table.change("gpu-1", "size", 9 << 20)
        table._sorted = 0.0
        table.flush()
        assert table.row.key == "gpu-1"
        assert table.top == 0, "one looked elsewhere"
        await pilot.pause()
        assert app.text[2].lstrip("│▸· ").startswith("gpu-0")


async def test_under_fire_it_paints_and_sorts_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    table = made(sort="size")
    table.set_rows(ROWS)
    frames, sorts = [], []
    async with shown(table) as (_, pilot):
        take_in, put = table._take_in, table._arranged.put_in_place
        monkeypatch.setattr(table, "_take_in", lambda *a: (frames.append(1), take_in(*a)))
        monkeypatch.setattr(table._arranged, "put_in_place", lambda s: (sorts.append(1), put(s)))
        clock = [1000.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
        table._framed = table._sorted = 1000.0
        chance = random.Random(2)
        for _ in range(200):
            clock[0] += 0.01
            for _ in range(10):
                row = f"gpu-{chance.randrange(40)}"
                table.change(row, "size", chance.randrange(1 << 30))
            if table._timer is not None and clock[0] - table._framed >= module.FRAME_S:
                table.flush()
        assert len(frames) <= 2.0 / module.FRAME_S + 1
        assert 2 <= len(sorts) <= 2.0 / module.SORT_S + 1
        monkeypatch.undo()
        await pilot.pause()
    assert table.total == 40


async def test_many_rows_are_sorted_in_steps_while_keys_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MANY", 50)
    table = made()
    rows = [(f"r{n}", n * 7919 % 1000, "ok", SINCE, "") for n in range(1000)]
    table.set_rows(rows)
    async with shown(table) as (_, pilot):
        table.sort("size", down=False)
        table.change("r5", "size", -1)
        table.drop("r0")
        table.put("new", ("new", -2, "ok", SINCE, ""))
        await pilot.press("j")
        await until(lambda: not table._busy and not table._records.stirred)
        assert names(table, 2) == ["new", "r5"]
        assert table.shown == 1000
        sizes = [table.at(index).value[1] for index in range(2, 1000)]
        assert sizes == sorted(sizes)
        table.wanted = Filter("name:^r1")
        table.sort("name")
        await until(lambda: not table._busy)
        assert names(table, 3) == ["r1", "r10", "r11"]


async def test_what_the_user_made_of_it_is_kept_and_rubbish_is_not() -> None:
    one, other = made(), made()
    one.set_rows(ROWS)
    async with shown(one) as (_, pilot):
        await pilot.press("s", "I", "ctrl+w", "j", "j")
        one.chosen.toggle("size")
        one.chosen.move_column("age", -1)
        one.wanted = Filter("state:ok")
        one.flush()
        state = json.loads(json.dumps(one.state()))
        key = one.row.key if one.row else ""
    async with shown(other) as (_, pilot):
        for rubbish in (None, 3, [], {"sort": 7, "columns": {"x": 1}, "order": [1], "wide": "y"}):
            other.restore(rubbish)
        other.restore({"sort": ["nothing", True], "filter": 3, "cursor": 9, "columns": []})
        assert other.state() == made().state()
        other.restore(state)
        other.set_rows(ROWS)
        other.flush()
        assert other.state() == state
        assert other.row is not None
        assert other.row.key == key


EVIL = [
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egpj.exe",
    "日本" * 40,
    "e\u0301" * 9,
    "\u200d\ufe0f",
    "a\nb\tc",
]


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (20, 5)])
async def test_hostile_text_shifts_nothing(size: tuple[int, int]) -> None:
    table = made()
    long = "x" * (1 << 20)
    rows = [(f"{n}{text}", n, text, SINCE, text) for n, text in enumerate([*EVIL, long])]
    table.set_rows(rows)
    async with shown(table, size) as (app, pilot):
        for keys in (("s",), ("s", "I"), ("ctrl+w",), ("right", "space"), ("G",)):
            await pilot.press(*keys)
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert strip.cell_length == size[0]
                assert strip.text.replace("\u200d", "").replace("\ufe0f", "").isprintable()
        table.wanted = Filter("owned")
        await pilot.pause()


async def test_no_size_breaks_it() -> None:
    table = made()
    table.set_rows(ROWS)
    async with shown(table) as (_, pilot):
        for size in ((20, 5), (1, 1), (3, 3), (250, 80), (8, 40), (60, 14)):
            await pilot.resize_terminal(*size)
            await pilot.press("G", "ctrl+w", "right", "pageup", "s", "space", "ctrl+w")
            await pilot.pause()
        assert table.total == 40


async def test_an_action_is_done_to_all_that_is_marked(mesh: Mesh) -> None:
    for name in ("critic", "scribe", "sentinel"):
        await mesh.agent(name)
    async with centre((120, 36), pane="agents") as seen:
        await seen.shows("▸critic", "sentinel")
        await seen.press("space", "j", "space")
        await seen.shows("2 marked")
        await seen.press("ctrl+p")
        await seen.type("restart")
        await seen.shows("Restart 2 agents")
        await seen.press("escape")
        await seen.press("r")
        await seen.shows("replace the processes of critic, sentinel", "y yes")
        await seen.press("n")
        await seen.until(lambda: "2 marked" in seen.screen)
        await seen.press("r")
        await seen.shows("y yes")
        await seen.press("y")

        async def both() -> bool:
            found = [await mesh.desired(name) for name in ("critic", "sentinel")]
            return [one.generation for one in found] == [2, 2]

        await seen.becomes(both)
        assert (await mesh.desired("scribe")).generation == 1
        await seen.until(lambda: "marked" not in seen.screen)


async def test_processes_are_sorted_and_filtered(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((120, 36), pane="hosts") as seen:
        await seen.shows("gpu-1")
        await seen.press("d")
        await seen.shows("processes of gpu-1", "research/0", "agent")
        await seen.press("slash")
        await seen.type("agent:none")
        await seen.shows("nothing matches /agent:none")
        await seen.press("enter", "escape")
        await seen.shows("research/0")
        await seen.press("s", "r")
        await seen.shows("pid▼", "research/0")
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
