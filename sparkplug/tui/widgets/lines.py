"""A box of lines that it draws itself: what did not change is not painted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from sparkplug.tui.cells import Line, clean, fit, strip

if TYPE_CHECKING:
    from sparkplug.tui.themes import Pens

_WHEEL_LINES = 3


class Lines(Widget):
    """A box that shows lines from `top` on. Lines are plain data, see `cells.Line`."""

    DEFAULT_CSS: ClassVar[str] = """
    Lines { border: round $sp-line; border-title-color: $sp-muted; border-subtitle-color: $sp-muted;
        background: $background; color: $sp-foreground; padding: 0 1; }
    Lines:focus { border: round $sp-focus; border-title-color: $sp-focus; }
    """

    def __init__(self, title: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._lines: list[Line] = []
        self._titles = ("", "")
        self.top = 0
        self.retitle(title)

    @property
    def lines(self) -> Sequence[Line]:
        """What is shown, from the first line on."""
        return self._lines

    @property
    def pens(self) -> Pens:
        """The styles of the theme in use, by word."""
        return cast("Pens", self.app.pens)  # type: ignore[attr-defined]

    def retitle(self, title: str, subtitle: str = "") -> None:
        """Write into the border; nothing is painted when it says that already."""
        titles = (clean(title), clean(subtitle))
        if titles != self._titles:
            self._titles = titles
            self.border_title = Content(titles[0]) if titles[0] else None
            self.border_subtitle = Content(titles[1]) if titles[1] else None

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these lines; only those that differ on screen are painted again."""
        before, self._lines = self._lines, list(lines)
        self._clamp()
        height = self.size.height
        for y in range(height):
            index = self.top + y
            old = before[index] if index < len(before) else None
            new = self._lines[index] if index < len(self._lines) else None
            if old != new:
                self.refresh_row(y)

    def refresh_row(self, y: int) -> None:
        """Paint one row of the screen again, `y` from the top of the box."""
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def scroll_lines(self, by: int) -> None:
        """Move what is shown by so many lines."""
        before = self.top
        self.top += by
        self._clamp()
        if self.top != before:
            self.refresh()

    def _clamp(self) -> None:
        most = max(0, len(self._lines) - self.page)
        top = min(max(0, self.top), most)
        if top != self.top:
            self.top = top
            self.refresh()

    @property
    def page(self) -> int:
        """Lines that fit."""
        return max(1, self.size.height)

    def on_resize(self, _event: Resize) -> None:
        """The box is another size."""
        self._clamp()
        self.resized()

    def resized(self) -> None:
        """For boxes whose lines depend on their width."""

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel."""
        event.stop()
        self.scroll_lines(_WHEEL_LINES)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel."""
        event.stop()
        self.scroll_lines(-_WHEEL_LINES)

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        index = self.top + y
        width = self.size.width
        line = self._lines[index] if index < len(self._lines) else ()
        return strip(line, width, self.pens, self.row_style(index))

    def row_style(self, index: int) -> Style:
        """What lies under the text of a line."""
        return self.rich_style

    def render(self) -> str:
        """Unused: `render_line` draws."""
        return ""


class OneLine(Widget):
    """A single row without a border: left part, right part."""

    DEFAULT_CSS: ClassVar[str] = """
    OneLine { height: 1; background: $background; color: $sp-foreground; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._line: Line = ()

    def set_line(self, line: Line) -> None:
        """Show this; nothing is painted when it is shown already."""
        if line != self._line:
            self._line = line
            self.refresh()

    @property
    def line(self) -> Line:
        """What is shown."""
        return self._line

    def render_line(self, y: int) -> Strip:
        """The row, as Textual asks for it."""
        if y:
            return Strip([Segment(fit("", self.size.width), self.rich_style)])
        pens = cast("Pens", self.app.pens)  # type: ignore[attr-defined]
        return strip(self._line, self.size.width, pens, self.rich_style)

    def render(self) -> str:
        """Unused: `render_line` draws."""
        return ""
