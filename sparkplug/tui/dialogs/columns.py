"""Choose the columns of a table: which are shown, in which order, by which it is sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click
from textual.message import Message

from sparkplug.tui.cells import Line
from sparkplug.tui.dialogs.dialog import Dialog
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.rows import Row, Rows
from sparkplug.tui.widgets.selecting import LEFT

if TYPE_CHECKING:
    from sparkplug.tui.widgets.table.table import Table

#: The mark of a column stands up to this cell of its row.
_MARK_ENDS = 2
_KEYS = "space shows or hides · J K move · s or enter sorts · r as at first"


class ColumnRows(Rows):
    """The columns; a click on the mark of one shows or hides it."""

    class Ticked(Message):
        """A mark was clicked; the cursor is on its row."""

    def on_click(self, event: Click) -> None:
        """On a mark; Textual calls that of a list after this one, for any other click."""
        place = event.get_content_offset(self)
        if place is None or event.button != LEFT or not 1 <= place.x <= _MARK_ENDS:
            return
        index = self.top + place.y
        if index < self.shown:
            event.prevent_default()
            self._move_to(index)
            self.post_message(self.Ticked())


class ColumnChooser(Dialog[None]):
    """What is changed here shows in the table at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "show", "show or hide", id="columns.toggle"),
        Binding("J,shift+down", "move(1)", "move down", id="columns.down"),
        Binding("K,shift+up", "move(-1)", "move up", id="columns.up"),
        Binding("s", "sort", "sort by it, again the other way round", id="columns.sort"),
        Binding("r", "reset", "as at first", id="columns.reset"),
        Binding("q,c", "close", "back", id="columns.back"),
    ]
    crumb = "columns"

    def __init__(self, table: Table) -> None:
        super().__init__(classes="choosing")
        self._table = table
        self._rows = ColumnRows("columns")

    def compose(self) -> ComposeResult:
        """The columns."""
        with Vertical():
            yield self._rows

    def on_mount(self) -> None:
        """Show them."""
        self._rows.focus()
        self._rows.tell_below(_KEYS)
        self._show()
        self._rows.fit_rows()

    def _show(self) -> None:
        chosen, by = self._table.chosen, self._table.sorted_by
        columns = {column.name: column for column in self._table.columns}
        rows = []
        for name in chosen.order:
            shown = chosen.is_shown(name)
            line: Line = (
                ("ok" if shown else "dim", "✔ " if shown else "· "),
                ("text" if shown else "dim", columns[name].heading),
                ("title", "" if by is None or by[0] != name else " ▼" if by[1] else " ▲"),
            )
            rows.append(Row(name, line, name))
        self._rows.set_rows(rows)
        self._table.lay_out()

    @property
    def _column(self) -> str:
        return self._rows.row.key if self._rows.row else self._table.columns[0].name

    def action_show(self) -> None:
        """Show the column, or hide it, and move on; the last one stays."""
        self._toggle()
        self._rows.action_move(1)

    def _toggle(self) -> None:
        self._table.chosen.toggle(self._column)
        self._show()

    def on_column_rows_ticked(self) -> None:
        """Show the column that was clicked, or hide it."""
        self._toggle()

    def action_move(self, by: int) -> None:
        """Move the column among the others."""
        self._table.chosen.move_column(self._column, by)
        self._show()

    def action_sort(self) -> None:
        """Sort by the column."""
        by = self._table.sorted_by
        if by is not None and by[0] == self._column:
            self._table.action_sort_reverse()
        else:
            self._table.sort(self._column)
        self._show()

    def action_reset(self) -> None:
        """All as it was at first."""
        self._table.chosen.reset()
        self._show()

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter."""
        event.stop()
        self.action_sort()

    def on_listing_moved(self, event: Listing.Moved) -> None:
        """The cursor here is no concern of the pane's."""
        event.stop()
