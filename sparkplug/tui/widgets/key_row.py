"""A row of keys and what they do; a click on one is that key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.events import Click

from sparkplug.tui.cells import Span
from sparkplug.tui.widgets.lines import OneLine


@dataclass(frozen=True, slots=True)
class KeyWord:
    """A key as it is bound, as it is written, and what it does; in pens of the theme."""

    key: str
    written: str
    does: str
    pen: str = "focus"
    does_pen: str = "dim"


class KeyRow(OneLine):
    """The keys of a dialog that has no footer."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._places: list[tuple[int, int, str]] = []

    def set_keys(self, keys: Sequence[KeyWord]) -> None:
        """Show these."""
        line: list[Span] = []
        self._places = []
        used = 0
        for one in keys:
            written, does = f" {one.written}", f" {one.does} "
            line += [(one.pen, written), (one.does_pen, does)]
            size = cell_len(written + does)
            self._places.append((used, used + size, one.key))
            used += size
        self.set_line(tuple(line))

    def on_click(self, event: Click) -> None:
        """As if the key was pressed."""
        for begin, end, key in self._places:
            if begin <= event.x < end:
                self.app.simulate_key(key)
                return
