"""What is written cell by cell shows what Textual would have shown, in fewer bytes."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip
from tui_emulator import Emulator, differences
from tui_terminal import Terminal

from sparkplug.tui.screen.cells import cells_of
from sparkplug.tui.screen.pens import DEFAULT
from sparkplug.tui.screen.writer import Terminal as Shown
from sparkplug.tui.screen.writer import _takes_more

CONSOLE = Console(color_system="truecolor", force_terminal=True, legacy_windows=False)
LETTERS = "aaabcxyz   019%/─│╭▁▄█⣿●→✔漢字ロ한é"
COLOURS = [None, "default", "red", "bright_blue", "color(201)", "#0a0b0c", "#00ffcc"]
ATTRIBUTES = [
    *("bold", "dim", "italic", "underline", "blink", "reverse", "strike", "overline"),
    *("underline2", "conceal", "frame", "encircle", "blink2"),
]
LINKS = [None, None, None, "https://a.example/", "https://b.example/x?y=1"]
Line = list[tuple[str, Style]]


def style(chance: random.Random) -> Style:
    set_ = chance.sample(ATTRIBUTES, chance.choice((0, 0, 1, 1, 2, 3)))
    return Style(
        color=chance.choice(COLOURS),
        bgcolor=chance.choice(COLOURS),
        link=chance.choice(LINKS),
        **dict.fromkeys(set_, True),  # type: ignore[arg-type]
    )


def line(chance: random.Random, width: int, styles: list[Style]) -> Strip:
    parts: Line = []
    room = width
    while room:
        text = "".join(chance.choices(LETTERS, k=chance.randint(1, 12)))
        strip = Strip([Segment(text)]).crop(0, room)
        parts.append((strip.text, chance.choice(styles)))
        room -= strip.cell_length
    return Strip([Segment(*part) for part in parts], width)


def changed(
    chance: random.Random, old: Strip, width: int, styles: list[Style]
) -> tuple[Strip, tuple[int, int]]:
    """Another line from some column to some other; the rest is as it was."""
    start, end = sorted(chance.sample(range(width + 1), 2))
    pieces = (old.crop(0, start), line(chance, end - start, styles), old.crop(end, width))
    # Half of a wide character that was cut has become a blank.
    return Strip.join(pieces), (max(0, start - 1), min(width, end + 1))


def full(lines: list[Strip], width: int) -> LayoutUpdate:
    return LayoutUpdate([[strip] for strip in lines], Region(0, 0, width, len(lines)))


def partial(
    chance: random.Random, lines: list[Strip], spans: dict[int, tuple[int, int]], width: int
) -> ChopsUpdate | LayoutUpdate:
    """What changed of the lines, cut into widgets as the compositor cuts."""
    chops, ends = [], []
    for strip in lines:
        cuts = [0, *sorted(chance.sample(range(1, width), min(3, width - 1))), width]
        parts = list(strip.divide(cuts[1:]))
        if "".join(part.text for part in parts) != strip.text:
            cuts, parts = [0, width], [strip]
        chops.append(dict(zip(cuts, parts, strict=False)))
        ends.append(cuts[1:])
    found = [(y, *spans[y]) for y in sorted(spans)]
    return ChopsUpdate(chops, found, ends) if found else full(lines, width)


@pytest.mark.parametrize("seed", range(4))
def test_random_frames_show_what_textual_shows(seed: int) -> None:
    chance = random.Random(seed)
    terminal, sizes = Shown(), [(40, 8), (61, 5), (3, 3), (20, 12)]
    ours = theirs = 0
    for width, height in sizes:
        styles = [style(chance) for _ in range(6)]
        lines = [line(chance, width, styles) for _ in range(height)]
        one, other = Emulator(width, height), Emulator(width, height)
        update: ChopsUpdate | LayoutUpdate = full(lines, width)
        for number in range(60):
            stock = full(lines, width).render_segments(CONSOLE)
            terminal.take(update, ColorSystem.TRUECOLOR)
            text = terminal.frame((0, 0))
            other.blank()
            other.feed(stock)
            one.feed(text)
            assert differences(one, other) == [], f"seed {seed}, frame {number}"
            ours += len(text.encode())
            theirs += len(update.render_segments(CONSOLE).encode())
            terminal.take(update, ColorSystem.TRUECOLOR)
            assert terminal.frame((0, 0)) == "", "what is shown is not sent again"
            if number % 20 == 19:
                one.blank()
                terminal.forget()
            if number % 15 == 14:
                # Another theme: the same words with other pens.
                styles = [style(chance) for _ in range(6)]
            spans = {}
            for y in chance.sample(range(height), chance.randint(0, 2)):
                lines[y], spans[y] = changed(chance, lines[y], width, styles)
            update = partial(chance, lines, spans, width)
            if chance.random() < 0.5:
                update = full(lines, width)
    assert ours < theirs


def test_a_wide_character_that_is_half_covered_leaves_a_blank() -> None:
    terminal, seen = Shown(), Emulator(8, 1)
    terminal.take(full([Strip([Segment("漢字漢字", Style(bold=True))])], 8), ColorSystem.TRUECOLOR)
    seen.feed(terminal.frame((0, 0)))
    over = ChopsUpdate([{0: None, 3: Strip([Segment("xx")]), 5: None}], [(0, 3, 5)], [[3, 5, 8]])
    terminal.take(over, ColorSystem.TRUECOLOR)
    seen.feed(terminal.frame((0, 0)))
    assert seen.display == ["漢 xx 字"]


def test_what_terminals_disagree_on_shifts_nothing() -> None:
    for text in (
        "a\u200db",
        "👩\u200d🚀!",
        "❤\ufe0f|",
        "\u200d",
        "e\u0301",
        "a\x1b[2Jb",
        "x\t\r\ny",
    ):
        cells = cells_of(text, DEFAULT)
        assert len(cells) == Strip([Segment(text)]).cell_length, repr(text)
        shown = "".join(cell[0] for cell in cells)
        assert not set(shown) & set("\x1b\u200d\ufe0f\t\r\n"), repr(shown)
    terminal, seen = Shown(), Emulator(20, 1)
    update = full([Strip([Segment("👩\u200d🚀é✅end".ljust(14))])], 20)
    terminal.take(update, ColorSystem.TRUECOLOR)
    text = terminal.frame((0, 0))
    # After what terminals measure differently, the place is said anew.
    assert "\x1b[1;3Hé✅\x1b[1;6Hend" in text
    seen.feed(text)
    assert "end" in seen.display[0]


def test_a_link_cannot_write_escapes() -> None:
    terminal = Shown()
    evil = Style(link="https://a.example/\x1b[2J")
    terminal.take(full([Strip([Segment("here", evil)])], 4), ColorSystem.TRUECOLOR)
    assert "\x1b[2J" not in terminal.frame((0, 0))


def test_a_terminal_that_is_full_gets_no_more() -> None:
    class Output:
        class _queue:  # noqa: N801
            @staticmethod
            def qsize() -> int:
                return 0

        def __init__(self, descriptor: int) -> None:
            self._descriptor = descriptor

        def fileno(self) -> int:
            return self._descriptor

    master, slave = pty.openpty()
    try:
        assert _takes_more(Output(slave))
        os.set_blocking(slave, False)
        # The kernel moves what was written on in its own time.
        for _ in range(100):
            with contextlib.suppress(BlockingIOError):
                os.write(slave, b"x" * 4096)
            time.sleep(0.005)
        assert not _takes_more(Output(slave))
    finally:
        os.close(master)
        os.close(slave)


# The app itself on a terminal

_APP = """
import os, sys
from pathlib import Path
from textual.binding import Binding
from sparkplug.tui.app import SparkplugApp
from sparkplug.tui.themes import load_themes
class Told(SparkplugApp):
    BINDINGS = [Binding("f9", "dump", priority=True)]
    def action_dump(self):
        self.call_after_refresh(self._dump)
    def _dump(self):
        stack = self._background_screens
        update = self.screen._compositor.render_update(full=True, screen_stack=stack)
        made = Path(sys.argv[1] + ".new")
        made.write_text(update.render_segments(self.console))
        made.rename(sys.argv[1])
        self._display(self.screen, update)
Told(load_themes()[0]).run()
"""
_KEYS = ["1", "2", "3", "j", "k", "g", "G", "\t", "?", "\x1b", "\x10", ":", "x", "\r", "/", "\x0c"]


class Running(Terminal):
    """The app on an emulator, with what Textual would have drawn."""

    def __init__(self, folder: Path) -> None:
        self._dump = folder / "dump"
        super().__init__(command=[sys.executable, "-c", _APP, str(self._dump)])

    def check(self) -> None:
        """The terminal shows what Textual has; ages may tick in between, so ask again."""
        until = time.monotonic() + 60
        while True:
            self._dump.unlink(missing_ok=True)
            self.child.send("\x1b[20~")
            self.until(self._dump.exists, "dumped")
            self.drain(0.15)
            other = Emulator(self.screen.columns, self.screen.lines)
            other.feed(self._dump.read_text())
            found = differences(self.screen, other)
            if not found:
                return
            if time.monotonic() > until:
                break
        shown, wanted = "\n".join(self.screen.display), "\n".join(other.display)
        raise AssertionError("\n".join((*found[:3], shown, "instead of", wanted)))


@pytest.fixture
def running(home: Path, tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    try:
        found.shows("no mesh runs here")
        yield found
    finally:
        found.close()


def test_the_app_shows_what_textual_has_after_any_keys(running: Running) -> None:
    chance = random.Random(3)
    for _ in range(6):
        for _ in range(12):
            running.child.send(chance.choice(_KEYS))
            running.drain(0.02)
        running.drain(0.2)
        running.check()


def test_sizes_themes_and_being_stopped(running: Running) -> None:
    for columns, rows in ((61, 20), (120, 30), (80, 24)):
        running.resize(columns, rows)
        running.drain(0.4)
        running.check()
    running.child.send(":theme daylight\r")
    running.drain(0.5)
    running.check()
    running.child.kill(signal.SIGTSTP)
    stopped = psutil.Process(running.child.pid)
    running.until(lambda: stopped.status() == psutil.STATUS_STOPPED, "stopped")
    running.drain(0.2)
    running.screen.blank()
    running.child.kill(signal.SIGCONT)
    running.shows("no mesh runs here")
    running.drain(0.3)
    running.check()
    running.screen.blank()
    running.child.send("\x0c")
    running.shows("no mesh runs here")
    running.check()
