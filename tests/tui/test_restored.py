"""A session goes on where the one before was left."""

from __future__ import annotations

import pytest
from textual import events
from tui_centre import centre
from tui_mesh import Mesh

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


@pytest.mark.parametrize("forwarded", [False, True])
async def test_a_key_behind_the_one_that_leaves_is_nobodys(mesh: Mesh, forwarded: bool) -> None:
    async with centre((100, 30), live=False) as seen:
        await seen.shows("overview")
    assert not seen.app.screen_stack
    for event in (events.Key("f9", None), events.Paste("agents")):
        if forwarded:
            event._set_forwarded()
        await seen.app.on_event(event)
