"""Rows with a cursor: what is selected stays selected while rows come, go and move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Blur, Click, Focus
from textual.message import Message
from textual.strip import Strip

from sparkplug.tui.cells import Line, plain, strip
from sparkplug.tui.filter import EVERYTHING, Filter
from sparkplug.tui.widgets.lines import Lines


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what tells it from others, how it looks, and the record behind it."""

    key: str
    line: Line
    value: Any = None


class Rows(Lines, can_focus=True):
    """A list one can move in. Posts `Chosen` on enter and `Moved` when the cursor moves.

    One that `leads` keeps its cursor, and shows it, while the focus is elsewhere; the cursor
    of any other then rests on the first row.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False, id="list.down"),
        Binding("k,up", "move(-1)", "up", show=False, id="list.up"),
        Binding("g,home", "go('first')", "first", show=False, id="list.first"),
        Binding("G,end", "go('last')", "last", show=False, id="list.last"),
        Binding("pagedown,ctrl+f", "page(1)", "a page down", show=False, id="list.page-down"),
        Binding("pageup,ctrl+b", "page(-1)", "a page up", show=False, id="list.page-up"),
        Binding("enter", "choose", "into", show=False, id="list.into"),
    ]

    class Chosen(Message):
        """Enter, or a second click, on a row."""

        def __init__(self, rows: Rows, row: Row) -> None:
            super().__init__()
            self.rows = rows
            self.row = row

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, rows: Rows) -> None:
            super().__init__()
            self.rows = rows

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
        self._cursor = 0
        self._filter = EVERYTHING
        self._label = title
        self._leads = leads

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

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

    def set_header(self, header: Line) -> None:
        """Name the columns."""
        if header != self._header:
            self._header = header
            self.refresh_row(0)

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
            same = (i for i, row in enumerate(self._rows) if row.key == chosen.key)
            cursor = next(same, cursor)
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

    def _title_counts(self) -> None:
        if not self._label:
            return
        total, shown = len(self._all), len(self._rows)
        count = f" {total}" if shown == total else f" {shown} of {total}"
        note = f" /{self._filter.text}" if self._filter.text else ""
        self.retitle(f"{self._label}{count if total else ''}{note}")

    @property
    def page(self) -> int:
        """Rows that fit below the header."""
        return max(1, self.size.height - (self._header is not None))

    def select(self, key: str) -> bool:
        """Move the cursor to a row by its key. False when it is not there."""
        for index, row in enumerate(self._rows):
            if row.key == key:
                self._move_to(index)
                return True
        return False

    def refresh_row(self, y: int) -> None:
        """Paint one row again; the header stands above the first line."""
        super().refresh_row(y + (self._header is not None))

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        if self._header is not None:
            if y == 0:
                return strip(
                    self._marked(self._header, " "), self.size.width, self.pens, self.rich_style
                )
            y -= 1
        index = self.top + y
        line = self._lines[index] if index < len(self._lines) else ()
        on = index == self._cursor and bool(self._rows)
        mark = ("▸" if self.has_focus else "·" if self._leads else " ") if on else " "
        return strip(self._marked(line, mark), self.size.width, self.pens, self.row_style(index))

    def row_style(self, index: int) -> Style:
        """The row under the cursor stands out while the list has the focus."""
        if index == self._cursor and self._rows and self.has_focus:
            return self.rich_style + self.pens["cursor"]
        return self.rich_style

    def _marked(self, line: Line, mark: str) -> Line:
        return (("focus", mark), *line)

    def _move_to(self, index: int) -> None:
        index = min(max(0, index), max(0, len(self._rows) - 1))
        if index == self._cursor:
            return
        before, self._cursor = self._cursor, index
        self.refresh_row(before - self.top)
        self._follow_cursor()
        self.refresh_row(index - self.top)
        self.post_message(self.Moved(self))

    def _follow_cursor(self) -> None:
        if self._cursor < self.top:
            self.scroll_lines(self._cursor - self.top)
        elif self._cursor >= self.top + self.page:
            self.scroll_lines(self._cursor - self.top - self.page + 1)

    def resized(self) -> None:
        """Keep the cursor in sight."""
        self._follow_cursor()

    def on_focus(self, _event: Focus) -> None:
        """Mark the cursor's row."""
        self.refresh_row(self._cursor - self.top)

    def on_blur(self, _event: Blur) -> None:
        """Unmark it."""
        self.refresh_row(self._cursor - self.top)

    def on_click(self, event: Click) -> None:
        """One click moves the cursor, one on the cursor's row goes into it."""
        place = event.get_content_offset(self)
        if place is None:
            return
        index = self.top + place.y - (self._header is not None)
        if not 0 <= index < len(self._rows):
            return
        if index == self._cursor:
            self.action_choose()
        else:
            self._move_to(index)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self._move_to(self._cursor + by * self.page)

    def action_go(self, where: str) -> None:
        """Move the cursor to the first or last row."""
        self._move_to(0 if where == "first" else len(self._rows) - 1)

    def action_choose(self) -> None:
        """Go into the row."""
        if self.row is not None:
            self.post_message(self.Chosen(self, self.row))
