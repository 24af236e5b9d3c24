"""What is painted can be read: every text there is, on the ground it really stands on."""

from __future__ import annotations

import re

import pytest
from rich.segment import Segment
from test_snapshots import fill, speak
from test_themes import ratio
from textual._compositor import LayoutUpdate
from textual.color import Color
from tui_centre import Centre, centre
from tui_mesh import Mesh
from tui_snapshots import stop_the_clock

_LEAST = 4.5
#: How one gets from one to the next: panes, pages, dialogs, menus, lines, what is marked and found.
VIEWS: dict[str, tuple[str, ...]] = {
    "overview": ("1",),
    "a box with the focus": ("tab",),
    "palette": ("ctrl+p", "s", "t"),
    "help": ("escape", "question_mark"),
    "hosts": ("escape", "2"),
    "a host": ("enter", "down"),
    "agents, marked": ("escape", "3", "g", "space", "asterisk"),
    "menu": ("m",),
    "columns": ("escape", "c"),
    "asking": ("escape", "r"),
    "a form of arguments": ("n", "f4"),
    "deploy": ("escape", "escape", "D"),
    "why": ("escape", "escape", "3", "w"),
    "describe": ("escape", "d", "j"),
    "logs": ("escape", "l", "v", "k"),
    "topology": ("escape", "escape", "4", "tab"),
    "tasks": ("5",),
    "workflows": ("6", "tab"),
    "schedules": ("W",),
    "memory": ("escape", "7"),
    "the line": ("colon", "a", "g"),
    "the filter": ("escape", "3", "slash", "r", "e"),
}


def unread(seen: Centre) -> set[str]:
    """Texts that have too little contrast."""
    app = seen.app
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    assert isinstance(update, LayoutUpdate)
    found = set()
    for strips in update.strips:
        for strip in strips:
            for segment in strip:
                if re.search(r"\w", segment.text) and (contrast := contrast_of(seen, segment)):
                    found.add(f"{segment.text.strip()[:40]!r} {contrast}")
    return found


def contrast_of(seen: Centre, segment: Segment) -> str:
    """What is wrong with the colours of a text; empty where it can be read."""
    variables = seen.app.look.variables
    text, ground = (Color.parse(variables[f"sp-{key}"]) for key in ("foreground", "background"))
    style = segment.style
    if style is not None:
        if style.color is not None and not style.color.is_default:
            text = Color.from_rich_color(style.color)
        if style.bgcolor is not None and not style.bgcolor.is_default:
            ground = Color.from_rich_color(style.bgcolor)
        if style.dim:
            text = ground.blend(text, 0.5)
    found = ratio(text, ground)
    return "" if found >= _LEAST else f"{text.hex} on {ground.hex}: {found:.2f}"


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["neon", "daylight", "clarity"])
async def test_all_that_is_painted_can_be_read(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    stop_the_clock(monkeypatch)
    await fill(mesh)
    async with centre((120, 40), theme=theme) as seen:
        store = seen.app.store
        await seen.until(lambda: store.view and store.runs and len(store.agents) == 6)
        await speak(mesh)
        await seen.until(lambda: store.view and store.view.topology)
        seen.app.tell("what a notice says", "warn")
        seen.app.tell("what went wrong", "bad")
        visited: set[str] = set()
        for view, keys in VIEWS.items():
            for key in keys:
                await seen.press(key)
                await seen.pilot.pause()
            visited.add(f"{type(seen.app.screen).__name__}, {seen.app.focused}")
            assert not (found := unread(seen)), f"{theme}: {view}: {found}"
        # Each was really another place.
        assert len(visited) >= len(VIEWS) * 3 // 4, visited
