"""A log of which only the end was read: what is before it comes when one goes there."""

from __future__ import annotations

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.tui.dialogs import logs
from sparkplug.tui.dialogs.logs import Logs
from sparkplug.tui.widgets.log_view.view import LogView

_COUNT = 1000


def view(seen: Centre) -> LogView:
    screen = seen.app.screen
    assert isinstance(screen, Logs)
    return screen.view


def kept(seen: Centre) -> int:
    """How many lines are here."""
    spool = view(seen).source.spool
    return spool.stop - spool.first


def rows(seen: Centre) -> list[str]:
    """The words of the rows in the box."""
    return [line.strip("│▸ ") for line in seen.screen.splitlines()[2:-1]]


@pytest.fixture
def many(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> Mesh:
    """A log of ten times what is read at once."""
    monkeypatch.setattr(logs, "_LINES", _COUNT // 10)
    mesh.logs["critic"] = "".join(f"line {n}\n" for n in range(_COUNT))
    return mesh


async def test_scrolling_up_loads_what_is_before_and_what_is_in_sight_stays(many: Mesh) -> None:
    await many.agent("critic")
    async with centre((80, 24)) as seen:
        await seen.press("l")
        await seen.shows("line 999", f"…{_COUNT // 10}/{_COUNT // 10}")
        await seen.press("number_sign", "1", "enter")
        await seen.until(lambda: kept(seen) > _COUNT // 10)
        assert rows(seen)[0] == "line 900"
        await seen.press("k")
        await seen.until(lambda: rows(seen)[0] == "line 899")
        assert rows(seen)[1] == "line 900"


async def test_the_first_line_is_gone_to_through_all_that_was_not_here(many: Mesh) -> None:
    await many.agent("critic")
    async with centre((80, 24)) as seen:
        await seen.press("l")
        await seen.shows("line 999")
        await seen.press("g")
        await seen.until(lambda: kept(seen) == _COUNT)
        await seen.until(lambda: rows(seen)[0] == "line 0")
        assert rows(seen)[:3] == ["line 0", "line 1", "line 2"]
        assert not view(seen).earlier
        await seen.shows(f" 1/{_COUNT:,}")
        many.logs["critic"] += "one more\n"
        await seen.press("G")
        await seen.shows("line 999", "one more")
        numbers = view(seen).source.texts(view(seen).source.spool.first, _COUNT * 2, 1 << 20)
        texts = [text for _, text in numbers]
        assert texts == [*(f"line {n}" for n in range(_COUNT)), "one more"]
