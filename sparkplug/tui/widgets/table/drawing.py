"""How a table is drawn: the rows in sight, and of them the cells that look otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from sparkplug.tui.cells import Line, Span, fit, segments, strip
from sparkplug.tui.filter import EVERYTHING
from sparkplug.tui.widgets.listing import Row
from sparkplug.tui.widgets.table.arranged import Arranged
from sparkplug.tui.widgets.table.columns import GUTTER, Column, Place, fitted
from sparkplug.tui.widgets.table.marks import Marks
from sparkplug.tui.widgets.table.records import Records

if TYPE_CHECKING:
    from sparkplug.tui.themes import Pens

_KEPT_ROWS = 400
_UP, _DOWN = "▲", "▼"


class Drawing(Marks):
    """Rows that are drawn when they are seen, and kept as they were drawn."""

    def __init__(
        self,
        columns: Sequence[Column],
        key: Callable[[Any], str],
        title: str,
        *,
        header: bool,
        leads: bool,
        id: str | None,  # noqa: A002
    ) -> None:
        super().__init__(title, id=id)
        self._records = Records(columns, key)
        self._arranged = Arranged(self._records)
        self._header = header
        self._leads = leads
        self._empty = ""
        self._filter = EVERYTHING
        self._places: list[Place] = []
        #: Rows as they are drawn, by slot: their cells, and whole.
        self._cells: dict[int, list[Line]] = {}
        self._strips: dict[int, Strip] = {}
        #: Cells as they are painted, by slot; None: not since the cell changed.
        self._painted: dict[int, list[list[Segment] | None]] = {}
        self._drawn_with: tuple[object, Style] | None = None

    def retitle_counts(self) -> None:
        """How many rows there are, are shown, and are marked, in the border."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns there are."""
        return self._records.columns

    @property
    def shown(self) -> int:
        """How many rows pass the filter."""
        return len(self._arranged.shown)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self._records)

    @property
    def header_rows(self) -> int:
        """One for the names of the columns."""
        return int(self._header)

    @property
    def page(self) -> int:
        """Rows that fit below the header."""
        return max(1, self.size.height - self.header_rows)

    def at_key(self, index: int) -> str:
        """The key of the row at a place."""
        return self._records.keys[self._arranged.shown[index]]

    def has(self, key: str) -> bool:
        """Whether there is a row with a key."""
        return key in self._records.slots

    def row_of(self, key: str) -> Row:
        """The row with a key, whether it is shown or not."""
        return self._row(self._records.slots[key])

    def _row(self, slot: int) -> Row:
        cells = self._cells_of(slot)
        line: list[Span] = []
        for cell in cells:
            line += [*cell, ("text", " ")]
        return Row(self._records.keys[slot], tuple(line[:-1]), self._records.records[slot])

    def _in_sight(self) -> list[int]:
        return self._arranged.shown[self.top : self.top + self.page]

    def marks_changed(self, keys: set[str]) -> None:
        """Draw the marks."""
        for y, slot in enumerate(self._in_sight()):
            if self._records.keys[slot] in keys:
                self._strips.pop(slot, None)
                row = y + self.header_rows
                self.refresh(Region(0, row, GUTTER, 1))
        for slot in list(self._strips):
            if self._records.keys[slot] in keys:
                del self._strips[slot]
        self.retitle_counts()

    def _cells_of(self, slot: int) -> list[Line]:
        cells = self._cells.get(slot)
        if cells is None:
            now = time.time()
            cells = [self._cell(slot, place, now) for place in self._places]
            if len(self._cells) > _KEPT_ROWS:
                self._forget_all()
            self._cells[slot] = cells
        return cells

    def _cell(self, slot: int, place: Place, now: float) -> Line:
        column = self.columns[place.index]
        cell = column.cell(self._records.value(slot, place.index), now)
        return fitted(cell, place.width, column.side)

    def _forget(self, slot: int) -> None:
        """Draw a row anew when it is seen next."""
        self._cells.pop(slot, None)
        self._strips.pop(slot, None)
        self._painted.pop(slot, None)

    def _forget_all(self) -> None:
        self._cells.clear()
        self._strips.clear()
        self._painted.clear()

    def _draw_again(self, y: int, slot: int, mask: int) -> None:
        """Draw those cells of a row in sight that look otherwise now, of the columns in `mask`."""
        cells = self._cells.get(slot)
        if cells is None:
            self.refresh_row(y)
            return
        now = time.time()
        painted = self._painted.get(slot)
        regions: list[Region] = []
        for number, place in enumerate(self._places):
            if mask >> place.index & 1:
                cell = self._cell(slot, place, now)
                if cell != cells[number]:
                    cells[number] = cell
                    if painted is not None:
                        painted[number] = None
                    regions.append(Region(place.x, y + self.header_rows, place.width, 1))
        if regions:
            self._strips.pop(slot, None)
            if regions[0].y < self.size.height:
                self.refresh(*regions)

    def _paint_header(self) -> None:
        if self._header:
            self.refresh_row(-1)

    def _header_line(self) -> Line:
        line: list[Span] = [("dim", " ")]
        for number, place in enumerate(self._places):
            column = self.columns[place.index]
            text, pen = column.heading, "dim"
            if place.index == self._arranged.column:
                arrow = _DOWN if self._arranged.down else _UP
                pen = "title"
                text = fit(text, min(len(text), place.width - 1)) + arrow
            if number:
                line.append(("text", " "))
            line.append((pen, fit(text, place.width, column.side)))
        return tuple(line)

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        width, pens, base = self.size.width, self.pens, self.under
        if (
            self._drawn_with is None
            or self._drawn_with[0] is not pens
            or self._drawn_with[1] != base
        ):
            self._drawn_with = (pens, base)
            self._strips.clear()
            self._painted.clear()
        if self._header:
            if y == 0:
                return strip(self._header_line(), width, pens, base)
            y -= 1
        shown = self._arranged.shown
        index = self.top + y
        if index >= len(shown):
            nothing = not shown and y == 0
            line: Line = (("dim", f" {self._nothing()}"),) if nothing else ()
            return strip(line, width, pens, base)
        slot = shown[index]
        on = index == self._cursor
        if on:
            under = base + pens["cursor"] if self.has_focus else base
            return strip(self._line(slot, on=True), width, pens, under)
        found = self._strips.get(slot)
        if found is None or found.cell_length != width:
            found = self._strips[slot] = self._row_strip(slot, width, pens, base)
        return found

    def _row_strip(self, slot: int, width: int, pens: Pens, base: Style) -> Strip:
        """A row that is not under the cursor; those of its cells that stay are not painted anew."""
        cells = self._cells_of(slot)
        painted = self._painted.get(slot)
        if painted is None:
            painted = self._painted[slot] = [None] * len(cells)
        mark = ("warn", "•") if self.is_marked(self._records.keys[slot]) else ("focus", " ")
        row = segments((mark,), pens, base)
        between = segments((("text", " "),), pens, base)
        for number, cell in enumerate(cells):
            own = painted[number]
            if own is None:
                own = painted[number] = segments(cell, pens, base)
            if number:
                row += between
            row += own
        places = self._places
        used = places[-1].x + places[-1].width if places else GUTTER
        if used < width:
            row += segments((("text", " " * (width - used)),), pens, base)
        elif used > width:
            return Strip(row, used).crop(0, width)
        return Strip(row, width)

    def _nothing(self) -> str:
        if not self.total:
            return self._empty
        if self._filter.text:
            return f"nothing matches /{self._filter.text}"
        return "nothing is failing"

    def _line(self, slot: int, *, on: bool) -> Line:
        mark = ("▸" if self.has_focus else "·" if self._leads else " ") if on else " "
        pen = "focus"
        if self.is_marked(self._records.keys[slot]):
            mark, pen = "•", "warn" if not on else "focus"
        line: list[Span] = [(pen, mark)]
        for number, cell in enumerate(self._cells_of(slot)):
            if number:
                line.append(("text", " "))
            line += cell
        return tuple(line)
