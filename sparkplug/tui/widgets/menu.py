"""A small menu of what can be done here: keys beside, reasons where something cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Key, MouseMove
from textual.message import Message

from sparkplug.tui.cells import Line, beside, clean, length
from sparkplug.tui.help import key_name
from sparkplug.tui.widgets.lines import Lines

_WIDEST = 64


@dataclass(frozen=True, slots=True)
class Item:
    """An entry: its title, the keys that choose it, and why it cannot be chosen, if so."""

    title: str
    key: str = ""
    why: str | None = None
    value: Any = None


class Menu(Lines, can_focus=True):
    """Entries one below the other. Posts `Chosen`; `Refused` for one that cannot be."""

    DEFAULT_CSS: ClassVar[str] = """
    Menu { position: absolute; width: 20; height: 4; padding: 0; background: $sp-surface;
        border: round $sp-focus; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "down", show=False, id="menu.down"),
        Binding("up", "move(-1)", "up", show=False, id="menu.up"),
        Binding("home", "edge(0)", "first", show=False, id="menu.first"),
        Binding("end", "edge(-1)", "last", show=False, id="menu.last"),
        Binding("enter", "choose", "do it", show=False, id="menu.choose"),
    ]

    class Chosen(Message):
        """Enter, the key of an entry, or a click."""

        def __init__(self, menu: Menu, item: Item) -> None:
            super().__init__()
            self.menu = menu
            self.item = item

    def __init__(self, items: Sequence[Item], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._items = list(items)
        self._cursor = 0

    @property
    def items(self) -> Sequence[Item]:
        """The entries."""
        return self._items

    @property
    def needed(self) -> tuple[int, int]:
        """The columns and rows that all of it takes, with its border."""
        widest = max(
            (length(self._left(i)) + length(_right(i)) + 2 for i in self._items), default=8
        )
        return min(_WIDEST, widest) + 2, len(self._items) + 2

    def on_mount(self) -> None:
        """Begin on what can be done."""
        able = (index for index, item in enumerate(self._items) if item.why is None)
        self._cursor = next(able, 0)
        self._show()

    def resized(self) -> None:
        """Another width."""
        self._show()

    def _show(self) -> None:
        width = self.size.width
        if width <= 0:
            return
        self.set_lines([beside(self._left(item), _right(item), width) for item in self._items])
        if self._cursor < self.top:
            self.scroll_lines(self._cursor - self.top)
        elif self._cursor >= self.top + self.page:
            self.scroll_lines(self._cursor - self.top - self.page + 1)

    def _left(self, item: Item) -> Line:
        on = self._items[self._cursor] is item
        pen = "dim" if item.why is not None else "text"
        why: Line = (("dim", f"  {clean(item.why)}"),) if item.why else ()
        return (("focus", "▸" if on else " "), (pen, clean(item.title)), *why)

    def row_style(self, index: int) -> Style:
        """The entry under the cursor stands out."""
        return self.rich_style + self.pens["cursor"] if index == self._cursor else self.rich_style

    def _go(self, index: int) -> None:
        if index != self._cursor and 0 <= index < len(self._items):
            before, self._cursor = self._cursor, index
            self._show()
            for row in (before, index):
                self.refresh_row(row - self.top)

    def _choose(self, item: Item) -> None:
        if item.why is None:
            self.post_message(self.Chosen(self, item))

    def on_key(self, event: Key) -> None:
        """The key of an entry chooses it."""
        for index, item in enumerate(self._items):
            keys = [key for key in item.key.split(",") if key]
            if event.key in keys or (event.character and event.character in keys):
                event.stop()
                event.prevent_default()
                self._go(index)
                self._choose(item)
                return

    def on_mouse_move(self, event: MouseMove) -> None:
        """What is under the mouse is under the cursor."""
        place = event.get_content_offset(self)
        if place is not None:
            self._go(self.top + place.y)

    def on_click(self, event: Click) -> None:
        """Choose what is clicked."""
        place = event.get_content_offset(self)
        if place is not None and 0 <= self.top + place.y < len(self._items):
            event.stop()
            self._go(self.top + place.y)
            self._choose(self._items[self.top + place.y])

    def action_move(self, by: int) -> None:
        """Move the cursor, round at the ends."""
        if self._items:
            self._go((self._cursor + by) % len(self._items))

    def action_edge(self, index: int) -> None:
        """To the first or the last."""
        self._go(index % max(1, len(self._items)))

    def action_choose(self) -> None:
        """Do what is under the cursor."""
        if self._items:
            self._choose(self._items[self._cursor])


def _right(item: Item) -> Line:
    key = key_name(item.key.split(",")[0]) if item.key else ""
    return (("focus", f" {key} " if key else ""),)
