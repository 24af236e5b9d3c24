"""The mouse: what each button is for, and that none does what it is not for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from textual.widget import Widget
from tui_centre import Centre, centre
from tui_mesh import Mesh, plan

from sparkplug.schema.topology import Topology, TopologyEdge, TopologyNode
from sparkplug.tui.dialogs.columns import ColumnChooser
from sparkplug.tui.dialogs.confirm import Confirm
from sparkplug.tui.dialogs.described import Described
from sparkplug.tui.dialogs.menu import MenuDialog
from sparkplug.tui.palette import Offers, Palette
from sparkplug.tui.widgets.key_row import KeyRow
from sparkplug.tui.widgets.tree import Tree


@pytest.fixture
async def seen(mesh: Mesh) -> AsyncIterator[Centre]:
    """The agents of a mesh."""
    for name in ("critic", "scribe", "sentinel"):
        await mesh.agent(name)
    async with centre((120, 40), pane="agents") as found:
        await found.shows("critic", "sentinel")
        yield found


async def click(seen: Centre, box: Widget, words: str, *, button: int = 1, times: int = 1) -> None:
    """Click on words that stand in a box."""
    region = box.region
    for y, line in enumerate(seen.screen.splitlines()):
        x = line.find(words, region.x, region.right)
        if region.y <= y < region.bottom and x >= 0:
            offset = (x - region.x, y - region.y)
            await seen.pilot.click(box, offset=offset, button=button, times=times)
            return
    raise AssertionError(f"no {words} in {box}:\n{seen.screen}")


async def test_only_the_left_button_does_what_is_clicked(seen: Centre) -> None:
    footer = seen.app.query_one("#footer")
    assert seen.app.pane is not None
    table = seen.app.pane.main
    for button in (2, 3):
        await click(seen, footer, "restart", button=button)
        await click(seen, footer, "palette", button=button)
    await click(seen, table, "scribe", button=2)
    await seen.pilot.pause()
    assert len(seen.app.screen_stack) == 1
    assert seen.app.pane.id == "agents"
    assert table.row is not None
    assert "critic" in table.row.key
    await click(seen, footer, "restart")
    await seen.until(lambda: isinstance(seen.app.screen, Confirm))
    await seen.press("escape")


async def test_the_second_click_of_two_is_not_for_what_the_first_opened(seen: Centre) -> None:
    assert seen.app.pane is not None
    table = seen.app.pane.main
    await click(seen, table, "scribe")
    await seen.until(lambda: table.row is not None and "scribe" in table.row.key)
    await click(seen, table, "scribe", times=2)
    await seen.until(lambda: isinstance(seen.app.screen, Described))
    await seen.pilot.pause()
    tree = seen.app.screen.query_one(Tree)
    assert len(tree.path) == 1, "the cursor is where it was when the page was opened"
    await click(seen, tree, "owner")
    await seen.until(lambda: tree.path[-1:] == ("owner",))


async def test_a_double_click_goes_into_a_row(seen: Centre) -> None:
    assert seen.app.pane is not None
    await click(seen, seen.app.pane.main, "sentinel", times=2)
    await seen.until(lambda: isinstance(seen.app.screen, Described))
    await seen.shows("▸ sentinel ▸ describe")


async def test_the_header_of_a_table_sorts_and_chooses_columns(seen: Centre) -> None:
    assert seen.app.pane is not None
    table = seen.app.pane.main
    await click(seen, table, "name")
    await seen.shows("name▲")
    await click(seen, table, "name")
    await seen.shows("name▼")
    await click(seen, table, "name", button=3)
    await seen.until(lambda: isinstance(seen.app.screen, ColumnChooser))
    await seen.press("escape")
    assert "name▼" in seen.screen


async def test_the_right_button_opens_a_menu_beside_a_selection(seen: Centre) -> None:
    assert seen.app.pane is not None
    table = seen.app.pane.main
    await seen.pilot.mouse_down(table, offset=(4, 2))
    await seen.pilot.hover(table, offset=(9, 2))
    await seen.pilot.mouse_up(table, offset=(9, 2))
    await seen.until(lambda: seen.app.screen.selections)
    await click(seen, table, "sentinel", button=3)
    await seen.until(lambda: isinstance(seen.app.screen, MenuDialog))
    await seen.shows("Describe sentinel")


async def test_a_run_and_a_box_of_a_graph_have_menus(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await mesh.journal("brief-1", "accepted", plan=plan("ask"))
    await mesh.journal("brief-1", "started", node="gpu-1")
    talk = Topology(
        nodes=[TopologyNode(name=name, kind="agent") for name in ("critic", "scribe")],
        edges=[TopologyEdge(from_="critic", to="scribe", messages=1)],
    )
    async with centre((160, 50)) as seen:
        await seen.shows("run brief-1", "╭ ask ")
        await click(seen, seen.app.query_one("#overview-run"), "ask", button=3)
        await seen.until(lambda: isinstance(seen.app.screen, MenuDialog))
        await seen.shows("Describe brief-1")
        await seen.press("escape", "4")

        async def drawn() -> bool:
            await mesh.topology(talk)
            return "╭ critic" in seen.screen

        await seen.becomes(drawn)
        await click(seen, seen.app.query_one("#topology-graph"), "critic", button=3)
        await seen.until(lambda: isinstance(seen.app.screen, MenuDialog))
        await seen.shows("Describe critic")


async def test_a_click_takes_what_the_palette_offers(seen: Centre) -> None:
    await seen.press("ctrl+p")
    await seen.until(lambda: isinstance(seen.app.screen, Palette))
    await seen.type("scale")
    await seen.shows("▸ Scale agent critic")
    offers = seen.app.screen.query_one(Offers)
    await click(seen, offers, "Why is critic")
    await seen.shows("▸ critic ▸ why")


async def test_what_the_palette_cannot_take_is_told_where_it_says_what_it_would_do(
    seen: Centre,
) -> None:
    await seen.press("ctrl+p")
    await seen.type("scale")
    await seen.shows("▸ Scale agent critic")
    await seen.press("enter")
    await seen.shows("replicas:", "╭─ Scale agent critic ─")
    await seen.type("many")
    await seen.press("enter")
    await seen.shows("✖ replicas: 'many' is not a whole number")
    await seen.press("backspace")
    await seen.until(lambda: "✖" not in seen.screen)


@pytest.mark.parametrize("key", ["d", "l", "w"])
async def test_a_page_says_its_keys_on_top_and_they_can_be_clicked(seen: Centre, key: str) -> None:
    await seen.press(key)
    await seen.until(lambda: "? help esc back" in seen.below.splitlines()[0])
    page = seen.app.screen
    x = seen.below.splitlines()[0].index("help")
    await seen.pilot.click(offset=(x, 0))
    await seen.shows("in this box")
    await seen.press("escape")
    await seen.until(lambda: seen.app.screen is page)
    x = seen.below.splitlines()[0].index("back")
    await seen.pilot.click(offset=(x, 0))
    await seen.until(lambda: len(seen.app.screen_stack) == 1)
    await seen.until(lambda: "mesh home · 1 host" in seen.screen.splitlines()[0])


async def test_the_keys_that_answer_are_clicked(mesh: Mesh, seen: Centre) -> None:
    async def stopped() -> bool:
        return not (await mesh.desired("critic")).run

    for word in ("no", "yes"):
        assert not await stopped()
        await seen.press("x")
        await seen.until(lambda: isinstance(seen.app.screen, Confirm))
        await seen.shows("This would stop critic", "y yes")
        await click(seen, seen.app.screen.query_one(KeyRow), word)
        await seen.until(lambda: not isinstance(seen.app.screen, Confirm))
    await seen.becomes(stopped)
