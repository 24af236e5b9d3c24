"""What is drawn piece by piece, and kept, is what would be drawn anew."""

from __future__ import annotations

import gc
import random
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.pilot import Pilot

import sparkplug.tui
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.tui.cells import Line
from sparkplug.tui.filter import Filter
from sparkplug.tui.looks import Looks
from sparkplug.tui.panes.agent_columns import Cordons, agent_columns, agent_key, is_failing
from sparkplug.tui.panes.agent_usage import UsageCells
from sparkplug.tui.screen.cells import Grid, lay, size_of
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import DEFAULT, Terminal, load_themes
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.rows import Row, Rows
from sparkplug.tui.widgets.selecting import SelectScreen
from sparkplug.tui.widgets.table import Table

NOW = datetime.now(UTC) - timedelta(days=2)
WORDS = ["", "a", "reads", "漢字 is wide", "e\u0301 marks", "long " * 12]


class Boxes(Looks, PaintedApp):
    """Boxes side by side, and what the updates of their screen amount to."""

    CSS_PATH = Path(sparkplug.tui.__file__ or "").with_name("style.tcss")

    def __init__(self) -> None:
        super().__init__(themes=load_themes()[0], terminal=Terminal())
        self.theme = DEFAULT
        self.table = Table(
            agent_columns(UsageCells(), Cordons()),
            key=agent_key,
            title="agents",
            failing=is_failing,
        )
        self.rows = Rows("rows", empty="none")
        self.lines = Lines("lines")
        self.shown = Grid(0, 0)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(self.themes[DEFAULT].variables) if hasattr(self, "themes") else {}

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield from (self.table, self.rows, self.lines)

    def on_mount(self) -> None:
        for box, width in ((self.table, "3fr"), (self.rows, "1fr"), (self.lines, "1fr")):
            box.styles.width, box.styles.height = width, "1fr"
        self.table.focus()

    def _display(self, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, LayoutUpdate | ChopsUpdate):
            if size_of(renderable) != self.shown.size:
                self.shown = Grid(*size_of(renderable))
            lay(renderable, self.shown, ColorSystem.TRUECOLOR)
        super()._display(screen, renderable)


def agent(chance: random.Random, number: int) -> ObservedAgent:
    return ObservedAgent(
        name=f"{chance.choice('ab')}-{number // 3}",
        replica=str(number),
        runtime=chance.choice(["python", "langgraph"]),
        owner="o",
        state=chance.choice(list(AgentState)),
        state_since=NOW,
    )


def mutated(chance: random.Random, old: ObservedAgent) -> ObservedAgent:
    """Another value in one field that is shown."""
    update = chance.choice(
        [
            {"state": chance.choice(list(AgentState))},
            {"state_since": NOW - timedelta(days=chance.randrange(9))},
            {"runtime": chance.choice(WORDS[1:])},
            {"host": chance.choice([None, *WORDS[1:]])},
            {"restarts": chance.randrange(3)},
            {"inflight": chance.randrange(3)},
            {"served": chance.randrange(10**7)},
            {"failed": chance.randrange(3)},
            {"pid": chance.choice([None, chance.randrange(10**5)])},
            {"gpus": ["GPU-0"] * chance.randrange(3)},
            {"foreign": chance.random() < 0.5},
            {"reason": chance.choice([None, *WORDS])},
        ]
    )
    return old.model_copy(update=update)


def text(chance: random.Random) -> Line:
    pens = ("text", "dim", "warn", "active")
    return tuple((chance.choice(pens), chance.choice(WORDS)) for _ in range(chance.randrange(4)))


def drawn_anew(app: Boxes) -> Grid:
    """The screen as it is drawn when nothing of it is kept."""
    for box in (app.table, app.rows, app.lines):
        box._set_dirty()
        box._repaint_regions.clear()
    app.table._forget_all()
    found = Grid(*app.shown.size)
    dirty = app.screen._compositor._dirty_regions.copy()
    lay(app.screen._compositor.render_full_update(), found, ColorSystem.TRUECOLOR)
    assert not dirty, "all was painted before it is looked at"
    return found


async def settle(app: Boxes, pilot: Pilot[None]) -> None:
    app.table.flush()
    for _ in range(3):
        await pilot.pause()
    app.screen._on_timer_update()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_changes_is_drawn(seed: int) -> None:
    chance = random.Random(seed)
    agents = [agent(chance, number) for number in range(40)]
    lines: list[Line] = [text(chance) for _ in range(30)]
    app = Boxes()
    async with app.run_test(size=(150, 20)) as pilot:
        for step in range(60):
            for _ in range(chance.randrange(12)):
                place = chance.randrange(len(agents))
                agents[place] = mutated(chance, agents[place])
            match chance.randrange(12):
                case 0:
                    chance.shuffle(agents)
                case 1:
                    agents = agents[: max(5, len(agents) - 3)]
                case 2:
                    agents.append(agent(chance, 100 + step))
                case 3:
                    app.table.wanted = Filter(chance.choice(["", "a", "nobody", "none"]))
                case 4:
                    await pilot.press(chance.choice(["j", "G", "g", "s", "space", "ctrl+z", "tab"]))
                case 5:
                    app.theme = chance.choice(sorted(app.themes))
                case 6:
                    app.lines.retitle(chance.choice(WORDS), chance.choice(WORDS))
                case 7:
                    app.rows.wanted = Filter(chance.choice(["", "a", "nobody"]))
            app.table.set_rows(agents)
            lines[chance.randrange(len(lines))] = text(chance)
            app.lines.set_lines(lines[: chance.randrange(20, 30)])
            app.rows.set_rows([Row(str(n), line) for n, line in enumerate(lines)])
            app.lines.scroll_lines(chance.choice([0, 0, 0, 1, -1]))
            await settle(app, pilot)
            shown, anew = app.shown, drawn_anew(app)
            for y in range(shown.height):
                assert shown.rows[y] == anew.rows[y], f"step {step}, row {y}"


async def test_what_a_closed_screen_has_drawn_is_let_go() -> None:
    app = Boxes()
    async with app.run_test(size=(60, 12)) as pilot:
        drawn = []
        for _ in range(3):
            opened = SelectScreen()
            await app.push_screen(opened)
            box = Lines("more")
            await opened.mount(box)
            await pilot.pause()
            drawn.append(weakref.ref(box._styles_cache))
            del box, opened
            await app.pop_screen()
        await pilot.pause()
        gc.collect()
        assert [kept() for kept in drawn[:-1]] == [None, None]


def _words(app: Boxes) -> str:
    rows = app.shown.rows
    return "\n".join("".join(cell[0] for cell in row if cell is not None) for row in rows)


async def test_what_is_drawn_in_one_go_is_painted_at_its_end() -> None:
    app = Boxes()
    async with app.run_test(size=(90, 12)) as pilot:
        await settle(app, pilot)
        with app.screen.painting():
            app.lines.set_lines([(("text", "one"),)])
            with app.screen.painting():
                app.rows.set_rows([Row("key", (("text", "two"),), None)])
            assert "two" not in _words(app), "the outer one is not over"
        # Nothing was awaited since: no message has told anybody.
        assert "one" in _words(app)
        assert "two" in _words(app)
        assert not app.lines._repaint_regions
        await settle(app, pilot)
        assert app.shown.rows == drawn_anew(app).rows


async def test_where_it_cannot_be_painted_now_it_is_painted_later() -> None:
    app = Boxes()
    async with app.run_test(size=(90, 12)) as pilot:
        await settle(app, pilot)
        with app.batch_update(), app.screen.painting():
            app.lines.set_lines([(("text", "one"),)])
        assert "one" not in _words(app)
        await settle(app, pilot)
        assert "one" in _words(app)
        app.screen._layout_required = True
        with app.screen.painting():
            app.lines.set_lines([(("text", "three"),)])
        await settle(app, pilot)
        assert "three" in _words(app)
        assert app.shown.rows == drawn_anew(app).rows


async def test_a_pane_under_a_dialog_is_painted_under_it() -> None:
    app = Boxes()
    async with app.run_test(size=(90, 12)) as pilot:
        await settle(app, pilot)
        below = app.screen
        app.push_screen(SelectScreen())
        await settle(app, pilot)
        with app.screen.painting():
            app.lines.set_lines([(("text", "under"),)])
        await settle(app, pilot)
        app.pop_screen()
        await settle(app, pilot)
        assert app.screen is below
        assert "under" in _words(app)
