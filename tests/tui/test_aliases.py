"""Short names of the `:` line, and what it says while one types."""

from __future__ import annotations

import pytest
from tui_centre import centre
from tui_mesh import Mesh

from sparkplug.config import load_settings
from sparkplug.schema.errors import InvalidError
from sparkplug.tui.aliases import BUILT_IN, expand, folded, read_aliases


async def test_aliases_stand_for_words(mesh: Mesh) -> None:
    (mesh.server.folder / "config.toml").write_text(
        '[tui.aliases]\nra = "agents restart"\nnight = "theme mono"\n'
        'agents = "hosts"\nnone = "agnts stop"\n'
    )
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        await seen.shows("2 in all, :notices")
        assert seen.app.notices == [
            "tui.aliases: agents is a command already",
            "tui.aliases: none: there is no command agnts stop, did you mean agents stop?",
        ]
        await seen.press("colon")
        await seen.type("ra cri")
        await seen.until(lambda: "critic" in seen.screen.splitlines()[-2])
        await seen.press("tab")
        assert ":ra critic" in seen.screen.splitlines()[-1]
        await seen.shows("▲ would replace the processes of critic", "asks first")
        await seen.press("enter")
        await seen.shows("y yes")
        await seen.press("n", "colon")
        await seen.type("night")
        await seen.press("enter")
        await seen.until(lambda: seen.app.theme == "mono")
        await seen.press("colon")
        await seen.type("ho")
        await seen.press("enter")
        await seen.shows("> hosts")
        await seen.press("question_mark", "end")
        await seen.shows("short names", ":night", ":theme mono")


async def test_the_line_says_what_it_would_do(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        await seen.press("colon")
        await seen.type("scale critic 4")
        await seen.shows("would run 4 replicas of critic")
        await seen.press("backspace")
        await seen.type("many")
        await seen.shows("is not a whole number")
        await seen.press("ctrl+u")
        await seen.type("agents res")
        assert "no command" not in seen.screen
        await seen.press("ctrl+u")
        await seen.type("zz")
        await seen.shows("no command zz")
        await seen.press("escape")
        for size in ((20, 5), (80, 24)):
            await seen.pilot.resize_terminal(*size)
            await seen.press("colon", "a", "escape")


async def test_built_in_ones_are_no_commands(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        found, problems = read_aliases({}, seen.app.commands())
        assert found == BUILT_IN
        assert problems == []
        assert read_aliases(BUILT_IN, seen.app.commands())[1] == []


def test_an_alias_is_written_out_once() -> None:
    aliases = {"a": "b c", "b": "a"}
    assert expand("a x y", aliases) == "b c x y"
    assert expand("a", aliases) == "b c"
    assert expand("ab", aliases) == "ab"
    assert expand("", aliases) == ""
    assert folded("b c x", "a x", aliases) == "a x"
    assert folded("other", "a x", aliases) == "other"


@pytest.mark.parametrize("line", ['"two words" = "agents"', 'x = ""', '"-x" = "agents"'])
def test_what_cannot_be_an_alias_is_refused(mesh_free_home: str, line: str) -> None:
    with pytest.raises(InvalidError, match="aliases"):
        load_settings(environ={"SPARKPLUG_HOME": _written(mesh_free_home, line)})


def _written(folder: str, line: str) -> str:
    from pathlib import Path

    (Path(folder) / "config.toml").write_text(f"[tui.aliases]\n{line}\n")
    return folder


@pytest.fixture
def mesh_free_home(tmp_path: object) -> str:
    """A state directory without a mesh."""
    return str(tmp_path)
