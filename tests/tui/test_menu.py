"""The menu of a row: by mouse and by key, inside the screen, with reasons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from textual.geometry import Offset
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.tui.dialogs.menu import MenuDialog
from sparkplug.tui.widgets.menu import Item, Menu


@pytest.fixture
async def seen(mesh: Mesh) -> AsyncIterator[Centre]:
    """The agents of a mesh."""
    for name in ("critic", "scribe", "sentinel"):
        await mesh.agent(name)
    async with centre((80, 40), pane="agents") as found:
        await found.shows("critic", "sentinel")
        yield found


def _open(seen: Centre) -> bool:
    return isinstance(seen.app.screen, MenuDialog)


async def test_the_right_button_selects_the_row_and_opens_its_menu(
    seen: Centre, mesh: Mesh
) -> None:
    assert seen.app.pane is not None
    rows = seen.app.pane.main
    at = next(y for y, line in enumerate(seen.screen.splitlines()) if "scribe" in line)
    await seen.pilot.click(rows, offset=(10, at - rows.region.y), button=3)
    await seen.until(lambda: _open(seen))
    await seen.shows("Describe scribe", "Restart agent scribe", "it runs already", "Copy name")
    await seen.shows("Cancel agent's work scribe  it works on nothing")
    menu = seen.app.screen.query_one(Menu)
    assert menu.region.x == 10 + rows.region.x
    assert menu.region.y == at + 1
    assert seen.app.pane.main.row is not None
    assert seen.app.subject is not None
    assert seen.app.subject.name == "scribe"
    await seen.pilot.click(offset=(1, 1))
    await seen.until(lambda: not _open(seen))


async def test_keys_open_it_and_letters_choose(seen: Centre, mesh: Mesh) -> None:
    await seen.press("m")
    await seen.until(lambda: _open(seen))
    await seen.press("S")
    assert _open(seen), "what cannot be done is not chosen"
    await seen.press("r")
    await seen.shows("replace the processes of critic", "y yes")
    await seen.press("n")
    await seen.press("f22")
    await seen.until(lambda: _open(seen))
    await seen.press("escape")
    await seen.until(lambda: not _open(seen))
    await seen.press("m")
    await seen.until(lambda: _open(seen))
    await seen.press("y")
    await seen.until(lambda: seen.app.clipboard == "critic")


async def test_what_lacks_an_argument_asks_for_it(seen: Centre) -> None:
    await seen.press("m")
    await seen.until(lambda: _open(seen))
    await seen.press("n")
    await seen.shows("replicas:")
    await seen.press("escape", "m")
    await seen.until(lambda: _open(seen))
    await seen.press("end", "enter")
    await seen.shows("palette", "Describe critic", "Edit agent critic")


@pytest.mark.parametrize("size", [(80, 24), (30, 10), (20, 5)])
async def test_it_stays_inside_the_screen(seen: Centre, size: tuple[int, int]) -> None:
    await seen.pilot.resize_terminal(*size)
    items = [Item(f"entry {n} \x1b[2J日本", "x" if n == 3 else "") for n in range(12)]
    for place in (Offset(0, 0), Offset(size[0], size[1]), Offset(3, size[1] - 2)):
        async with asyncio.timeout(60):
            await seen.app.push_screen(MenuDialog(items, place))
            await seen.until(lambda: _open(seen))
            await seen.pilot.pause()
        menu = seen.app.screen.query_one(Menu)
        screen = seen.app.screen.region
        assert screen.contains_region(menu.region), (menu.region, screen)
        await seen.press("up")
        assert "entry 11" in seen.screen
        await seen.press("escape")
        await seen.until(lambda: not _open(seen))
