"""Screens that render what changed, and on which the mouse reaches only what is still there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

from textual import errors
from textual.events import Event, MouseEvent
from textual.geometry import Size
from textual.screen import Screen
from textual.selection import Selection
from textual.widget import Widget

from sparkplug.tui.screen.compositor import SparseCompositor
from sparkplug.tui.screen.grounds import let_go_of_the_closed

ResultT = TypeVar("ResultT")

let_go_of_the_closed()

#: What was drawn on since `PresentScreen.painting` began; None: what is drawn on paints itself.
_drawn: set[Widget] | None = None


def is_painted_at_end(widget: Widget) -> bool:
    """Whether who draws on a widget now has it painted when all is drawn."""
    if _drawn is None:
        return False
    _drawn.add(widget)
    return True


def _leave_to_textual(drawn: set[Widget]) -> None:
    for widget in drawn:
        widget._repaint_required = True  # noqa: SLF001
        widget.check_idle()


class PresentScreen(Screen[ResultT]):
    """A screen that drops a click on a widget that is being removed.

    The compositor knows such a widget until the next layout, while its parent is gone; Textual
    8.2 asks that parent where it stands (`Screen._forward_event`) and ends the app.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._compositor = SparseCompositor()

    @contextlib.contextmanager
    def painting(self) -> Iterator[None]:
        """What is drawn on while the block runs is painted at its end, in one go.

        Textual 8.2 has every widget tell itself and then the screen of it in messages, and
        paints a sixtieth of a second later: six times something wakes for one frame.
        """
        global _drawn  # one screen draws at a time
        if _drawn is not None:
            yield
            return
        _drawn = set()
        try:
            yield
        finally:
            drawn, _drawn = _drawn, None
            if drawn:
                self._paint(drawn)

    def _paint(self, drawn: set[Widget]) -> None:
        waits = self._layout_required or self._scroll_required or self._repaint_required
        if waits or self.app._batch_count or not self.is_current:  # noqa: SLF001
            _leave_to_textual(drawn)
            return
        # What is in sight round a dialog is of the screen below it, which tells this one.
        here = {widget for widget in drawn if self._holds(widget)}
        _leave_to_textual(drawn - here)
        if here:
            self._compositor.update_widgets(here)
            self._compositor_refresh()

    def place(self) -> None:
        """Give everything its place and size now, not a sixtieth of a second later."""
        self._layout_required = self._scroll_required = self._repaint_required = False
        self._refresh_layout()

    def _screen_resized(self, size: Size) -> None:
        # Textual 8.2 tells a screen of each size it has taken, by which it takes that size. Of two
        # that come at once both would be taken again and again, for ever.
        if size == self.app.size:
            super()._screen_resized(size)

    def _compositor_refresh(self) -> None:
        # Textual 8.2 renders all there is for a frame that is held back, and throws it away.
        if self.app._batch_count:  # noqa: SLF001
            self._repaint_required = True
        else:
            super()._compositor_refresh()

    def _holds(self, widget: Widget) -> bool:
        return widget.is_attached and widget.screen is self

    def let_go(self) -> None:
        """It is closed: where everything stood on it is known no more."""
        self._compositor = SparseCompositor()

    def _forward_event(self, event: Event) -> None:
        if isinstance(event, MouseEvent) and not self._is_present(event):
            return
        super()._forward_event(event)

    def _watch_selections(  # type: ignore[override]
        self, old_selections: dict[Widget, Selection], selections: dict[Widget, Selection]
    ) -> None:
        """Tell widgets what of them is selected, at once.

        Textual 8.2 does it in a coroutine, in the next message: a screen that is left before that
        leaves it behind, never awaited.
        """
        for widget in old_selections.keys() | selections.keys():
            widget.selection_updated(selections.get(widget))

    def _is_present(self, event: MouseEvent) -> bool:
        try:
            widget, _ = self.get_widget_at(event.x, event.y)
        except errors.NoWidget:
            return True
        return widget is self or widget.is_attached
