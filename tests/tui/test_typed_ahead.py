"""Keys that come faster than they are dealt with: a slow link hands them on in one piece."""

from __future__ import annotations

from textual.events import Key
from textual.keys import KEY_NAME_REPLACEMENTS, _character_to_key
from tui_centre import Centre, centre
from tui_mesh import Mesh

from sparkplug.tui.widgets.table.table import Table

_NAMED = {"\r": "enter", "\x1b": "escape", "\t": "tab", "\x10": "ctrl+p", "\x0b": "down"}


def at_once(seen: Centre, text: str) -> None:
    """Type a text without waiting for any of it."""
    for letter in text:
        key = _NAMED.get(letter) or (letter if letter.isalnum() else _character_to_key(letter))
        character = letter if letter.isprintable() else None
        seen.app.post_message(Key(KEY_NAME_REPLACEMENTS.get(key, key), character))


async def test_lines_after_each_other_are_lines_of_their_own(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        at_once(seen, ":nope\r:nope2\r:hosts\r:nope3\r:ag")
        await seen.until(lambda: ":ag" in seen.screen.splitlines()[-1])
        lines = [told.text for told in seen.app.told]
        assert [line.split(" (")[0] for line in lines] == [
            "no command nope",
            "no command nope2",
            "no command nope3",
        ]
        assert seen.app.pane is not None
        assert seen.app.pane.id == "hosts"
        at_once(seen, "ents\r3")
        await seen.until(lambda: seen.app.pane.id == "agents")
        await seen.until(lambda: not seen.app.screen.query("CommandLine"))
        assert seen.app.history.lines[-1] == "agents"


async def test_a_line_left_takes_no_more_keys(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        at_once(seen, ":agents stop critic\x1b3:ho\x1b:")
        await seen.until(lambda: seen.app.pane.id == "agents")
        await seen.until(lambda: seen.screen.splitlines()[-1].strip() == ":")
        at_once(seen, "overview\r")
        await seen.until(lambda: seen.app.pane.id == "overview")


async def test_tab_completes_what_was_typed_right_before_it(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        at_once(seen, ":agents sto\tcri\t--no-w\t")
        await seen.until(lambda: ":agents stop critic --no-wait" in seen.screen.splitlines()[-1])


async def test_a_key_after_a_filter_is_one_of_the_list(mesh: Mesh) -> None:
    await mesh.agent("critic")
    await mesh.agent("scribe")
    async with centre((100, 24), pane="agents") as seen:
        await seen.until(lambda: len(seen.app.store.agents) == 2)
        listing = seen.app.pane.main
        assert isinstance(listing, Table)
        at_once(seen, "/cri\x1bj/scr\rd")
        await seen.shows("scribe/0", "describe")
        assert listing.wanted.text == "scr"


async def test_the_palette_takes_what_was_typed_before_its_keys(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 30)) as seen:
        at_once(seen, "\x10show agents\r")
        await seen.until(lambda: seen.app.pane.id == "agents")
        at_once(seen, "\x10show hosts\r:overview\r")
        await seen.until(lambda: seen.app.pane.id == "overview")
        await seen.until(lambda: len(seen.app.screen_stack) == 1)
        at_once(seen, "\x10theme\x0b\x0b\r")
        await seen.until(lambda: seen.app.theme_chosen)
        names = list(seen.app.themes)
        assert seen.app.theme_chosen == names[2]


async def test_a_key_right_after_escape_is_not_one_with_alt(mesh: Mesh) -> None:
    await mesh.agent("critic")
    async with centre((100, 24)) as seen:
        at_once(seen, "\x10stop\x1b2")
        await seen.until(lambda: seen.app.pane.id == "hosts")
        at_once(seen, ":agents")
        seen.app.post_message(Key("alt+3", "3"))
        await seen.until(lambda: seen.app.pane.id == "agents")
        assert not seen.app.screen.query("CommandLine")
        at_once(seen, "d")
        await seen.shows("critic/0/tester")
        seen.app.post_message(Key("alt+shift+g", "G"))
        await seen.until(lambda: len(seen.app.screen_stack) == 1)


async def test_alt_with_a_key_is_that_where_something_is_on_it(mesh: Mesh) -> None:
    (mesh.server.folder / "config.toml").write_text('[tui.keymap]\n"pane.hosts" = "2,alt+h"\n')
    await mesh.agent("critic")
    async with centre((100, 24), pane="agents") as seen:
        await seen.press("slash")
        await seen.type("cri")
        await seen.press("enter")
        seen.app.post_message(Key("alt+h", "h"))
        await seen.until(lambda: seen.app.pane.id == "hosts")
        await seen.press("3")
        assert seen.app.pane.main.wanted.text == "cri"
