"""Text that is selected with the mouse: a drag over any box selects what is written in it.

Textual finds the place of a character by marks in the styles of what is drawn; ours carry none.
The place is computed from the box instead, so nothing is spent while nothing is selected.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from rich.segment import Segment
from rich.style import Style
from textual.errors import NoWidget
from textual.events import Click, Event, MouseDown, MouseUp
from textual.geometry import Offset, Region
from textual.message import Message
from textual.screen import Screen
from textual.selection import SelectEnd, Selection
from textual.strip import Strip
from textual.widget import Widget

from sparkplug.tui.screen.present import PresentScreen, is_painted_at_end

if TYPE_CHECKING:
    from sparkplug.tui.themes import Pens


#: The numbers of the mouse's buttons.
LEFT, RIGHT = 1, 3
#: Between two rows of a drag that is held at an edge.
_PULL_S = 0.1
#: The screen on which the last row of clicks began.
_clicked: weakref.ref[Screen[Any]] | None = None


class Selectable(Widget):
    """A widget that draws itself by `render_line`, of which cells can be selected.

    What scrolls says by `select_row` which of its rows stands where.
    """

    class Asked(Message):
        """The right button: what can be done with what is there, told at that place."""

        def __init__(self, sender: Selectable, place: Offset) -> None:
            super().__init__()
            self.sender = sender
            self.place = place

    #: Whether the right button is for it. It does nothing on others.
    takes_right: ClassVar[bool] = False
    #: Whether a drag that is held at its edge selects on beyond what is in sight.
    pulls: ClassVar[bool] = False

    def ask(self, event: Click) -> None:
        """Post `Asked` for the place of a click."""
        self.post_message(self.Asked(self, Offset(event.screen_x, event.screen_y + 1)))

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Have it, or some cells of it, painted again."""
        some = regions and repaint and not layout and not recompose and self._is_mounted
        if some and is_painted_at_end(self):
            self._set_dirty(*regions)
            return self
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def select_row(self, y: int) -> int:
        """The row, by a number of its own, at a height within the content."""
        return y

    def select_at(self, x: int, y: int) -> Offset:
        """What is meant by a cell within the content."""
        return Offset(x, self.select_row(y))

    def pull(self, by: int) -> None:
        """Move what is in sight by so many rows, for a drag at the edge of it."""

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text of what is selected and in sight, and what ends it."""
        found = []
        for y in range(self.size.height):
            span = selection.get_span(self.select_row(y))
            if span is not None:
                start, end = span
                strip = self.render_line(y)
                part = strip.crop(start, strip.cell_length if end < 0 else end)
                found.append(part.text.rstrip())
        return "\n".join(found), "\n"

    def render_lines(self, crop: Region) -> list[Strip]:
        """What is drawn, with what is selected marked."""
        strips = self.draw_lines(crop)
        # What is being removed is drawn until the next layout, and stands on no screen.
        selection = self.text_selection if self.is_attached else None
        return strips if selection is None else self._marked_lines(strips, crop, selection)

    def draw_lines(self, crop: Region) -> list[Strip]:
        """Rows of the widget with all that is round its content, as Textual draws them."""
        return super().render_lines(crop)

    def _marked_lines(self, strips: list[Strip], crop: Region, selection: Selection) -> list[Strip]:
        left, top = self.gutter.top_left
        width, height = self.size
        pen = cast("Pens", self.app.pens)["selected"]  # type: ignore[attr-defined]
        found = list(strips)
        for at, strip in enumerate(strips):
            y = crop.y + at - top
            span = selection.get_span(self.select_row(y)) if 0 <= y < height else None
            if span is None:
                continue
            start, end = span
            end = width if end < 0 else min(end, width)
            first, last = (max(0, min(x + left - crop.x, strip.cell_length)) for x in (start, end))
            if first < last:
                found[at] = _marked(strip, first, last, pen)
        return found


def _marked(strip: Strip, start: int, end: int, pen: Style) -> Strip:
    middle = [Segment(text, _over(style, pen)) for text, style, _ in strip.crop(start, end) if text]
    return Strip.join([strip.crop(0, start), Strip(middle, end - start), strip.crop(end)])


def _over(style: Style | None, pen: Style) -> Style:
    """The style of text that is selected; what is reversed already is turned back."""
    if style is None:
        return pen
    return style + (Style(reverse=False) if pen.reverse and style.reverse else pen)


class Selecting(Screen[Any]):
    """A screen on which text can be selected. A selection stays in the box it began in.

    The left button selects and does what is clicked. The right one is for what takes it, the
    middle one, which pastes elsewhere, for nothing.
    """

    def _forward_event(self, event: Event) -> None:
        if isinstance(event, MouseDown | MouseUp | Click) and not self._is_meant(event):
            return
        super()._forward_event(event)

    def _is_meant(self, event: MouseDown | MouseUp | Click) -> bool:
        """Whether a press of a button is for what is under the mouse."""
        global _clicked  # there is one mouse
        if isinstance(event, Click) and event.chain == 1:
            _clicked = weakref.ref(self)
        elif isinstance(event, Click) and (_clicked is None or _clicked() is not self):
            return False  # the first click opened or closed a page, the second is not for that
        if event.button == LEFT:
            return True
        if event.button != RIGHT or not isinstance(event, Click):
            return False
        try:
            widget, _ = self.get_widget_at(event.x, event.y)
        except NoWidget:
            return True
        return widget is self or getattr(widget, "takes_right", False)

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """The widget at a cell, and what of it is meant."""
        state = self._select_state
        widget = state.start.content_widget if self._selecting and state is not None else None
        if not isinstance(widget, Selectable):
            try:
                widget, _ = self.get_widget_at(x, y)
            except NoWidget:
                return None, None
            if not isinstance(widget, Selectable):
                return super().get_widget_and_offset_at(x, y)
        region = widget.content_region
        if not region:
            return widget, None
        cell = (Offset(x, y) - region.offset).clamp(region.width, region.height)
        return widget, widget.select_at(*cell)

    def _check_auto_scroll(
        self, select_widget: Widget, mouse_coordinate: tuple[float, float], delta_y: float
    ) -> None:
        """A drag goes on beyond the edge it is at, also while the mouse is held still there."""
        if not isinstance(select_widget, Selectable):
            super()._check_auto_scroll(select_widget, mouse_coordinate, delta_y)
            return
        x, y = map(int, mouse_coordinate)
        inside = select_widget.content_region
        by = -1 if y <= inside.y else 1 if y >= inside.bottom - 1 else 0
        self._stop_auto_scroll()
        if by and select_widget.pulls:
            self._pull(select_widget, Offset(x, y), by)
            timer = self.set_interval(_PULL_S, partial(self._pull, select_widget, Offset(x, y), by))
            self._auto_select_scroll_timer = timer

    def _pull(self, widget: Selectable, mouse: Offset, by: int) -> None:
        state = self._select_state
        above = widget.parent
        if state is None or not isinstance(above, Widget):
            self._stop_auto_scroll()
            return
        widget.pull(by)
        _, meant = self.get_widget_and_offset_at(*mouse)
        self._select_state = state.update_end(mouse, SelectEnd(above, widget, meant))

    def _key_escape(self) -> None:
        """What `esc` is bound to drops the selection; Textual would before, and `esc` do more."""


class SelectScreen(Selecting, PresentScreen[Any]):
    """The screen of the panes."""
