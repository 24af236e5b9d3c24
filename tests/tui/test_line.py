"""The `:` line: completion as one types, lines typed before, and what stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.events import MouseDown, MouseUp
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.tui.commands import action_commands, named, own_commands
from sparkplug.tui.completing import complete
from sparkplug.tui.widgets.toasts import Toasts


def line(seen: Centre) -> str:
    """The row one types in."""
    return seen.screen.splitlines()[-1].rstrip()


def offers(seen: Centre) -> list[str]:
    """What the line could become."""
    return seen.screen.splitlines()[-2].split()


def no_names(kind: str) -> list[str]:
    return []


def test_commands_are_found_in_any_case_and_by_a_later_word() -> None:
    commands = own_commands(None, ["neon", "Night"], lambda _: "")
    assert complete("THE", commands, no_names) == ["theme neon", "theme Night"]
    assert complete("ni", commands, no_names) == ["theme Night"]
    assert complete("theme n", commands, no_names) == ["theme neon", "theme Night"]
    assert complete("eon", commands, no_names) == []
    found, rest = named(["Theme", "NIGHT"], commands)
    assert found is not None
    assert (found.words, rest) == ("theme Night", [])


def test_of_two_names_that_differ_in_case_the_one_written_is_meant() -> None:
    commands = own_commands(None, [], lambda _: "", ["Lab", "lab", "LAB"])
    for name in ("lab", "LAB", "Lab"):
        found, _ = named(["ctx", name], commands)
        assert found is not None
        assert found.words == f"ctx {name}"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("agents stop --drain 5s cr", ["agents stop --drain 5s critic"]),
        ("agents stop --drain ", []),
        ("agents stop critic --now ", ["agents stop critic --now scribe"]),
        ("decisions propose q --arbiter cr", ["decisions propose q --arbiter critic"]),
        ("hosts kill gpu-1 1 --signal K", ["hosts kill gpu-1 1 --signal KILL"]),
        ("prompt 'cr", ["prompt critic"]),
        ("prompt  CRI", ["prompt critic"]),
    ],
)
def test_what_comes_next_is_offered(line: str, offered: list[str]) -> None:
    commands = action_commands(None, [], {}, readonly=False)

    def names(kind: str) -> list[str]:
        return ["critic", "scribe"] if kind == "agent" else []

    found = complete(line, commands, names)
    assert found[: len(offered)] == offered
    assert bool(found) is bool(offered)


async def test_names_are_completed_in_any_case_and_by_their_middle(mesh: Mesh) -> None:
    for name in ("web-7f", "web-8a", "crawler"):
        await mesh.agent(name)
    async with centre((100, 24)) as seen:
        await seen.until(lambda: len(seen.app.store.agents) == 3)
        await seen.press("colon")
        await seen.type("agents stop CRA")
        await seen.until(lambda: offers(seen) == ["crawler"])
        await seen.press("tab")
        await seen.until(lambda: line(seen) == ":agents stop crawler")
        await seen.type("8A")
        await seen.until(lambda: offers(seen) == ["web-8a"])


async def test_the_word_under_the_cursor_is_completed_and_the_rest_stays(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await mesh.agent("writer")
    async with centre((100, 24)) as seen:
        await seen.until(lambda: len(seen.app.store.agents) == 2)
        await seen.press("colon")
        await seen.type("agents stop crix --now")
        for _ in range(len("x --now")):
            await seen.press("left")
        await seen.until(lambda: offers(seen) == ["critic"])
        await seen.press("tab")
        await seen.until(lambda: line(seen) == ":agents stop critic --now")
        assert seen.app.focused.cursor_position == len("agents stop critic ")


async def test_what_was_typed_comes_back_after_a_look_at_earlier_lines(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        for said in ("hosts", "agents", "overview"):
            await seen.press("colon")
            await seen.type(said)
            await seen.press("enter")
            await seen.until(lambda said=said: seen.app.pane.id == said)
        await seen.press("colon", "up", "up")
        assert line(seen) == ":agents"
        await seen.press("down", "down", "down")
        assert line(seen) == ":"
        await seen.type("ho")
        await seen.press("up")
        assert line(seen) == ":hosts"
        await seen.press("up")
        assert line(seen) == ":hosts"
        await seen.press("down")
        assert line(seen) == ":ho"


async def test_notices_stand_above_the_line(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        seen.app.tell("one")
        seen.app.tell("two " * 30)
        await seen.shows("┃✔ two")
        (corner,) = seen.app.screen.query(Toasts)
        await seen.until(lambda: corner.region.bottom == 23)
        await seen.press("colon")
        await seen.until(lambda: corner.region.bottom == 21)
        await seen.type("hosts")
        await seen.shows("┃✔ two", ":hosts")
        seen.app.tell("three")
        await seen.shows("┃✔ three")
        assert corner.region.bottom == 21
        await seen.press("escape")
        await seen.until(lambda: corner.region.bottom == 23)
        await seen.press("slash")
        await seen.pilot.pause()
        assert corner.region.bottom == 23


async def test_a_click_elsewhere_leaves_the_line(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24), pane="agents") as seen:
        await seen.press("colon")
        await seen.type("ho")
        for made in (MouseDown, MouseUp):
            seen.app.post_message(made(None, 10, 5, 0, 0, 1, False, False, False, 10, 5))
        await seen.until(lambda: not seen.app.screen.query("CommandLine"))
        await seen.press("colon")
        await seen.type("hosts")
        await seen.press("enter")
        await seen.until(lambda: seen.app.pane.id == "hosts")


async def test_a_line_over_a_page_that_is_closed_goes_with_it(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24), pane="agents") as seen:
        await seen.press("d")
        await seen.shows("critic/0/tester")
        await seen.press("colon")
        await seen.type("ho")
        await seen.until(lambda: line(seen) == ":ho")
        seen.app.action_crumb("pane")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
        await seen.shows("? help")
        await seen.press("colon")
        await seen.type("hosts")
        await seen.press("enter")
        await seen.until(lambda: seen.app.pane.id == "hosts")
        await seen.press("ctrl+p")
        await seen.shows("palette")
