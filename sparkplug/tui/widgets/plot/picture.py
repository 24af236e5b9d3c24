"""The picture of a plot in cells, kept from one sample to the next: only new columns are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style

from sparkplug.tui.widgets.plot.columns import Extent, bounds, column_of, extents
from sparkplug.tui.widgets.plot.record import Record
from sparkplug.tui.widgets.plot.ticks import nice_range, nice_step

#: What a cell shows, and whose pen it has: the number of a series, or one of those below.
Cell = tuple[str, int]
#: The cells of one column of the picture, from the top down.
Column = list[Cell]

BLANK = -1
#: The first limit; the next is one less.
LIMIT = -2
_EMPTY: Cell = (" ", BLANK)
#: Dots of a braille cell by their height above its foot (Unicode 17, block 2800).
_LEFT_DOTS = (0x40, 0x04, 0x02, 0x01)
_RIGHT_DOTS = (0x80, 0x20, 0x10, 0x08)
#: A range that holds all there is and is not this many times too large is kept.
_ROOMY = 2.2


def _table(dots: Sequence[int]) -> list[int]:
    return [sum(bit for n, bit in enumerate(dots) if row >> n & 1) for row in range(16)]


_LEFT, _RIGHT = _table(_LEFT_DOTS), _table(_RIGHT_DOTS)


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its key in the record, what it is called, and the character that marks it.

    `pen` is a word of the theme or a style; without one it gets a colour of its own. With `fill`
    all below it is drawn too.
    """

    key: str
    name: str
    symbol: str
    pen: str | Style | None = None
    fill: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """A value to be seen against: a power cap, the heat at which clocks go down."""

    value: float
    name: str
    pen: str = "warn"


@dataclass(frozen=True, slots=True)
class Frame:
    """How a picture is drawn: its size in cells, its scales, and with what.

    `span` is how many seconds it is wide, None for all there is. `jump`: by how many cells it
    moves on at once. `ends` are the ends of the value axis, None for one that follows the values.
    """

    width: int
    height: int
    span: float | None = None
    jump: int = 1
    ends: tuple[float | None, float | None] = (None, None)
    most_ticks: int = 3
    binary: bool = False
    ascii: bool = False
    marks: bool = False


class Picture:
    """Columns of cells of the last samples of a record."""

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self.low = 0.0
        self.high = 1.0
        #: Seconds of a column of dots, and how many of those a cell has.
        self.step = 1.0
        self.dots = 2
        #: The first cell shown, counted from 1970.
        self.start = 0
        self._key: object = None
        self._newest = 0.0
        self._extents: list[list[Extent | None]] = []
        self._blank: Column = []
        self._frame = Frame(0, 0)

    @property
    def first_time(self) -> float:
        """The time of the left edge."""
        return self.start * self.dots * self.step

    @property
    def last_time(self) -> float:
        """The time of the right edge."""
        return (self.start + self._frame.width) * self.dots * self.step

    def cell_of(self, time: float) -> int:
        """The cell a time is drawn in, counted from the left edge; it may lie outside."""
        return column_of(time, self.step) // self.dots - self.start

    def row_of(self, value: float) -> int:
        """The row a value is drawn in, counted from the top."""
        tall = 1 if self._frame.ascii else 4
        return self._frame.height - 1 - self._dot(value) // tall

    @property
    def nothing(self) -> bool:
        """Whether no value is in sight."""
        return not any(extent for found in self._extents for extent in found)

    def draw(
        self, record: Record, series: Sequence[Series], limits: Sequence[Limit], frame: Frame
    ) -> None:
        """Bring the columns up to date with the record."""
        newest = record.newest
        if newest is None or frame.width <= 0 or frame.height <= 0:
            self._key, self._extents, self._frame = None, [], frame
            self.low, self.high = self._range(frame, math.inf, -math.inf)
            self._blank = self._blank_column(limits)
            self.columns = [self._blank] * max(0, frame.width)
            return
        dots = 1 if frame.ascii else 2
        step = _step(record, frame, frame.width * dots)
        end = column_of(newest, step) + 1
        right = _up(_up(end, dots), frame.jump) * frame.jump
        start = right - frame.width
        key = (id(record), record.epoch, step, frame, tuple(series), tuple(limits))
        anew = key != self._key or not 0 <= start - self.start < frame.width
        fresh = start * dots if anew else column_of(self._newest, step)
        moved = 0 if anew else start - self.start
        self._key, self._frame, self._newest = key, frame, newest
        self.step, self.dots, self.start = step, dots, start
        fresh = max(fresh, start * dots)
        self._extend(record, series, fresh, end, moved * dots, anew=anew)
        if self._rescale(frame) or anew:
            self._blank = self._blank_column(limits)
            self.columns = self._drawn(series, 0, frame.width)
            return
        first = fresh // dots - start
        last = _up(end, dots) - start
        self.columns = [
            *self.columns[moved : first + moved],
            *self._drawn(series, first, last),
            *[self._blank] * (frame.width - last),
        ]

    def _extend(
        self,
        record: Record,
        series: Sequence[Series],
        fresh: int,
        end: int,
        moved: int,
        *,
        anew: bool,
    ) -> None:
        """The extents of the columns from `fresh` up to `end`, after those that are known."""
        first = self.start * self.dots
        after: list[Extent | None] = [None] * (first + self._frame.width * self.dots - end)
        edges = bounds(record, self.step, fresh, end)
        if anew:
            self._extents = [[] for _ in series]
        for index, one in enumerate(series):
            known = self._extents[index][moved : fresh - first + moved]
            track = record.tracks.get(one.key)
            if track is None:
                known += [None] * (end - fresh)
            else:
                known += extents(record, track, self.step, fresh, edges)
            self._extents[index] = known + after

    def _rescale(self, frame: Frame) -> bool:
        """Suit the value axis to what is in sight; True when it is another."""
        low, high = math.inf, -math.inf
        if None in frame.ends:
            known = [extent for found in self._extents for extent in found if extent]
            if known:
                low = min(extent[0] for extent in known)
                high = max(extent[1] for extent in known)
        wanted = self._range(frame, low, high)
        if wanted == (self.low, self.high):
            return False
        roomy = self.high - self.low <= _ROOMY * (wanted[1] - wanted[0])
        holds = self.low <= wanted[0] and wanted[1] <= self.high
        if None in frame.ends and holds and roomy and self.columns:
            return False
        self.low, self.high = wanted
        return True

    def _range(self, frame: Frame, low: float, high: float) -> tuple[float, float]:
        bottom, top = frame.ends
        if low > high:
            low = high = bottom if bottom is not None else top if top is not None else 0.0
        return nice_range(low, high, frame.most_ticks, bottom=bottom, top=top, binary=frame.binary)

    def _dot(self, value: float) -> int:
        """The height of a value in dots, from the foot; values outside are at the edge."""
        tall = self._frame.height * (1 if self._frame.ascii else 4) - 1
        share = (value - self.low) / (self.high - self.low)
        return min(tall, max(0, round(share * tall)))

    def _span(self, extent: Extent) -> tuple[int, int]:
        """The dots of an extent, lowest and highest, with what joins it to the column before."""
        low, high, before = extent
        first, last = self._dot(low), self._dot(high)
        if before == before:
            joint = self._dot(before)
            if joint > last:
                last = joint - 1
            elif joint < first:
                first = joint + 1
        return first, last

    def _blank_column(self, limits: Sequence[Limit]) -> Column:
        column = [_EMPTY] * self._frame.height
        for index, limit in enumerate(limits):
            if self._frame.height and self.low <= limit.value <= self.high:
                column[self.row_of(limit.value)] = ("┄", LIMIT - index)
        return column

    def _drawn(self, series: Sequence[Series], first: int, last: int) -> list[Column]:
        """Cells of columns `first` up to `last`, counted from the left edge."""
        # What is filled lies under the lines.
        order = sorted(range(len(series)), key=lambda index: not series[index].fill)
        draw = self._ascii_column if self._frame.ascii else self._braille_column
        return [draw(series, order, cell) for cell in range(first, last)]

    def _braille_column(self, series: Sequence[Series], order: list[int], cell: int) -> Column:
        left = right = 0
        height = self._frame.height
        owners = [BLANK] * height
        zero = self._dot(0.0)
        for index in order:
            found = self._extents[index]
            for side in (0, 1):
                extent = found[cell * 2 + side]
                if extent is None:
                    continue
                low, high = self._span(extent)
                if series[index].fill:
                    low, high = min(low, zero), max(high, zero)
                mask = (2 << high) - (1 << low)
                if side:
                    right |= mask
                else:
                    left |= mask
                for row in range(low >> 2, (high >> 2) + 1):
                    owners[row] = index
        if not left and not right:
            return self._blank
        column = list(self._blank)
        for row in range(height):
            if owners[row] >= 0:
                bits = _LEFT[left >> 4 * row & 15] | _RIGHT[right >> 4 * row & 15]
                column[height - 1 - row] = (chr(0x2800 + bits), owners[row])
        if self._frame.marks:
            self._mark(series, cell, column)
        return column

    def _mark(self, series: Sequence[Series], cell: int, column: Column) -> None:
        """Every line has its symbol on it now and then, each in a column of its own."""
        apart = max(3, 10 // len(series))
        index, here = divmod((self.start + cell) % (apart * len(series)), apart)
        if not here:
            extent = self._extents[index][cell * 2 + 1] or self._extents[index][cell * 2]
            if extent is not None:
                column[self.row_of(extent[1])] = (series[index].symbol, index)

    def _ascii_column(self, series: Sequence[Series], order: list[int], cell: int) -> Column:
        top = self._frame.height - 1
        column = self._blank
        zero = self._dot(0.0)
        for index in order:
            extent = self._extents[index][cell]
            if extent is None:
                continue
            if column is self._blank:
                column = list(column)
            low, high = self._span(extent)
            if series[index].fill:
                for dot in range(min(low, zero), max(high, zero) + 1):
                    column[top - dot] = (":", index)
            for dot in range(low, high + 1):
                column[top - dot] = (series[index].symbol, index)
        return column


def _up(count: int, by: int) -> int:
    """`count` divided, rounded up."""
    return -(-count // by)


def _step(record: Record, frame: Frame, dots: int) -> float:
    """Seconds of a column of dots."""
    if frame.span is not None:
        return max(1e-3, frame.span) / dots
    whole = max(1e-3, record.times[-1] - record.times[0])
    # Round, so that it is another only now and then while the record grows.
    return nice_step(whole / max(1, dots - frame.jump * 2))


def changes(before: Sequence[Column], after: Sequence[Column]) -> dict[int, tuple[int, int]]:
    """The rows in which two pictures of a size differ: the first such cell, and after the last."""
    found: dict[int, tuple[int, int]] = {}
    for x, (old, new) in enumerate(zip(before, after, strict=True)):
        if old is new or old == new:
            continue
        for y, (one, other) in enumerate(zip(old, new, strict=True)):
            if one != other:
                found[y] = (found[y][0] if y in found else x, x + 1)
    return found
