"""The list of memories: a table of what was read of a list that may be much longer."""

from __future__ import annotations

from textual.message import Message

from sparkplug.tui.widgets.table import Table

_OF_HITS = frozenset({"score", "why"})


class MemoryList(Table):
    """A table that says when one goes to an end of it: the list's own may lie beyond."""

    class Went(Message):
        """To the `first` or the `last` row of what was read."""

        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where

    def show_hits(self, on: bool) -> None:
        """Of what was searched tell the score and why; else there is nothing to tell of that."""
        empty = frozenset() if on else _OF_HITS
        if empty != self.chosen.empty:
            self.chosen.empty = empty
            if self.is_mounted:
                self.lay_out()
                self.refresh()

    def go_there(self, where: str) -> None:
        """Move the cursor to the first or last row of what was read."""
        super().action_go(where)

    def action_go(self, where: str) -> None:
        """Move the cursor to the first or last row."""
        super().action_go(where)
        self.post_message(self.Went(where))
