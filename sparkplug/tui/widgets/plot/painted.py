"""How a plot is painted: the cells that differ from what was shown before."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from sparkplug.tui.cells import Line, changed, strip
from sparkplug.tui.widgets.plot.picture import BLANK, LIMIT, Limit, Series, changes
from sparkplug.tui.widgets.plot.record import Record
from sparkplug.tui.widgets.plot.shown import Shown

#: The pen of the line of the cursor; no limit has this number.
_CURSOR = -(1 << 30)


class Painted(Shown):
    """A plot that is looked at."""

    def show(self, record: Record, series: Sequence[Series], limits: Sequence[Limit] = ()) -> None:
        """Show these series of a record."""
        self.record, self.limits = record, tuple(limits)
        if tuple(series) != self.series:
            self.series = tuple(series)
        self.update_plot()

    def update_plot(self) -> None:
        """The record, or how it is to be shown, has changed: paint the cells that differ."""
        if not self.is_attached or not self.size.width or not self.size.height:
            return
        if self._drawn_for != self._ground:
            self.resized()
            return
        before = (self._columns, self._labels, self._legend, self._times, self._left)
        cursor = self._cursor_cell()
        self._draw()
        columns, labels, told, times, left = before
        if left != self._left or len(columns) != len(self._columns):
            self.refresh()
            return
        top = self._top
        if told != self._legend and top:
            self._refresh_line(told, self._legend, 0, 0)
        if times != self._times and self._bottom:
            self._refresh_line(times, self._times, left, self.size.height - 1)
        for y in {*labels, *self._labels}:
            if labels.get(y) != self._labels.get(y):
                self.refresh(Region(0, top + y, left, 1))
        for y, (first, last) in changes(columns, self._columns).items():
            self.refresh(Region(left + first, top + y, last - first, 1))
        self._refresh_cursor(cursor, self._cursor_cell())

    def resized(self) -> None:
        """Draw for the new size."""
        self._label_width = 0
        self._draw()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        if self._drawn_for != self._ground:
            # Another theme; or another size, which is painted before the box hears of it.
            self._label_width = 0
            self._draw()
        elif self._styles_of[0] is not self.pens:
            self._legend = self._legend_line()
        size = self.size
        row = y - self._top
        if row < 0:
            return strip(self._legend, size.width, self.pens, self.under)
        if self._bottom and y == size.height - 1:
            line = (("text", " " * self._left), *self._times)
            return strip(line, size.width, self.pens, self.under)
        return self._picture_row(row, size.width)

    def _picture_row(self, row: int, width: int) -> Strip:
        base, pens = self.under, self.pens
        segments: list[Segment] = []
        if self._left:
            label = self._labels.get(row)
            segments.append(Segment(f"{label or '':>{self._label_width}}", base + pens["dim"]))
            segments.append(Segment("┤" if label else "│", base + pens["line"]))
        styles = self._series_styles()
        cursor = self._cursor_cell()
        text, drawn = "", BLANK
        for x, column in enumerate(self._columns):
            character, pen = column[row]
            if x == cursor and pen < 0:
                character, pen = "│", _CURSOR
            if pen != drawn and text:
                segments.append(Segment(text, base + self._style(drawn, styles)))
                text = ""
            text += character
            drawn = pen
        if text:
            segments.append(Segment(text, base + self._style(drawn, styles)))
        found = Strip(segments, self._left + len(self._columns))
        return found.adjust_cell_length(width, base)

    def _style(self, pen: int, styles: Sequence[Style]) -> Style:
        if pen >= 0:
            return styles[pen]
        if pen <= LIMIT and pen != _CURSOR:
            return self.pens[self.limits[LIMIT - pen].pen]
        return self.pens["text" if pen == _CURSOR else "dim"]

    def _refresh_line(self, before: Line, after: Line, x: int, y: int) -> None:
        for first, size in changed(before, after):
            self.refresh(Region(x + first, y, size, 1))

    def _refresh_cursor(self, before: int | None, after: int | None) -> None:
        if before == after:
            return
        for cell in (before, after):
            if cell is not None:
                self.refresh(Region(self._left + cell, self._top, 1, self._rows))
