"""Values over time as lines of dots, with axes, a legend, and a cursor that reads them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Leave, MouseMove, MouseScrollDown, MouseScrollUp
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from sparkplug.tui.cells import Line, changed, strip
from sparkplug.tui.units import NUMBER, Unit
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.plot.legend import legend, moment_text
from sparkplug.tui.widgets.plot.pens import line_pens
from sparkplug.tui.widgets.plot.picture import (
    BLANK,
    LIMIT,
    Cell,
    Column,
    Frame,
    Limit,
    Picture,
    Series,
    changes,
)
from sparkplug.tui.widgets.plot.record import Record
from sparkplug.tui.widgets.plot.ticks import ticks, time_labels

if TYPE_CHECKING:
    from sparkplug.tui.themes import Look

#: Narrower than this, there is no value axis and no mark at the end of a line.
_NARROW = 24
_LEAST_SPAN, _MOST_SPAN = 10.0, 10 * 365 * 86400.0
#: Columns at the right edge, in which each line's symbol stands beside its last value.
_MARKS = 3
#: The pen of the line of the cursor; no limit has this number.
_CURSOR = -(1 << 30)


class Plot(Lines, can_focus=True):
    """Lines over time. Posts `CursorMoved` and `Zoomed`.

    `ends` are the ends of the value axis, None for one that follows the values in sight. `span`
    is how many seconds are in sight, None for all there are. `clock`: the time axis tells times
    of day, else how long before the last sample; without `times` there is none. `jump`: by how
    many cells the picture moves on at once; more of them paint less often.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "read earlier values", show=False, id="plot.left"),
        Binding("right", "step(1)", "read later values", show=False, id="plot.right"),
        Binding("home", "end(-1)", "read the first values", show=False, id="plot.first"),
        Binding("end", "end(1)", "read the last values", show=False, id="plot.last"),
        Binding("plus,equals_sign", "zoom(0.5)", "less time", show=False, id="plot.zoom-in"),
        Binding("minus", "zoom(2.0)", "more time", show=False, id="plot.zoom-out"),
        Binding("escape", "drop", "drop the cursor", show=False, id="plot.drop"),
    ]

    class CursorMoved(Message):
        """The cursor stands at another time, or nowhere (None)."""

        def __init__(self, plot: Plot, moment: float | None) -> None:
            super().__init__()
            self.plot = plot
            self.moment = moment

    class Zoomed(Message):
        """More or less time is in sight."""

        def __init__(self, plot: Plot, span: float) -> None:
            super().__init__()
            self.plot = plot
            self.span = span

    def __init__(
        self,
        title: str = "",
        *,
        unit: Unit = NUMBER,
        ends: tuple[float | None, float | None] = (0.0, None),
        span: float | None = 120.0,
        clock: bool = False,
        times: bool = True,
        jump: int = 1,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(title, id=id)
        self.record = Record()
        self.series: tuple[Series, ...] = ()
        self.limits: tuple[Limit, ...] = ()
        self.unit = unit
        self.ends = ends
        self.span = span
        self.clock = clock
        self.times = times
        self.jump = max(1, jump)
        self.cursor: float | None = None
        #: Whether the cursor was put somewhere; else it follows the mouse.
        self.pinned = False
        self._picture = Picture()
        self._columns: list[Column] = []
        self._labels: dict[int, str] = {}
        self._legend: Line = ()
        self._times: Line = ()
        #: What value labels and times were made of.
        self._labelled: object = None
        self._timed: object = None
        self._label_width = 0
        self._drawn_for: object = None
        self._styles_of: tuple[object, object] = (None, None)
        self._styles: list[Style] = []

    # What is shown

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

    @property
    def _rows(self) -> int:
        """Rows of the picture."""
        return max(0, self.size.height - self._top - self._bottom)

    @property
    def _top(self) -> int:
        """Rows above the picture."""
        return 1 if self.size.height >= 3 else 0

    @property
    def _bottom(self) -> int:
        """Rows below the picture."""
        return 1 if self.times and self.size.height >= 5 else 0

    @property
    def _left(self) -> int:
        """Cells left of the picture."""
        return self._label_width + 1 if self._label_width else 0

    @property
    def _gutter(self) -> int:
        """Cells right of the picture."""
        return min(_MARKS, len(self.series)) if self._wide and len(self.series) > 1 else 0

    @property
    def _wide(self) -> bool:
        return self.size.width >= _NARROW

    @property
    def _look(self) -> Look:
        return cast("Look", self.app.look)  # type: ignore[attr-defined]

    def _picture_frame(self) -> Frame:
        look = self._look
        return Frame(
            width=max(0, self.size.width - self._left - self._gutter),
            height=self._rows,
            span=self.span,
            jump=self.jump,
            ends=self.ends,
            most_ticks=max(2, (self._rows + 1) // 2),
            binary=self.unit.binary,
            ascii=look.only_ascii,
            marks=len(self.series) > 1 and not self._has_color,
        )

    @property
    def _has_color(self) -> bool:
        return self.pens["focus"].color is not None

    @property
    def _ground(self) -> object:
        """What all that is drawn depends on."""
        return self.size, self.times, self._look.only_ascii, self._has_color

    def _draw(self) -> None:
        self._drawn_for = self._ground
        if self.size.width <= 0 or self.size.height <= 0:
            return
        for _ in range(2):
            self._picture.draw(self.record, self.series, self.limits, self._picture_frame())
            self._labels = self._value_labels()
            widest = max((len(label) for label in self._labels.values()), default=0)
            if widest <= self._label_width:
                break
            # Room once taken is kept, so that the picture does not move to and fro.
            self._label_width = widest
        self._columns = [*self._picture.columns, *self._gutter_columns()]
        if self.cursor is not None and (
            not len(self.record) or self.cursor < self._picture.first_time
        ):
            self._set_cursor(None)
        self._legend = self._legend_line()
        self._times = self._time_line()

    def _value_labels(self) -> dict[int, str]:
        rows, low, high = self._rows, self._picture.low, self._picture.high
        made_of = (low, high, rows, self._wide, self.unit, self._look.only_ascii)
        if made_of == self._labelled:
            return self._labels
        self._labelled = made_of
        if not self._wide or rows < 2:
            return {}
        most = max(2, (rows + 1) // 2)
        values, step = ticks(low, high, most, binary=self.unit.binary)
        found: dict[int, str] = {}
        for value, label in zip(values, self.unit.labels(values, step), strict=True):
            found.setdefault(self._picture.row_of(value), label)
        return found

    def _time_line(self) -> Line:
        newest = self.record.newest
        if not self._bottom or newest is None or not self._picture.columns:
            return ()
        first, last = self._picture.first_time, self._picture.last_time
        width = len(self._picture.columns)
        made_of = (first, last, width, self.clock or newest, self.clock)
        if made_of == self._timed and self._times:
            return self._times
        self._timed = made_of
        labels = time_labels(first, last, width, clock=self.clock, newest=newest)
        text = ""
        for x, label in labels:
            text = text.ljust(x) + label
        return (("dim", text),)

    def _legend_line(self) -> Line:
        if not self._top:
            return ()
        index, moment = len(self.record) - 1, ""
        newest = self.record.newest
        if self.cursor is not None and newest is not None:
            index = self.record.nearest(self.cursor)
            moment = moment_text(self.record.times[index], newest, clock=self.clock)
        styles = self._series_styles()
        told = [
            (one, styles[n], self.record.value(one.key, index)) for n, one in enumerate(self.series)
        ]
        if not told or newest is None:
            return (("dim", "nothing measured yet"),)
        return legend(told, self.limits, self.unit, self.size.width, moment)

    def _gutter_columns(self) -> list[Column]:
        width = self._gutter
        rows: list[list[Cell]] = [[] for _ in range(self._rows)]
        if width and rows and len(self.record):
            for index, one in enumerate(self.series):
                value = self.record.value(one.key, len(self.record) - 1)
                if value is not None:
                    rows[self._picture.row_of(value)].append((one.symbol, index))
        blank: Cell = (" ", BLANK)
        columns: list[Column] = []
        for x in range(width):
            more: Cell = ("+", BLANK)
            columns.append(
                [
                    more
                    if x == width - 1 and len(row) > width
                    else row[x]
                    if x < len(row)
                    else blank
                    for row in rows
                ]
            )
        return columns

    # How it is painted

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

    def _series_styles(self) -> list[Style]:
        """The style of each series, made once for a theme."""
        pens = self.pens
        if self._styles_of[0] is not pens or self._styles_of[1] is not self.series:
            free = line_pens(pens)
            self._styles_of = (pens, self.series)
            self._styles = [
                free[n % len(free)]
                if one.pen is None
                else pens[one.pen]
                if isinstance(one.pen, str)
                else one.pen
                for n, one in enumerate(self.series)
            ]
        return self._styles

    def _refresh_line(self, before: Line, after: Line, x: int, y: int) -> None:
        for first, size in changed(before, after):
            self.refresh(Region(x + first, y, size, 1))

    def _refresh_cursor(self, before: int | None, after: int | None) -> None:
        if before == after:
            return
        for cell in (before, after):
            if cell is not None:
                self.refresh(Region(self._left + cell, self._top, 1, self._rows))

    # The cursor

    def _cursor_cell(self) -> int | None:
        if self.cursor is None:
            return None
        cell = self._picture.cell_of(self.cursor)
        return cell if 0 <= cell < len(self._picture.columns) else None

    def place_cursor(self, time: float | None, *, tell: bool = True) -> None:
        """Read the values of the sample nearest to a time; None reads the last again.

        `CursorMoved` is posted unless `tell` is false.
        """
        if time is not None and len(self.record):
            time = self.record.times[self.record.nearest(time)]
        if time == self.cursor or (time is not None and not len(self.record)):
            return
        before, told = self._cursor_cell(), self._legend
        self._set_cursor(time, tell=tell)
        self._legend = self._legend_line()
        self._refresh_cursor(before, self._cursor_cell())
        if self._top:
            self._refresh_line(told, self._legend, 0, 0)

    def _set_cursor(self, time: float | None, *, tell: bool = True) -> None:
        self.cursor = time
        if time is None:
            self.pinned = False
        if tell:
            self.post_message(self.CursorMoved(self, time))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a cursor, `escape` is what it is elsewhere."""
        return action != "drop" or self.cursor is not None

    def action_drop(self) -> None:
        """No cursor."""
        self.place_cursor(None)

    def action_step(self, way: int) -> None:
        """The cursor to the cell beside, or the sample beside where samples are further apart."""
        times = self.record.times
        if not times:
            return
        self.pinned = True
        if self.cursor is None:
            self.place_cursor(times[-1])
            return
        index = self.record.nearest(self.cursor)
        cell = self._picture.dots * self._picture.step
        edge = (self._picture.start + self._picture.cell_of(self.cursor)) * cell
        if way < 0:
            found = min(index, bisect_left(times, edge)) - 1
        else:
            found = max(index + 1, bisect_left(times, edge + cell))
        first = bisect_left(times, self._picture.first_time)
        self.place_cursor(times[min(max(first, found), len(times) - 1)])

    def action_end(self, way: int) -> None:
        """The cursor to the first or the last sample in sight."""
        times = self.record.times
        if times:
            self.pinned = True
            first = min(bisect_left(times, self._picture.first_time), len(times) - 1)
            self.place_cursor(times[first if way < 0 else -1])

    def action_zoom(self, by: float) -> None:
        """More or less time in sight."""
        span = self._picture.last_time - self._picture.first_time
        span = min(_MOST_SPAN, max(_LEAST_SPAN, (self.span or span) * by))
        if span != self.span:
            self.span = span
            self.update_plot()
            self.post_message(self.Zoomed(self, span))

    def _time_at(self, x: int) -> float | None:
        """The time of the sample nearest to a cell of the box; None outside the picture."""
        cell = x - self._left
        times = self.record.times
        if not 0 <= cell < len(self._picture.columns) or not times:
            return None
        wide = self._picture.dots * self._picture.step
        time = (self._picture.start + cell + 0.5) * wide
        first = bisect_left(times, self._picture.first_time)
        last = bisect_right(times, self._picture.last_time) - 1
        if first > last:
            return None
        return times[min(max(first, self.record.nearest(time)), last)]

    def on_mouse_move(self, event: MouseMove) -> None:
        """Read what the mouse points at, unless a cursor was put somewhere."""
        place = event.get_content_offset(self)
        if place is None or self.pinned:
            return
        self.place_cursor(self._time_at(place.x))

    def on_leave(self, _event: Leave) -> None:
        """The mouse is elsewhere."""
        if not self.pinned:
            self.place_cursor(None)

    def on_click(self, event: Click) -> None:
        """Put the cursor there; a click on it drops it."""
        place = event.get_content_offset(self)
        time = self._time_at(place.x) if place is not None else None
        if time is None:
            return
        if self.pinned and time == self.cursor:
            self.pinned = False
            return
        self.pinned = True
        self.place_cursor(time)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """More time."""
        event.stop()
        self.action_zoom(2.0)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Less time."""
        event.stop()
        self.action_zoom(0.5)
