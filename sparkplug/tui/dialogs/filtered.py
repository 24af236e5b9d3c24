"""A dialog over one list that can be filtered: `/` types below it, escape goes out step by step."""

from __future__ import annotations

from textual.widgets import Input

from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.widgets.entry import Entry
from sparkplug.tui.widgets.listing import Listing


class Filtered(Dialog[None]):
    """Whoever makes one says which list it is, and puts it and `entry` on the screen."""

    covers = True
    reads = True

    def __init__(self, listing: Listing, classes: str) -> None:
        super().__init__(classes=classes)
        self._listing = listing
        self._entry = Entry(prefix="/")
        self._entry.display = False

    def action_filter(self) -> None:
        """Type a filter; go on from the one there is."""
        self._entry.value = self._listing.wanted.text
        self._entry.display = True
        self._entry.type_here()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what matches."""
        event.stop()
        self._listing.wanted = Filter(event.value, self._listing.column_names)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self._leave_line()

    def _leave_line(self) -> None:
        self._entry.display = False
        self._listing.focus()

    def copy_or(self, text: str) -> None:
        """What is selected, else this text, into the clipboard of the terminal."""
        if not self.centre.copy_selection() and text:
            self.centre.copy(text)

    def action_close(self) -> None:
        """Out of the selected text, the filter one types, the marks, the filter, then of here."""
        typing = self._entry.display
        if typing:
            self._leave_line()
        elif self.centre.drop_selection() or self._listing.leave():
            return
        if typing or self._listing.wanted.text:
            self._listing.wanted = EVERYTHING
        else:
            self.dismiss(None)
