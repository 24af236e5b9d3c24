"""A menu that opens at a place on the screen and stays inside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Offset

from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.menu import Item, Menu


class MenuDialog(Dialog[Item]):
    """A menu at `place`; escape, or a click beside it, closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,m", "close", "back", id="menu.close"),
    ]

    def __init__(self, items: Sequence[Item], place: Offset) -> None:
        super().__init__(classes="menu")
        self._menu = Menu(items)
        self._at = place

    def compose(self) -> ComposeResult:
        """The menu."""
        yield self._menu

    def on_mount(self) -> None:
        """Put it at its place."""
        self._menu.focus()
        self._put()

    def on_resize(self, _event: Resize) -> None:
        """It stays inside the screen."""
        self._put()

    def _put(self) -> None:
        room = self.size
        width, height = self._menu.needed
        width, height = min(width, room.width), min(height, room.height)
        self._menu.styles.width, self._menu.styles.height = width, height
        x = max(0, min(self._at.x, room.width - width))
        # Above the place where there is no room below it.
        fits = self._at.y + height <= room.height
        y = self._at.y if fits else max(0, min(self._at.y - height, room.height - height))
        self._menu.styles.offset = (x, y)

    def on_click(self, event: Click) -> None:
        """A click beside it."""
        if not self._menu.region.contains(event.screen_x, event.screen_y):
            self.dismiss(None)

    def on_menu_chosen(self, event: Menu.Chosen) -> None:
        """One was chosen."""
        self.dismiss(event.item)
