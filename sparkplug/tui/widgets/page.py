"""Text to read: wrapped, scrolled, kept at its end while it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.selection import Selection

from sparkplug.tui.cells import Line, strip, wrap
from sparkplug.tui.widgets.lines import Lines

#: What lays lines out in a width, given in cells.
Layout = Callable[[int], Sequence[Line]]


class Page(Lines, can_focus=True):
    """Lines laid out anew for every width."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll(1)", "down", show=False, id="page.down"),
        Binding("k,up", "scroll(-1)", "up", show=False, id="page.up"),
        Binding("g,home", "end(-1)", "first", show=False, id="page.first"),
        Binding("G,end", "end(1)", "last", show=False, id="page.last"),
        Binding("pagedown,space,ctrl+f", "scroll(0.9)", "a page down", show=False, id="page.next"),
        Binding("pageup,ctrl+b", "scroll(-0.9)", "a page up", show=False, id="page.previous"),
    ]

    def __init__(self, title: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(title, id=id)
        self._layout: Layout = lambda _width: ()
        self.sticks = False
        #: Whether the end is to be stayed at, once one is there.
        self._grows = False

    pulls = True
    #: How far the end is, in the border; empty where all is in sight.
    _standing = ""

    def retitle(self, title: str, subtitle: str = "") -> None:
        """Write into the border; where nothing else is to stand there, how far the end is."""
        super().retitle(title, subtitle or self._standing)

    def show(self, layout: Layout) -> None:
        """Show what `layout` gives for the width there is."""
        self._layout = layout
        self._lay_out()

    def show_text(self, text: str, pen: str = "text") -> None:
        """Show plain text."""
        self.show(lambda width: [((pen, line),) for line in wrap(text, width)])

    def stick(self, on: bool) -> None:
        """Stay at the end while the text grows."""
        self.sticks = self._grows = on
        if on:
            self.scroll_lines(len(self.lines))

    def resized(self) -> None:
        """Lay out for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        if self.size.width <= 0:
            return
        self.set_lines(self._layout(self.size.width))
        if self.sticks:
            self.scroll_lines(len(self.lines))
        self._place()

    def _place(self) -> None:
        last = min(len(self.lines), self.top + self.page)
        more = len(self.lines) > self.page
        self._standing = f"{last}/{len(self.lines)}" if more else ""
        self.retitle(self._titles[0])

    def scroll_lines(self, by: int) -> None:
        """Move, and show how far the end is."""
        super().scroll_lines(by)
        self._place()

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """The text of what is selected, in sight or not, and what ends it."""
        found = []
        for row, line in enumerate(self.lines):
            span = selection.get_span(row)
            if span is not None:
                start, end = span
                drawn = strip(line, self.size.width, self.pens, self.under)
                part = drawn.crop(start, drawn.cell_length if end < 0 else end)
                found.append(part.text.rstrip())
        return "\n".join(found), "\n"

    def action_scroll(self, by: float) -> None:
        """Move by lines, or by a share of a page."""
        self.sticks = self.sticks and by > 0
        self.scroll_lines(int(by * self.page) if isinstance(by, float) else by)

    def action_end(self, way: int) -> None:
        """Move to the beginning or the end."""
        self.sticks = way > 0 and self._grows
        self.scroll_lines(way * len(self.lines))

    def turn_wheel(self, by: int) -> None:
        """Scroll; up, the end is left, and at the end it is stayed at again."""
        top = self.top
        self.scroll_lines(by)
        self.sticks = self._grows and by > 0 and (self.sticks or self.top == top)
