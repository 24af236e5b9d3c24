"""The gallery: every page opens, can be gone into, and is drawn in every theme."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sparkplug.tui.gallery import pages
from sparkplug.tui.gallery.main import Gallery
from sparkplug.tui.themes import load_themes
from sparkplug.tui.widgets.footer import Footer


@pytest.mark.parametrize("name", pages.NAMES)
@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_a_page_opens_and_its_keys_are_told(
    home: Path, name: str, size: tuple[int, int]
) -> None:
    app = Gallery(load_themes()[0], page=name)
    async with app.run_test(size=size) as pilot:
        assert pages.about(name)[:50] in _text(app)
        await pilot.press("enter")
        assert app.focused is not None
        assert app.focused.id != "gallery-names"
        keys = app.query_one(Footer).render_line(0).text  # a toast may stand over it
        assert "f3 next theme" in keys
        assert keys.rstrip().endswith(("q quit", "esc back to the list")), keys
        assert "Quit" not in keys
        for _ in range(len(app.themes)):
            await pilot.press("f3")
            await pilot.press("down", "up", "pagedown", "end", "home")
        await pilot.press("escape", "escape")
        async with asyncio.timeout(60):
            while app.focused is None or app.focused.id != "gallery-names":
                await pilot.press("escape")
        await pilot.resize_terminal(20, 5)
        await pilot.pause()


async def test_one_walks_through_all_pages(home: Path) -> None:
    app = Gallery(load_themes()[0])
    async with app.run_test(size=(120, 40)) as pilot:
        seen = []
        for _ in pages.NAMES:
            seen.append(app.shown)
            await pilot.press("down")
        assert tuple(seen) == pages.NAMES


def _text(app: Gallery) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def test_what_opens_over_a_page_opens_and_closes(home: Path) -> None:
    app = Gallery(load_themes()[0], page="table")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "c")
        await pilot.pause()
        assert len(app.screen_stack) == 2
        for words in ("columns 9", "✔ memory", "space shows or hides"):
            assert words in _text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1


async def test_what_is_copied_from_a_tree_is_copied(home: Path) -> None:
    app = Gallery(load_themes()[0], page="tree")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "down", "Y")
        async with asyncio.timeout(60):
            while app.clipboard != "spec.name":
                await pilot.pause()


async def test_the_keys_that_are_told_are_those_of_ours(home: Path) -> None:
    app = Gallery(load_themes()[0], page="log")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "slash")
        await pilot.pause()
        keys = app.query_one(Footer).render_line(0).text
        assert "f3 next theme" in keys
        assert "Scroll" not in keys
        assert "cursor" not in keys
