"""The control centre inside tmux, as over ssh: keys, mouse, sizes, detaching, leaving."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tui_mesh import Mesh, sample
from tui_terminal import opening
from tui_tmux import Tmux, missing, tmux

pytestmark = pytest.mark.skipif(missing(), reason="tmux is not installed")


@pytest.fixture
def pane(home: Path) -> Iterator[Tmux]:
    """A shell in tmux. The path of its socket is kept short: a socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sp-tmux-"))
    try:
        with tmux(folder, (160, 30)) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def started(pane: Tmux, options: str = "") -> None:
    """Open the control centre from the shell."""
    pane.type(shlex.join(opening(options)) + "\r")
    pane.shows("overview", "? help")


def test_it_is_gone_without_a_trace_when_it_is_left(pane: Tmux) -> None:
    pane.type("b=$(stty -a); tty; echo 'still' here\r")
    pane.shows("still here")
    before = pane.text
    modes = ("alternate_on", "mouse_any_flag", "mouse_sgr_flag", "keypad_flag", "cursor_flag")
    told = [pane.tell(name) for name in modes]
    started(pane)
    assert pane.tell("alternate_on") == "1"
    assert pane.tell("mouse_sgr_flag") == "1"
    pane.press("q")
    pane.until(lambda: pane.tell("alternate_on") == "0", "left")
    pane.shows("still here")
    assert [pane.tell(name) for name in modes] == told
    pane.type('[ "$b" = "$(stty -a)" ] && echo same as before\r')
    pane.until(lambda: pane.text.count("same as before") > 1, "the modes are as they were")
    first = [line for line in before.splitlines() if line.startswith("/dev/")]
    assert first
    assert first[0] in pane.text


async def test_keys_palette_line_and_filter(mesh: Mesh, pane: Tmux) -> None:
    await mesh.agent("research", "thinking")
    await mesh.agent("writer", "idle")
    await mesh.tell(sample("gpu-1"))
    await asyncio.to_thread(_type_all_there_is, pane)


def _type_all_there_is(pane: Tmux) -> None:
    started(pane)
    pane.shows("◐ research", "○ writer", "38%")
    pane.press("ctrl+p")
    pane.shows("Restart agent")
    pane.type("show host")
    pane.shows("Show hosts")
    pane.lacks("Restart agent")
    pane.press("enter")
    pane.shows("▸ hosts", "16 cores")
    pane.type(":agents")
    pane.shows(":agents")
    pane.press("enter")
    pane.shows("▸ agents", "python")
    pane.type("/writ")
    pane.press("enter")
    pane.lacks("research")
    pane.shows("writer", "1 of 2")
    pane.press("escape")
    pane.shows("research")
    pane.type("?")
    pane.shows("in this box")
    pane.type("G")
    pane.shows("short names")
    pane.press("escape")
    pane.lacks("short names")
    pane.press("q")
    pane.until(lambda: pane.tell("alternate_on") == "0", "left")


async def test_the_mouse_reaches_footer_and_rows_and_copies(mesh: Mesh, pane: Tmux) -> None:
    await mesh.agent("research", "thinking", reason="looks at figures")
    await mesh.agent("writer", "idle", reason="nothing to write")
    await asyncio.to_thread(_click_about, pane)


def _click_about(pane: Tmux) -> None:
    started(pane, "pane='agents'")
    pane.shows("research", "writer")
    # The one the cursor is not on, which the breadcrumbs tell once they name one.
    pane.until(lambda: any(n in pane.lines[0] for n in ("research", "writer")), "a name on top")
    other = "research" if "writer" in pane.lines[0] else "writer"
    pane.click_on(other)
    pane.until(lambda: other in pane.lines[0], "the clicked row is selected")
    pane.press("y")
    pane.until(lambda: pane.copied == other, "the name is in the buffer of tmux")
    _click_to(pane, "1 overview", "▸ overview", "needs you")
    _click_to(pane, "2 hosts", "▸ hosts")


def _click_to(pane: Tmux, words: str, *shown: str) -> None:
    """Click until it is there: what was copied is told where the footer is, for a while."""

    def there() -> bool:
        try:
            pane.click_on(words)
            pane.shows(*shown, deadline=5.0)
        except AssertionError:
            return False
        return True

    pane.until(there, f"{shown} after a click")


async def test_sizes_and_detaching_leave_it_whole(mesh: Mesh, pane: Tmux) -> None:
    await mesh.agent("research", "thinking")
    await asyncio.to_thread(_resize_and_detach, pane)
    await mesh.agent("writer", "running")
    await asyncio.to_thread(_attach_again, pane)


def _resize_and_detach(pane: Tmux) -> None:
    started(pane)
    pane.shows("◐ research")
    for columns, rows in ((60, 20), (20, 5), (160, 50), (80, 24)):
        pane.resize(columns, rows)
        pane.shows("╭")
        pane.until(
            lambda rows=rows: len([line for line in pane.lines if line]) >= rows - 1,
            "all rows are drawn",
        )
    pane.shows("◐ research")
    pane.detach()


def _attach_again(pane: Tmux) -> None:
    pane.attach((100, 30))
    pane.shows("◐ research", "● writer")
    pane.press("3")
    pane.shows("▸ agents")
