"""Text selected with the mouse anywhere on the screen: marked, copied, dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh, sample


@pytest.fixture
async def seen(mesh: Mesh) -> AsyncIterator[Centre]:
    """Two agents on a host."""
    await mesh.agent("critic", reason="reads the draft")
    await mesh.agent("scribe")
    await mesh.tell(sample("gpu-1"))
    async with centre((110, 30)) as found:
        await found.shows("critic", "scribe", "38%")
        yield found


def place(seen: Centre, words: str, row: int | None = None) -> tuple[int, int]:
    """The cell where these words begin on the screen."""
    for y, line in enumerate(seen.screen.splitlines()):
        if words in line and row in (None, y):
            return line.index(words), y
    raise AssertionError(f"no {words!r} on\n{seen.screen}")


async def drag(seen: Centre, words: str, row: int | None = None) -> None:
    """Drag over these words."""
    x, y = place(seen, words, row)
    end = (x + len(words) - 1, y)  # the cell the mouse is on is selected too
    await seen.pilot.mouse_down(offset=(x, y))
    await seen.pilot.hover(offset=end)
    await seen.pilot.mouse_up(offset=end)
    screen = seen.app.screen
    await seen.until(screen.get_selected_text)
    assert screen.get_selected_text() == words


async def copied(seen: Centre, key: str, words: str) -> None:
    """What is selected is copied by a key, and escape selects nothing and does no more."""
    app, depth = seen.app, len(seen.app.screen_stack)
    pane = app.pane
    app._clipboard = ""
    await seen.press(key)
    await seen.until(lambda: app.clipboard == words)
    assert app.screen.selections
    await seen.press("escape")
    await seen.until(lambda: not app.screen.selections)
    assert len(app.screen_stack) == depth
    assert app.pane is pane


@pytest.mark.parametrize("key", ["ctrl+c", "y"])
async def test_boxes_of_the_overview(seen: Centre, key: str) -> None:
    for words in ("critic", "38%", "scribe"):
        await drag(seen, words)
        await copied(seen, key, words)


@pytest.mark.parametrize("key", ["ctrl+c", "y"])
async def test_rows_of_a_table_and_its_header(seen: Centre, key: str) -> None:
    await seen.press("3")
    await seen.shows("rep", "reads the draft")
    for words in ("scribe", "reads the", "rep"):
        await drag(seen, words)
        await copied(seen, key, words)
    pane = seen.app.pane
    assert pane is not None
    assert pane.main.row is not None
    assert pane.main.row.key.startswith("critic"), "a drag is no click"


@pytest.mark.parametrize("key", ["ctrl+c", "y"])
async def test_a_tree_and_the_value_below_it(seen: Centre, key: str) -> None:
    await seen.press("d")
    await seen.shows("entrypoint: m:f")
    for words in ("tester", "entrypoint: m", '"replica": "0"'):
        await drag(seen, words)
        await copied(seen, key, words)
    await seen.press("escape")
    await seen.shows("38%")


@pytest.mark.parametrize("key", ["ctrl+c", "y"])
async def test_the_processes_of_a_host(seen: Centre, key: str) -> None:
    await seen.press("2")
    await seen.shows("▸ hosts")
    await seen.press("d")
    await seen.shows("research/0")
    await drag(seen, "research/0")
    await copied(seen, key, "research/0")
    await seen.press("y")
    await seen.until(lambda: seen.app.clipboard == "77")


@pytest.mark.parametrize("key", ["ctrl+c", "y"])
async def test_a_page_to_read(seen: Centre, key: str) -> None:
    await seen.press("w")
    await seen.shows("why critic", "no event of trouble")
    await drag(seen, "no event of trouble")
    await copied(seen, key, "no event of trouble")


@pytest.mark.parametrize("key", ["ctrl+c", "y"])
async def test_header_and_footer(seen: Centre, key: str) -> None:
    await seen.press("3")
    await seen.shows("▸ agents", "rep")
    await drag(seen, "3 agents  4", 29)
    await copied(seen, key, "3 agents  4")
    await drag(seen, "SparkPlug ▸ agents", 0)
    await copied(seen, key, "SparkPlug ▸ agents")
    await seen.shows("▸ agents", "rep")


async def test_what_is_selected_is_marked_and_stays_in_its_box(seen: Centre) -> None:
    before = seen.app.screen._compositor.render_strips()
    x, y = place(seen, "critic")
    await seen.pilot.mouse_down(offset=(x, y))
    await seen.pilot.hover(offset=(109, 29))
    await seen.pilot.mouse_up(offset=(109, 29))
    await seen.until(lambda: seen.app.screen.selections)
    assert len(seen.app.screen.selections) == 1
    await seen.pilot.pause()
    after = seen.app.screen._compositor.render_strips()
    assert [strip.text for strip in after][y] == [strip.text for strip in before][y]
    style = next(s.style for s in after[y].crop(x, x + 6) if s.text.strip())
    assert style is not None
    assert style.bgcolor == seen.app.pens["selected"].bgcolor
