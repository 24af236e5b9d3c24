"""The `/` line: what is typed filters the list at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.listing import Listing


class FilterLine(Vertical):
    """Enter keeps the filter, escape drops it; `leave` is told the list it was for then."""

    # The app takes these itself, in the turn they come in: what is typed at once after them is a
    # key of the list.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "keep the filter", id="filter.keep", priority=True),
        Binding("escape", "drop", "drop the filter", id="filter.drop", priority=True),
    ]

    def __init__(self, rows: Listing, leave: Callable[[Listing], Awaitable[None]]) -> None:
        super().__init__(id="filter-line")
        self._rows = rows
        self._leave = leave
        self._entry = Entry(prefix="/")
        #: It is done with: what is on its way to it filters nothing any more.
        self._left = False

    def compose(self) -> ComposeResult:
        """What is typed."""
        yield self._entry

    @property
    def rows(self) -> int:
        """How high it is."""
        return 1

    @property
    def input(self) -> Input:
        """Where one types."""
        return self._entry.input

    def on_mount(self) -> None:
        """Ready to type; go on from the filter there is."""
        self._entry.value = self._rows.wanted.text

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter."""
        event.stop()
        if not self._left:
            self._filter(event.value)

    def _filter(self, text: str) -> None:
        found = Filter(text, self._rows.column_names)
        self._rows.wanted = found
        self._entry.prefix("/" if found.error is None else "/ (as text) ")

    def draw(self) -> None:
        """There are other names; none of them is offered here."""

    async def action_keep(self) -> None:
        """Enter."""
        text = await self._entry.typed()
        if text != self._rows.wanted.text:
            self._filter(text)
        self._left = True
        await self._leave(self._rows)

    async def action_drop(self) -> None:
        """Escape."""
        self._left = True
        self._rows.wanted = EVERYTHING
        await self._leave(self._rows)
