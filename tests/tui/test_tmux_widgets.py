"""Widgets inside tmux, as over ssh: the wheel, clicks, drags, pastes, and what is copied."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tui_mesh import Mesh
from tui_terminal import opening
from tui_tmux import Tmux, missing, tmux

pytestmark = pytest.mark.skipif(missing(), reason="tmux is not installed")


@pytest.fixture
def pane(home: Path) -> Iterator[Tmux]:
    """A shell in tmux."""
    folder = Path(tempfile.mkdtemp(prefix="sp-tmux-"))
    try:
        with tmux(folder, (110, 30)) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def gallery(pane: Tmux, page: str) -> None:
    """Open a page of the gallery, and go into it."""
    pane.type(shlex.join([sys.executable, "-m", "sparkplug", "gallery", page]) + "\r")
    pane.shows("gallery 13", f" {page} ")
    pane.press("tab")


def test_a_log_is_wheeled_dragged_and_copied(pane: Tmux) -> None:
    gallery(pane, "log")
    pane.shows("follow", "20,001/20,001")
    pane.wheel(60, 10, -2)
    pane.lacks("follow ─")
    pane.wheel(60, 10, 1)
    pane.wheel(60, 10, 3)
    pane.shows("log · follow ─")
    pane.press("g")
    x, y = pane.place("2026-03-01 00:00:02")
    pane.drag((x, y), (x + 10, y), (x + 9, y + 1))
    pane.press("y")
    pane.until(lambda: pane.copied.count("\n") == 1, "two lines in the buffer of tmux")
    assert pane.copied.startswith("2026-03-01 00:00:02 INFO")
    assert pane.copied.endswith("\n2026-03-01")
    pane.press("w")
    pane.shows("from column 1 ")
    pane.press("\x1b[<69;60;10M")
    pane.shows("from column 9")


def test_a_plot_is_wheeled_and_pointed_at(pane: Tmux) -> None:
    gallery(pane, "plot")
    _, y = pane.place("power of eight GPUs")
    axis = pane.lines[y + 6]
    pane.wheel(70, y + 3, -1)
    pane.until(lambda: pane.lines[y + 6] != axis, "less time")
    pane.wheel(70, y + 3, 1)
    pane.until(lambda: pane.lines[y + 6] == axis, "as it was")
    pane.press(f"\x1b[<35;70;{y + 4}M")
    pane.until(lambda: " 00:0" in pane.lines[y + 1], "the legend tells a moment")
    pane.press(f"\x1b[<35;3;{y + 4}M")
    pane.until(lambda: " 00:0" not in pane.lines[y + 1], "and no longer")


def test_a_form_is_filled_in_by_the_mouse(pane: Tmux) -> None:
    gallery(pane, "form")
    pane.click_on("[ ] no")
    pane.shows("[x] yes")
    pane.click_on("python ")
    pane.shows("❯ python", "  shell")
    pane.click_on("langgraph")
    pane.shows("< langgraph >")
    pane.lacks("❯")
    x, y = pane.place("night-shift")
    pane.click(x + 5, y)
    pane.shows("small letters and dashes")
    pane.type("X")
    pane.shows("nightX-shift", "does not have the form", "1 to mend")
    pane.press("backspace")
    pane.lacks("to mend")
    pane.paste("er-\x1b[31m")
    pane.shows("nighter--shift")
    pane.click_on("+ retry")
    pane.shows("times")
    pane.click_on("[ deploy ]")
    pane.shows("▸ [ deploy ]")


def test_a_table_says_where_one_stands(pane: Tmux) -> None:
    gallery(pane, "table")
    pane.shows(" 1/300 ─╯")
    pane.click_on("critic-7")
    pane.shows("▸critic-7", " 8/300 ─╯")
    pane.wheel(60, 10, 5)
    pane.lacks("critic-7")
    pane.until(lambda: " 16-" in pane.lines[-3], "the rows in sight")
    pane.resize(150, 50)
    pane.shows("▸critic-7")
    pane.click_on("load")
    pane.shows("load▼")


async def test_the_editor_is_scrolled_by_its_bar_selected_and_pasted_into(
    mesh: Mesh, pane: Tmux, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.agent("critic")
    await asyncio.to_thread(_edit, pane)


def _edit(pane: Tmux) -> None:
    pane.type("unset VISUAL EDITOR; " + shlex.join(opening("pane='agents'")) + "\r")
    pane.shows("critic", "? help")
    pane.press("e")
    pane.shows("edit critic", "name: critic")
    pane.paste("".join(f"# comment {n}\r" for n in range(100)))
    pane.shows("# comment 99", "name: critic")
    right = pane.size[0] - 2
    thumb = [y for y, line in enumerate(pane.lines) if line[right : right + 1] in "▁▂▃▄▅▆▇█▔"]
    bottom = pane.size[1] - 5
    pane.drag((right, bottom - 1), *((right, y) for y in range(bottom - 2, 1, -3)), (right, 1))
    pane.shows("# comment 0", "# comment 9")
    assert thumb, "there is a bar"
    pane.wheel(20, 8, 2)
    pane.lacks("# comment 0\n", "# comment 1 ")
    pane.wheel(20, 8, -5)
    x, y = pane.place("# comment 3")
    pane.drag((x, y), (x + 4, y), (x + 9, y))
    pane.press("ctrl+c")
    pane.until(lambda: pane.copied == "# comment", "what is selected is in the buffer of tmux")
    pane.press("\x1a")
    pane.lacks("# comment")
    pane.shows("name: critic", "it holds")
