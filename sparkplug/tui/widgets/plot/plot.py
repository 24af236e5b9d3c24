"""Values over time as lines of dots, with axes, a legend, and a cursor that reads them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, Leave, MouseMove
from textual.message import Message

from sparkplug.tui.widgets.plot.painted import Painted

_LEAST_SPAN, _MOST_SPAN = 10.0, 10 * 365 * 86400.0


class Plot(Painted, can_focus=True):
    """Lines over time. Posts `CursorMoved` and `Zoomed`.

    What it can be made with is told at `Shown`.
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

    #: The column of the box that the mouse points at.
    _pointed: int | None = None

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

    # The cursor

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
        super()._set_cursor(time)
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
        self._pointed = None if place is None else place.x
        if place is None or self.pinned:
            return
        self.place_cursor(self._time_at(place.x))

    def on_leave(self, _event: Leave) -> None:
        """The mouse is elsewhere."""
        self._pointed = None
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

    def turn_wheel(self, by: int) -> None:
        """Down for more time, up for less; what the mouse points at is another sample then."""
        self.action_zoom(2.0 if by > 0 else 0.5)
        if self._pointed is not None and not self.pinned:
            self.place_cursor(self._time_at(self._pointed))
