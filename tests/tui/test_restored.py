"""A session goes on where the one before was left."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from textual import events
from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.tui.commands import PANES
from sparkplug.tui.state import read_state, state_file


async def three(mesh: Mesh) -> None:
    for name in ("critic", "scribe", "sentinel"):
        await mesh.agent(name)


async def test_pane_row_filter_and_theme_come_back(mesh: Mesh) -> None:
    await three(mesh)
    async with centre((100, 30)) as seen:
        await seen.press("3", "slash")
        await seen.type("s[ce]")
        await seen.press("enter", "j", "colon")
        await seen.type("theme daylight")
        await seen.press("enter")
        await seen.until(lambda: seen.app.theme == "daylight")
        await seen.press("q")
    async with centre((100, 30)) as seen:
        await seen.shows("▸ agents", "agents 2 of 3 /s[ce]", "▸ sentinel")
        assert seen.app.theme == "daylight"
        assert seen.app.notices == []
        await seen.press("left_square_bracket")
        await seen.shows("there is no earlier place")


async def test_what_is_asked_for_goes_before_it(mesh: Mesh) -> None:
    await three(mesh)
    path = state_file(mesh.server.folder)
    async with centre((100, 30)) as seen:
        await seen.press("3")
        await seen.shows("rep")
        await seen.until(lambda: read_state(path, "home").get("pane") == "agents")
        await seen.press("colon")
        await seen.type("theme daylight")
        await seen.press("enter", "q")
    async with centre((100, 30), pane="hosts", theme="mono") as seen:
        await seen.shows("hosts 1")
        assert seen.app.theme == "mono"
    (mesh.server.folder / "config.toml").write_text('[tui]\ntheme = "clarity"\n')
    async with centre((100, 30)) as seen:
        await seen.until(lambda: seen.app.theme == "clarity")
    (mesh.server.folder / "config.toml").write_text("[tui]\nrestore = false\n")
    async with centre((100, 30)) as seen:
        await seen.shows("▸ overview", "critic")
        assert seen.app.theme == "neon"


async def test_rubbish_in_the_file_is_left_out(mesh: Mesh) -> None:
    await three(mesh)
    path = state_file(mesh.server.folder)
    path.parent.mkdir(mode=0o700)
    path.write_text(
        '{"version": 1, "last": "home", "meshes": {"home": {"pane": "agents", "theme": 3,'
        ' "panes": {"agents": {"box": 7, "boxes": {"list-0": {"filter": 3, "row": [1]},'
        ' "agents-list": [], "x": {}}}, "hosts": 3, "overview": {"boxes": 1}}}}}'
    )
    async with centre((100, 30)) as seen:
        await seen.shows("▸ agents", "agents 3")
        await seen.press("1", "2", "3")
        await seen.shows("agents 3")
        await seen.press("q")
    assert read_state(path, "home")["pane"] == "agents"


async def test_what_was_set_in_a_pane_left_at_once_is_kept(mesh: Mesh) -> None:
    await three(mesh)
    async with centre((100, 30)) as seen:
        await seen.press("3", "slash")
        await seen.type("scri")
        await seen.press("enter", "s", "2", "q")
    async with centre((100, 30)) as seen:
        await seen.shows("▸ hosts")
        await seen.press("3")
        await seen.shows("agents 1 of 3 /scri")


@pytest.mark.parametrize("forwarded", [False, True])
async def test_a_key_behind_the_one_that_leaves_is_nobodys(mesh: Mesh, forwarded: bool) -> None:
    async with centre((100, 30), live=False) as seen:
        await seen.shows("overview")
    assert not seen.app.screen_stack
    for event in (events.Key("f9", None), events.Paste("agents")):
        if forwarded:
            event._set_forwarded()
        await seen.app.on_event(event)


_RUBBISH: tuple[Any, ...] = (
    *(None, True, -1, 7, 1e308, "x", "\x1b[2J\u202e", [], ["x"], [[1]], [1, [2]], {}),
    *({"x": [1]}, {"box": {}}, ["name", "name"], ["name", 3], {"name": -5}, 10**30),
)


def altered(state: Any) -> Iterator[Any]:
    """The state with each part of it, one after the other, in turn as rubbish."""
    yield from _RUBBISH
    parts = list(state.items()) if isinstance(state, dict) else []
    parts = list(enumerate(state)) if isinstance(state, list) else parts
    for key, part in parts:
        for other in altered(part):
            found = copy.copy(state)
            found[key] = other
            yield found


async def test_no_part_of_a_file_can_do_harm(mesh: Mesh) -> None:
    await three(mesh)
    path = state_file(mesh.server.folder)
    async with centre((100, 30)) as seen:
        app = seen.app
        for pane in PANES:
            await app.action_pane(pane)
            await seen.pilot.pause()
        await app.save_state()
        kept = json.loads(path.read_text())
        # What a pane keeps is rubbish: the pane takes what holds of it.
        for pane in PANES:
            await app.show_pane(pane)
            for state in altered(kept["meshes"]["home"]["panes"][pane]):
                if isinstance(state, dict):
                    app.pane.restore(state)
            await seen.pilot.pause()
        # And so is all round it.
        mesh_kept = {**kept["meshes"]["home"], "panes": {"agents": {"box": ""}}}
        small = {**kept, "meshes": {"home": mesh_kept}}
        for state in altered(small):
            path.write_text(json.dumps(state))
            app.open_state(mesh.server.folder, "home", "neon")
        await seen.pilot.pause()
        await seen.press("3")
        await seen.shows("agents 3")
