"""Editing a spec from the screen: in the editor built in, in $EDITOR, losing a race, going back."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shlex import join
from typing import Any

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh
from tui_terminal import opening
from tui_tmux import Tmux, missing, tmux

from sparkplug.tui.dialogs.decision import Decision
from sparkplug.tui.dialogs.memory import MemoryEditor
from sparkplug.tui.dialogs.spec_editor import SpecEditor
from sparkplug.tui.dialogs.spec_history import SpecHistory
from sparkplug.tui.editor import opening as words_of


@pytest.fixture
async def seen(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Centre]:
    """A control centre on Agents, with one agent and no editor chosen."""
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    await mesh.agent("critic")
    async with centre((100, 30), pane="agents") as found:
        await found.shows("critic")
        yield found


async def page(seen: Centre, made: type[Any]) -> Any:
    """The dialog that is open, once it is one of these."""
    await seen.until(lambda: isinstance(seen.app.screen, made))
    return seen.app.screen


async def test_it_is_written_checked_shown_and_applied(seen: Centre, mesh: Mesh) -> None:
    await seen.press("e")
    editor = await page(seen, SpecEditor)
    await seen.shows("name: critic", "✔ it holds")
    editor.area.text = "name: critic\nentrypoint: m:f\nreplicas: many\n"
    await seen.shows("✖ line:3:11: replicas")
    await seen.press("f8")
    await page(seen, Decision)
    await seen.shows("critic is not changed", "line 3, column 11", "replicas: many", "^")
    await seen.press("e")
    editor = await page(seen, SpecEditor)
    assert "many" in editor.area.text
    assert editor.area.cursor_location[0] == 2
    editor.area.text = "name: critic\nentrypoint: m:f\nreplicas: 3\n"
    await seen.press("ctrl+s")
    await page(seen, Decision)
    await seen.shows("change critic?", "+replicas: 3")
    assert (await mesh.desired("critic")).spec.replicas == 1
    await seen.press("e")
    await page(seen, SpecEditor)
    await seen.shows("replicas: 3")
    await seen.press("f8")
    await page(seen, Decision)
    await seen.press("y")
    await seen.shows("critic: changed")
    assert (await mesh.desired("critic")).spec.replicas == 3


async def test_leaving_asks_and_a_name_stays(seen: Centre, mesh: Mesh) -> None:
    await seen.press("e")
    editor = await page(seen, SpecEditor)
    editor.area.text = "name: other\nentrypoint: m:f\n"
    await seen.press("escape")
    await page(seen, Decision)
    await seen.shows("leave it?")
    await seen.press("n")
    await page(seen, SpecEditor)
    await seen.press("f8")
    await page(seen, Decision)
    await seen.shows("an agent keeps its name")
    await seen.press("n")
    await seen.until(lambda: len(seen.app.screen_stack) == 1)
    assert set(await mesh.all_desired()) == {"critic"}


async def test_nothing_written_is_lost_unasked(seen: Centre) -> None:
    for editor in (SpecEditor("critic", "name: critic\n"), MemoryEditor("0123456789", "it rains")):
        seen.app.push_screen(editor)
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
    for editor in (SpecEditor("critic", "name: critic\n"), MemoryEditor("0123456789", "it rains")):
        seen.app.push_screen(editor)
        await seen.press("x", "escape")
        await seen.shows("leave it?")
        await seen.press("n")
        await page(seen, type(editor))
        assert "x" in editor.area.text
        await seen.press("escape", "y")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)


async def test_a_long_paste_is_undone(seen: Centre) -> None:
    for editor in (SpecEditor("critic", "name: critic\n"), MemoryEditor("0123456789", "it rains")):
        seen.app.push_screen(editor)
        await page(seen, type(editor))
        first = editor.area.text
        seen.app.copy_to_clipboard("".join(f"line {number}\n" for number in range(80)))
        await seen.press("ctrl+v")
        await seen.shows("line 79")
        await seen.press("ctrl+z")
        await seen.until(lambda editor=editor, first=first: editor.area.text == first)
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)


async def test_who_loses_a_race_is_shown_how_and_edits_the_newer(seen: Centre, mesh: Mesh) -> None:
    await seen.press("e")
    editor = await page(seen, SpecEditor)
    await seen.shows("name: critic")
    await mesh.edited("critic", concurrency=2)
    editor.area.text += "replicas: 3\n"
    await seen.press("f8")
    await page(seen, Decision)
    await seen.press("y")
    await seen.shows("critic was changed first", "+concurrency: 2", "yours, which is not taken")
    assert (await mesh.desired("critic")).spec.replicas == 1
    await seen.press("e")
    editor = await page(seen, SpecEditor)
    assert "concurrency: 2" in editor.area.text
    editor.area.text += "replicas: 3\n"
    await seen.press("f8")
    await seen.shows("change critic?")
    await seen.press("y")
    await seen.shows("critic: changed")
    wanted = (await mesh.desired("critic")).spec
    assert (wanted.concurrency, wanted.replicas) == (2, 3)


async def test_history_shows_each_change_and_goes_back(seen: Centre, mesh: Mesh) -> None:
    await mesh.edited("critic", concurrency=2)
    await mesh.edited("critic", concurrency=3)
    await seen.press("H")
    pages = await page(seen, SpecHistory)
    await seen.until(lambda: pages.table.shown == 3)
    await seen.shows("+concurrency: 3", "-concurrency: 2", "edited by a test", "tester")
    await seen.press("down")
    await seen.shows("+concurrency: 2")
    await seen.press("enter")
    await page(seen, Decision)
    await seen.shows("would take critic back", "+concurrency: 2", "-concurrency: 3")
    await seen.press("y")
    await seen.becomes(lambda: _concurrency(mesh, 2))
    await seen.until(lambda: pages.table.shown == 4)
    await seen.press("escape")
    await seen.until(lambda: len(seen.app.screen_stack) == 1)
    await seen.press("u")
    await page(seen, Decision)
    await seen.shows("+concurrency: 3")
    await seen.press("n")
    await seen.pilot.pause()
    assert await _concurrency(mesh, 2)


async def _concurrency(mesh: Mesh, count: int) -> bool:
    return (await mesh.desired("critic")).spec.concurrency == count


async def test_readonly_edits_nothing(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 30), pane="agents", readonly=True) as seen:
        await seen.shows("critic")
        await seen.press("e")
        await seen.shows("--readonly")
        assert len(seen.app.screen_stack) == 1


def test_an_editor_begins_on_the_line_where_it_can() -> None:
    file = Path("/tmp/x.yaml")
    assert words_of(["/usr/bin/vim", "-n"], file, 7) == ["/usr/bin/vim", "-n", "+7", str(file)]
    assert words_of(["hx"], file, 7) == ["hx", f"{file}:7"]
    assert words_of(["code", "--wait"], file, 7) == ["code", "--wait", str(file)]
    assert words_of(["vim"], file) == ["vim", str(file)]


#: An editor that shows what it has, waits for a word and writes it into the text.
_EDITOR = """\
#!/bin/sh
stat -c 'mode %a' "$1"
stty -a | grep -q ' icanon' && echo cooked terminal
cat "$1"
printf 'how many? '
read answer
[ "$answer" = leave ] && exit 3
sed -i '/^replicas/d' "$1"
echo "replicas: $answer" >> "$1"
"""


@pytest.fixture
def pane(home: Path) -> Iterator[Tmux]:
    """A shell in tmux, with an editor of the test's own chosen."""
    folder = Path(tempfile.mkdtemp(prefix="sp-tmux-"))
    editor = folder / "editor"
    editor.write_text(_EDITOR)
    editor.chmod(stat.S_IRWXU)
    try:
        with tmux(folder, (100, 30)) as found:
            found.type(f"export VISUAL={editor}\r")
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(missing(), reason="tmux is not installed")
async def test_the_terminal_is_lent_to_the_editor_and_whole_afterwards(
    mesh: Mesh, pane: Tmux
) -> None:
    await mesh.agent("critic")
    left = set(Path(tempfile.gettempdir()).glob("sparkplug-edit-*"))
    pane.type(join(opening("pane='agents'")) + "\r")
    pane.shows("critic", "idle", "? help", deadline=30)
    before = pane.tell("alternate_on"), pane.tell("mouse_any_flag")
    pane.press("e")
    pane.shows("mode 600", "cooked terminal", "name: critic", "how many?")
    assert pane.tell("mouse_any_flag") == "0"
    await mesh.agent("other", "error")  # what changes meanwhile is not painted over the editor
    for _ in range(2):  # stopped with it, and going on with it, as often as one likes
        pane.type("\x1a")
        pane.until(lambda: "topped" in pane.lines[-1] + pane.text.split("how many?")[-1], "stopped")
        pane.type("clear; fg\r")
        pane.until(lambda: "topped" not in pane.text, "going on")
    pane.type("3\r")
    pane.shows("change critic?", "+replicas: 3")
    pane.lacks("cooked terminal")
    assert (pane.tell("alternate_on"), pane.tell("mouse_any_flag")) == before
    pane.press("y")
    pane.shows("other", "critic: changed")
    assert (await mesh.desired("critic")).spec.replicas == 3
    pane.press("e")
    pane.shows("replicas: 3", "how many?")
    pane.type("many\r")
    pane.shows("critic is not changed", "replicas: many")
    pane.press("e")
    pane.shows("# ", "expected a whole number", "how many?")
    pane.press("ctrl+c")  # it reaches the editor, and leaves the control centre alone
    pane.shows("nothing was changed")
    pane.press("escape")
    pane.shows("other", "? help")
    assert set(Path(tempfile.gettempdir()).glob("sparkplug-edit-*")) <= left
