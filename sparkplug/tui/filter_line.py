"""The `/` line: what is typed filters the list at once."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.listing import Listing


class FilterLine(Vertical):
    """Enter keeps the filter, escape drops it. Posts `Left`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "drop", "drop the filter", id="filter.drop"),
    ]

    class Left(Message):
        """Done; the list it was for."""

        def __init__(self, rows: Listing) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, rows: Listing) -> None:
        super().__init__(id="filter-line")
        self._rows = rows
        self._entry = Entry(prefix="/")

    def compose(self) -> ComposeResult:
        """What is typed."""
        yield self._entry

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
        found = Filter(event.value, self._rows.column_names)
        self._rows.wanted = found
        self._entry.prefix("/" if found.error is None else "/ (as text) ")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        self.post_message(self.Left(self._rows))

    def action_drop(self) -> None:
        """Escape."""
        self._rows.wanted = EVERYTHING
        self.post_message(self.Left(self._rows))
