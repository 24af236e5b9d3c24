"""What a command would do, told before enter: also that what it names is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh, plan

from sparkplug.tui.dialogs.arguments import Arguments
from sparkplug.tui.palette import Palette


async def typed(seen: Centre, line: str) -> None:
    """Type a `:` line, in place of the one that is there."""
    await seen.press("ctrl+u")
    seen.app.screen.focused.insert_text_at_cursor(line)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("agents stop critc", "✖ no agent critc, did you mean critic?"),
        ("restart critc", "✖ no agent critc, did you mean critic?"),
        ("agents history critc", "✖ no agent critc"),
        ("agents scale critc 2", "✖ no agent critc"),
        ("agents stop critic critc", "✖ no agent critc"),
        ("hosts drain gpu-2", "✖ no host gpu-2"),
        ("runs cancel b00", "✖ no run b00"),
        ("runs diff a91f b00", "✖ no run b00"),
        ("run host-breif", "✖ no plan host-breif"),
        ("questions answer q7 yes", "✖ no question q7"),
        ("decisions close d7", "✖ no decision d7"),
        ("schedules remove nightly", "✖ no schedule nightly"),
        ("ctx nowhere", "no mesh nowhere"),
        ("ctx hme", "no mesh hme, did you mean home?"),
        ("theme noen", "no theme noen, did you mean neon?"),
    ],
)
async def test_the_line_says_that_there_is_none(mesh: Mesh, line: str, told: str) -> None:
    await mesh.agent("critic")
    await mesh.journal("a91f", "accepted", plan=plan("survey"))
    async with centre((120, 24)) as seen:
        await seen.until(lambda: seen.app.store.runs)
        await seen.press("colon")
        await typed(seen, line)
        await seen.shows(told)
        assert "would" not in seen.screen.splitlines()[-3]


async def test_what_is_not_seen_may_be_there(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await mesh.journal("a91f77", "accepted", plan=plan("survey"))
    async with centre((120, 24)) as seen:
        await seen.until(lambda: seen.app.store.runs)
        await seen.press("colon")
        await typed(seen, "runs cancel a91")
        await seen.shows("would cancel the run a91")
        await typed(seen, "wait agent/later")
        await seen.shows("would wait for agent/later")
        await typed(seen, "talk tap --agent later")
        assert "✖" not in seen.screen


async def test_what_comes_meanwhile_is_seen(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((120, 24)) as seen:
        await seen.press("colon")
        await typed(seen, "agents stop scribe")
        await seen.shows("✖ no agent scribe")
        await mesh.agent("scribe")
        await seen.shows("▲ would stop scribe")
        await typed(seen, "agents stop s")
        await seen.until(lambda: seen.screen.splitlines()[-2].split() == ["scribe"])
        await mesh.agent("sentinel")
        await seen.until(lambda: seen.screen.splitlines()[-2].split() == ["scribe", "sentinel"])
        await mesh.gone("scribe")
        await seen.until(lambda: seen.screen.splitlines()[-2].split() == ["sentinel"])


async def test_the_palette_says_so_and_follows_the_names(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((120, 36), pane="hosts") as seen:
        await seen.press("ctrl+p")
        await seen.type("stop agent")
        await seen.press("enter")
        await seen.shows("agent:", "critic")
        await seen.type("sc")
        await seen.shows("✖ no agent sc")
        await mesh.agent("scribe")
        await seen.shows(" scribe ", "▲ would stop scribe")
        await mesh.agent("scanner")
        await seen.shows(" scanner ")
        await seen.press("down")
        chosen = seen.app.screen
        assert isinstance(chosen, Palette)
        under = chosen._rows.row
        assert under is not None
        await mesh.agent("scalar")
        await seen.shows(" scalar ")
        assert chosen._rows.row is not None
        assert chosen._rows.row.key == under.key


async def test_the_form_says_so(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((120, 36), pane="hosts") as seen:
        await seen.press("colon")
        await seen.type("scale")
        await seen.press("enter")
        await seen.until(lambda: isinstance(seen.app.screen, Arguments))
        await seen.type("nosuch")
        await seen.press("tab")
        await seen.type("2")
        await seen.shows("✖ no agent nosuch")


async def test_without_a_connection_nothing_is_said_to_be_missing(home: Path) -> None:
    async with centre((120, 24), live=False) as seen:
        await seen.until(lambda: seen.app.store.link.state == "away")
        await seen.press("colon")
        await typed(seen, "agents stop critic")
        await seen.shows("no connection: it is not known whether there is agent critic")
