"""The log view: follows, filters, searches, selects, and draws only text, whatever there is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

import pytest
from rich.color import ColorSystem
from rich.console import Console
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.strip import Strip
from tui_centre import Centre
from tui_emulator import Emulator

from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp, Terminal
from sparkplug.tui.themes import DEFAULT, load_themes
from sparkplug.tui.themes import Terminal as Screen
from sparkplug.tui.widgets.log_view.box import LogBox
from sparkplug.tui.widgets.log_view.cut import breaks, spans, window
from sparkplug.tui.widgets.log_view.text import decode, read

SIZE = (60, 16)


class Reader(Looks, PaintedApp):
    """An app of one log."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave")]

    def __init__(self) -> None:
        super().__init__(themes=load_themes()[0], terminal=Screen())
        self.theme = DEFAULT
        self.box = LogBox("log")
        self.told: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.box

    async def on_mount(self) -> None:
        self.box.view.focus()

    def tell(self, text: str, pen: str = "ok") -> None:
        self.told.append(text)

    def action_leave(self) -> None:
        self.box.escape()


class Reading(Centre):
    """A log under test."""

    app: Reader  # type: ignore[assignment]

    @property
    def view(self):  # type: ignore[no-untyped-def]
        return self.app.box.view

    @property
    def rows(self) -> list[str]:
        return [line[3:-2].rstrip() for line in self.screen.splitlines()[1:-1]]

    async def add(self, text: str | bytes) -> None:
        self.view.append(text)
        await self.view.settle()


@pytest.fixture
async def log(home: Path):  # type: ignore[no-untyped-def]
    app = Reader()
    async with app.run_test(size=SIZE) as pilot:
        yield Reading(app, pilot)  # type: ignore[arg-type]


def numbered(first: int, last: int) -> str:
    return "".join(f"line {n}\n" for n in range(first, last))


async def test_it_stays_at_its_end_until_one_moves(log: Reading) -> None:
    await log.add(numbered(0, 1000))
    await log.shows("line 999", "1,000/1,000", "follow")
    await log.add(numbered(1000, 1100))
    await log.shows("line 1099")
    await log.press("up", "up")
    await log.until(lambda: "follow" not in log.screen)
    await log.add(numbered(1100, 1200))
    await log.shows("1,098/1,200", "line 1099")
    assert "line 1199" not in log.screen
    await log.press("g")
    await log.shows("line 0", "1/1,200")
    await log.press("G")
    await log.shows("line 1199", "follow")
    await log.add("not ended")
    await log.shows("not ended")
    await log.add(" yet\n")
    await log.shows("not ended yet")


async def test_a_filter_goes_on_while_lines_come(log: Reading) -> None:
    await log.add("".join(f"{'ERROR' if n % 10 == 0 else 'fine'} {n}\n" for n in range(500)))
    await log.press("slash")
    await log.type("error")
    await log.press("enter")
    await log.shows("/error: 50", "ERROR 490")
    assert "fine" not in log.screen
    await log.add("ERROR 500\nfine 501\nERROR not ended")
    await log.shows("/error: 52", "ERROR 500", "ERROR not ended")
    await log.press("a")
    await log.shows("fine 501")
    await log.press("g", "n")
    await log.until(lambda: log.view._cursor == 10)
    await log.press("n", "N", "n", "n")
    await log.until(lambda: log.view._cursor == 30)
    await log.press("escape")
    await log.until(lambda: "/error" not in log.screen)
    await log.press("slash")
    await log.type("!fine")
    await log.press("enter")
    await log.shows("/!fine: 52")


async def test_one_goes_to_a_line_or_a_share(log: Reading) -> None:
    await log.add(numbered(0, 1000))
    for text, line in (("1", 0), ("500", 499), ("50%", 499), ("100%", 999), ("9999", 999)):
        await log.press("number_sign")
        log.app.box._entry.value = text
        await log.press("enter")
        await log.until(lambda line=line: log.view._cursor == line)
        await log.shows(f"line {line}")
    await log.press("number_sign", "x", "enter")
    await log.until(lambda: "x is no line" in " ".join(log.app.told))


async def test_earlier_lines_leave_what_is_in_sight(log: Reading) -> None:
    log.view.earlier = True
    await log.add(numbered(100, 200))
    await log.press("g", "down", "down")
    await log.shows("line 100")
    log.view._to_first = False
    before = log.rows
    log.view.prepend(numbered(50, 100))
    await log.view.settle()
    await log.shows("53/150")
    assert log.rows == before
    await log.press("up", "up", "up")
    await log.shows("line 99")


@pytest.mark.parametrize("wraps", [True, False])
async def test_a_long_line_is_not_read_whole(log: Reading, wraps: bool) -> None:
    log.view.wraps = wraps
    await log.add("before\n" + "x" * (1 << 20) + "\nafter\n")
    await log.shows("after")
    read = max(len(text.plain) for text in log.view.source._texts.values())
    assert read == 16 << 10
    await log.shows("+1.0MB")
    await log.press("g")
    await log.shows("before", "xxxx")
    if not wraps:
        await log.press(*["right"] * 5)
        await log.shows("from column 41")


async def test_lines_are_selected_copied_and_saved(log: Reading, tmp_path: Path) -> None:
    await log.add(numbered(0, 100) + "\x1b]52;c;ZXZpbA==\x07last\x1b[2J\n")
    await log.shows("▸last")
    await log.press("y")
    await log.until(lambda: log.app.clipboard == "last")
    await log.press("g", "v", "down", "down", "y")
    await log.until(lambda: log.app.clipboard == "line 0\nline 1\nline 2")
    assert any("3 lines" in told for told in log.app.told)
    await log.press("escape", "shift+down", "y")
    await log.until(lambda: log.app.clipboard == "line 2\nline 3")
    await log.press("escape")
    assert not log.app.screen.selections
    path = tmp_path / "saved.log"
    for _ in range(2):
        await log.press("S")
        log.app.box._entry.value = str(path)
        await log.press("enter")
        await log.until(lambda: path.exists())
    await log.until(lambda: any("there already" in told for told in log.app.told))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().splitlines()[:3] == ["line 0", "line 1", "line 2"]


async def test_the_mouse_selects_characters(log: Reading) -> None:
    await log.add("alpha beta\ngamma 漢字 delta\nepsilon\n")
    await log.shows("epsilon")
    pilot = log.pilot
    view = log.view
    await pilot.mouse_down(view, offset=(3 + 6, 1))
    await pilot.hover(view, offset=(3 + 7, 2))
    await pilot.mouse_up(view, offset=(3 + 7, 2))
    await pilot.pause()
    await log.press("ctrl+c")
    await log.until(lambda: log.app.clipboard == "beta\ngamma 漢")


async def test_it_is_drawn_again_only_where_it_differs(log: Reading) -> None:
    await log.add(numbered(0, 5))
    await log.shows("line 4")
    painted: list[object] = []
    log.view.refresh = lambda *regions, **_: painted.append(regions)  # type: ignore[method-assign]
    log.view.draw()
    assert not painted
    await log.add("another\n")
    await log.until(lambda: painted)


HOSTILE = [
    *("\x1b[31m", "\x1b[0m", "\x1b[2J", "\x1b]0;title\x07", "\x1bP+q\x1b\\", "\x9b1m", "\x00"),
    *("漢字", "e\u0301", "\u202egpj", "\u05e9\u05dc\u05d5", "\u0645\u0631", "👩\u200d💻", "🇩🇪"),
    *("\u200b", "\ufeff", "\u0300", "\u2028", "\x85", "\ufdfa", "❤\ufe0f", "ｗｉｄｅ"),
    *("\t", "\r", "\x08\x08", "\x7f", "abc", " ", "ERROR"),
]


def hostile(chance: random.Random) -> bytes:
    parts = [chance.choice(HOSTILE).encode() for _ in range(chance.randint(0, 60))]
    if chance.random() < 0.3:
        parts.insert(chance.randint(0, len(parts)), chance.randbytes(20).replace(b"\n", b""))
    if chance.random() < 0.02:
        parts = parts * 3000
    return b"".join(parts) + b"\n"


@pytest.mark.parametrize("seed", range(6))
async def test_hostile_lines_shift_nothing(home: Path, seed: int) -> None:
    """What the terminal is written has every border where it belongs, at any place."""
    chance = random.Random(seed)
    app = Reader()
    async with app.run_test(size=SIZE) as pilot:
        log = Reading(app, pilot)  # type: ignore[arg-type]
        terminal, emulator = Terminal(), Emulator(*SIZE)
        view = log.view
        for turn in range(25):
            await log.add(b"".join(hostile(chance) for _ in range(chance.randint(1, 20))))
            await log.press(chance.choice(("up", "pageup", "w", "right", "g", "G", "n", "down")))
            view.wanted = chance.choice((view.wanted, type(view.wanted)(chance.choice("aeER"))))
            view.draw()
            await pilot.pause()
            terminal.take(app.screen._compositor.render_update(full=True), ColorSystem.TRUECOLOR)
            emulator.feed(terminal.frame((0, 0)))
            for y in range(1, SIZE[1] - 1):
                edge = (emulator.buffer[y][0].data, emulator.buffer[y][SIZE[0] - 1].data)
                assert edge == ("│", "│"), (turn, emulator.display)
            shown = log.screen
            assert "\x1b" not in shown
            assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown if c != "\n")
            strips: list[Strip] = [view.render_line(y) for y in range(view.size.height)]
            assert {strip.cell_length for strip in strips} == {view.size.width}


@pytest.mark.parametrize("seed", range(30))
def test_rows_hold_all_of_a_line(seed: int) -> None:
    chance = random.Random(seed)
    text = read(decode(hostile(chance).rstrip(b"\n"))).plain[:4000]
    for width in (1, 2, 7, 40):
        starts = breaks(text, width)
        assert starts[0] == 0
        assert starts == sorted(set(starts))
        rows = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
        assert "".join(rows) == text
        if width > 2:
            assert all(_cells(row) <= width + _slack(row) for row in rows)
        start, end = window(text, 3, width)
        assert 0 <= start <= end <= len(text)
        marked = spans(text, start, end, [(0, 2, "bad")], [(1, 5, "match")])
        assert "".join(part for _, part in marked) == text[start:end]


def _cells(text: str) -> int:
    return Console(width=10_000).render_lines(text, pad=False)[0][0].cell_length if text else 0


def _slack(row: str) -> int:
    """A cluster that is parted by a break after a space counts anew."""
    return 2 if not row.isascii() else 0


@pytest.mark.parametrize(
    ("line", "shown", "pens"),
    [
        (b"\x1b[1;31mbad\x1b[0m rest", "bad rest", [(0, 3, "bad")]),
        (b"\x1b[38;5;196mx\x1b[39m \x1b[32mok\x1b[m", "x ok", [(2, 4, "ok")]),
        (b"2026 ERROR it broke", "2026 ERROR it broke", [(5, 10, "bad")]),
        (b'{"level": "warn"}', '{"level": "warn"}', [(11, 15, "warn")]),
        (b"  0%\r 50%\r100%\r", "100%", []),
        (b"a\tb\x00\xff", "a    b\ufffd", []),
        (b"\xe6\xbc", "", []),
    ],
)
def test_a_line_is_read(line: bytes, shown: str, pens: list[object]) -> None:
    found = read(decode(line))
    assert found.plain == shown
    assert list(found.pens) == pens
