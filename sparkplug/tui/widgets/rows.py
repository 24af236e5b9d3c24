"""Rows with a cursor: what is selected stays selected while rows come, go and move."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from textual.strip import Strip

from sparkplug.tui.cells import Line, plain, strip
from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.widgets.listing import Listing, Row

__all__ = ["Row", "Rows"]


class Rows(Listing):
    """A list of lines that are made beforehand.

    One that `leads` keeps its cursor, and shows it, while the focus is elsewhere; the cursor
    of any other then rests on the first row.
    """

    def __init__(
        self,
        title: str = "",
        *,
        header: Line | None = None,
        empty: str = "",
        leads: bool = True,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(title, id=id)
        self._all: list[Row] = []
        self._rows: list[Row] = []
        self._header = header
        self._empty = empty
        self._filter = EVERYTHING
        self._label = title
        self._leads = leads

    @property
    def shown(self) -> int:
        """How many rows pass the filter."""
        return len(self._rows)

    def at(self, index: int) -> Row:
        """The row at a place, 0 <= index < shown."""
        return self._rows[index]

    def place_of(self, key: str) -> int | None:
        """The place of the row with a key; None when it is not shown."""
        return next((i for i, row in enumerate(self._rows) if row.key == key), None)

    @property
    def header_rows(self) -> int:
        """One for the names of the columns, where there are any."""
        return int(self._header is not None)

    @property
    def rows(self) -> Sequence[Row]:
        """The rows that pass the filter."""
        return self._rows

    @property
    def wanted(self) -> Filter:
        """Which rows are shown."""
        return self._filter

    @wanted.setter
    def wanted(self, value: Filter) -> None:
        self._filter = value
        self.set_rows(self._all)

    def fit_rows(self) -> None:
        """As high as its rows and its border, where there is room; for a list of a dialog."""
        self.styles.height = max(1, len(self._rows)) + self.header_rows + 2
        self.styles.max_height = "100%"

    def set_header(self, header: Line) -> None:
        """Name the columns."""
        if header != self._header:
            self._header = header
            self.refresh_row(-1)

    def set_empty(self, text: str) -> None:
        """What to say when there is no row."""
        if text != self._empty:
            self._empty = text
            self.set_rows(self._all)

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on the row it is on, wherever that went."""
        chosen = self.row
        self._all = list(rows)
        self._rows = [row for row in self._all if self._filter.takes(plain(row.line))]
        cursor = min(self._cursor, max(0, len(self._rows) - 1))
        if not self._leads and not self.has_focus:
            cursor = 0
        elif chosen is not None:
            same = self.place_of(chosen.key)
            cursor = cursor if same is None else same
        if cursor != self._cursor:
            self.refresh_row(self._cursor - self.top)
            self.refresh_row(cursor - self.top)
        self._cursor = cursor
        lines: list[Line] = [row.line for row in self._rows]
        if not lines:
            empty = self._empty if not self._all else f"nothing matches /{self._filter.text}"
            lines = [(("dim", empty),)]
        self.set_lines(lines)
        self._title_counts()
        self._follow_cursor()
        if (self.row.key if self.row else None) != (chosen.key if chosen else None):
            self.refresh()
            self.post_message(self.Moved(self))

    def set_label(self, label: str) -> None:
        """Call the list this, before how many rows it has."""
        if label != self._label:
            self._label = label
            self._title_counts()

    @property
    def stands_out(self) -> bool:
        """Whether the row under the cursor is what enter is about."""
        return self.has_focus

    def _title_counts(self) -> None:
        if not self._label:
            self.tell_standing()
            return
        total, shown = len(self._all), len(self._rows)
        count = f" {total}" if shown == total else f" {shown} of {total}"
        note = f" /{self._filter.text}" if self._filter.text else ""
        self.retitle(f"{self._label}{count if total else ''}{note}")

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        if self._header is not None:
            if y == 0:
                return strip(
                    self._marked(self._header, " "), self.size.width, self.pens, self.under
                )
            y -= 1
        index = self.top + y
        line = self._lines[index] if index < len(self._lines) else ()
        on = index == self._cursor and bool(self._rows)
        mark = ("▸" if self.stands_out else "·" if self._leads else " ") if on else " "
        return strip(self._marked(line, mark), self.size.width, self.pens, self.row_style(index))

    def row_style(self, index: int) -> Style:
        """The row under the cursor stands out while the list has the focus."""
        if index == self._cursor and self._rows and self.stands_out:
            return self.under + self.pens["cursor"]
        return self.under

    def _marked(self, line: Line, mark: str) -> Line:
        return (("focus", mark), *line)
