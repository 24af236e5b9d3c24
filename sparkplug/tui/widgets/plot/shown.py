"""What a plot shows: its picture, the values and times beside it, the legend above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.style import Style

from sparkplug.tui.cells import Line
from sparkplug.tui.units import NUMBER, Unit
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.plot.legend import legend, moment_text
from sparkplug.tui.widgets.plot.pens import line_pens
from sparkplug.tui.widgets.plot.picture import (
    BLANK,
    Cell,
    Column,
    Frame,
    Limit,
    Picture,
    Series,
)
from sparkplug.tui.widgets.plot.record import Record
from sparkplug.tui.widgets.plot.ticks import ticks, time_labels

if TYPE_CHECKING:
    from sparkplug.tui.themes import Look

#: Narrower than this, there is no value axis and no mark at the end of a line.
_NARROW = 24
#: Columns at the right edge, in which each line's symbol stands beside its last value.
_MARKS = 3


class Shown(Lines):
    """All that a plot has to paint, made of a record for the size of the box.

    `ends` are the ends of the value axis, None for one that follows the values in sight. `span`
    is how many seconds are in sight, None for all there are. `clock`: the time axis tells times
    of day, else how long before the last sample; without `times` there is none. `jump`: by how
    many cells the picture moves on at once; more of them paint less often.
    """

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

    # Where what stands

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

    def _cursor_cell(self) -> int | None:
        if self.cursor is None:
            return None
        cell = self._picture.cell_of(self.cursor)
        return cell if 0 <= cell < len(self._picture.columns) else None

    # What it says

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

    def _set_cursor(self, time: float | None, *, tell: bool = True) -> None:
        """Put the cursor at the time of a sample, or nowhere; `tell` is for who says so."""
        self.cursor = time
        if time is None:
            self.pinned = False
