"""Notices: the footer's row, the corner over panes and dialogs, and the list of what was told."""

from __future__ import annotations

from pathlib import Path

from textual.geometry import Region
from tui_centre import Centre, centre

from sparkplug.tui.widgets.toasts import Toast, Toasts, toast_lines


def corners(seen: Centre) -> list[Toasts]:
    """Where notices stand, on any screen."""
    return [found for screen in seen.app.screen_stack for found in screen.query(Toasts)]


async def test_one_notice_goes_to_the_footer_and_a_second_to_the_corner(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        seen.app.tell("first")
        await seen.shows("first")
        assert corners(seen) == []
        seen.app.tell("second", "warn")
        await seen.shows("┃▲ second")
        assert " first" in seen.screen.splitlines()[-1]
        assert seen.app.focused is not None
        assert not isinstance(seen.app.focused, Toasts)


async def test_long_text_wraps_and_more_than_three_are_counted(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        seen.app.tell("a word " * 30, "bad")
        await seen.shows("┃✖ a word a word")
        for number in range(4):
            seen.app.tell(f"number {number}")
        await seen.shows("+2 more", "┃✔ number 1", "number 2", "number 3")
        assert "number 0" not in seen.screen
        lines = seen.screen.splitlines()
        rows = [i for i, line in enumerate(lines) if "number" in line or "more" in line]
        assert rows == list(range(rows[0], rows[0] + 4))
        await seen.pilot.resize_terminal(30, 8)
        await seen.shows("number 3")
        seen.app.tell("x" * 5000)
        await seen.shows("┃✔ xxxx")
        await seen.pilot.resize_terminal(20, 5)
        await seen.pilot.pause()


async def test_over_a_dialog_and_back_with_it(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        await seen.press("question_mark")
        await seen.until(lambda: len(seen.app.screen_stack) == 2)
        seen.app.tell("done")
        await seen.shows("┃✔ done")
        await seen.press("escape")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
        await seen.shows("┃✔ done")
        assert len(corners(seen)) == 1
        await seen.press("colon")
        await seen.pilot.pause()
        seen.app.tell("while typing")
        await seen.shows("┃✔ while typing")


async def test_a_click_takes_one_away_and_then_nothing_runs(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        app = seen.app
        app.tell("row")
        app.tell("one", hint="ctrl+z undo")
        app.tell("two")
        await seen.shows("┃✔ one  ctrl+z undo", "┃✔ two")
        (corner,) = corners(seen)
        await seen.pilot.click(corner, offset=(1, 0))
        await seen.until(lambda: "┃✔ one" not in seen.screen)
        await seen.pilot.click(corner, offset=(1, 0))
        await seen.until(lambda: corners(seen) == [])
        assert app._timer is None
        assert app.standing == []


async def test_they_go_by_themselves(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        app = seen.app
        app.tell("row")
        app.tell("one")
        await seen.shows("┃✔ one")
        app._standing = [(toast, 0.0) for toast, _ in app._standing]
        app.place_toasts()
        await seen.until(lambda: corners(seen) == [])
        assert app._timer is None


async def test_all_that_was_told_can_be_read_again(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        seen.app.tell("first", "ok")
        seen.app.tell("\x1b[31msecond\nline", "bad")
        await seen.press("colon")
        await seen.type("notices")
        await seen.press("enter")
        await seen.shows("✔ first", "✖ second line")
        assert seen.screen.index("second") < seen.screen.index("first")
        await seen.until(lambda: corners(seen) == [])


async def test_only_its_own_cells_are_sent(home: Path) -> None:
    async with centre((80, 24), live=False) as seen:
        app = seen.app
        await seen.shows("no mesh runs here")
        app.tell("row")
        await seen.until(lambda: " row" in seen.screen.splitlines()[-1])

        async def others(word: str) -> list[tuple[int, int]]:
            """The cells that a toast of this word has changed, and that are not its own."""
            await seen.pilot.pause()
            before = seen.screen.splitlines()
            app.tell(word)
            await seen.shows(f"┃✔ {word}")
            (corner,) = corners(seen)
            region: Region = corner.region
            return [
                (x, y)
                for y, (old, new) in enumerate(zip(before, seen.screen.splitlines(), strict=True))
                for x, (one, other) in enumerate(zip(old, new, strict=True))
                if one != other and not region.contains(x, y)
            ]

        # On a busy host the pane under it may only just have been laid out.
        for word in ("one", "two", "three"):
            if not (changed := await others(word)):
                return
        raise AssertionError(f"{changed} are of others:\n{seen.screen}")


def test_hostile_text_stays_in_its_width() -> None:
    from sparkplug.tui.cells import length

    for text in ("\x1b[2J\u202ex\n" * 3, "日本" * 400, "x" * 1_000_000, ""):
        for width in (5, 20, 60):
            lines = toast_lines(Toast(text, "warn", "f1"), width)
            assert 1 <= len(lines) <= 5
            assert all(length(line) <= width + 1 for line in lines)
