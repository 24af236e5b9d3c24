"""A box of lines that it draws itself: what did not change is not painted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.content import Content
from textual.events import (
    MouseScrollDown,
    MouseScrollLeft,
    MouseScrollRight,
    MouseScrollUp,
    Resize,
)
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Region, Size
from textual.strip import Strip

from sparkplug.tui.cells import Line, changed, clean, fit, strip
from sparkplug.tui.widgets.selecting import Selectable

if TYPE_CHECKING:
    from sparkplug.tui.themes import Pens

_WHEEL_LINES = 3
#: Styles that a box remembers.
_MOST_STYLES = 512


def standing(cursor: int | None, top: int, page: int, total: int) -> str:
    """Where one stands among rows that do not all fit: `12/500`; "" when they do.

    While the cursor is not in sight, or is none, the rows that are: `30-52/500`.
    """
    if total <= page:
        return ""
    if cursor is not None and top <= cursor < top + page:
        return f"{cursor + 1:,}/{total:,}"
    return f"{top + 1:,}-{min(top + page, total):,}/{total:,}"


class Frame:
    """What is round the content of a box: the same for all of its rows."""

    __slots__ = (
        *("_background", "_left", "_plain", "_right"),
        *("bottom", "left", "size", "top", "width"),
    )

    def __init__(
        self,
        width: int,
        size: Size,
        rows: tuple[int, int],
        sides: tuple[list[Segment], list[Segment]],
        background: Color,
    ) -> None:
        self.width = width
        self.size = size
        self.top, self.bottom = rows
        self._left, self._right = sides
        self.left = sum(segment.cell_length for segment in sides[0])
        self._background = background
        #: Styles in which Textual's filter finds nothing to translate, by their numbers.
        self._plain: dict[int, Style] = {}

    def row(self, content: Strip) -> Strip:
        """A row of the box with this content, which is as wide as it is to be."""
        return Strip([*self._left, *content, *self._right], self.width)

    def filtered(self, strip: Strip, line_filter: LineFilter) -> Strip:
        """A row as a filter of the app lets it through."""
        if type(line_filter) is not ANSIToTruecolor:
            return strip.apply_filter(line_filter, self._background)
        plain = self._plain
        for _, style, _ in strip:
            if id(style) not in plain and style is not None:
                background = self._background.rich_color
                if line_filter.truecolor_style(style, background) != style:
                    return strip.apply_filter(line_filter, self._background)
                if len(plain) >= _MOST_STYLES:
                    plain.clear()
                # What is held here is not freed, so that its number is not another's.
                plain[id(style)] = style
        return strip


class Lines(Selectable):
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
        self._under: Style | None = None
        self._surround: Frame | None = None
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
        before, self._titles = self._titles, titles
        # Set as Textual's properties would, which paint the whole box for it.
        if titles[0] != before[0]:
            self._border_title = Content(titles[0]) if titles[0] else None
            self._refresh_edge(0)
        if titles[1] != before[1]:
            self._border_subtitle = Content(titles[1]) if titles[1] else None
            self._refresh_edge(self.outer_size.height - 1)

    def _refresh_edge(self, y: int) -> None:
        """Paint a row of the box that is not of its content, `y` from the top of the border."""
        left, top = self.gutter.top_left
        self.refresh(Region(-left, y - top, self.outer_size.width, 1))

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
        """The wheel; with shift to the right, where there is something."""
        event.stop()
        if not (event.shift and self.scroll_aside(1)):
            self.turn_wheel(_WHEEL_LINES)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel; with shift to the left, where there is something."""
        event.stop()
        if not (event.shift and self.scroll_aside(-1)):
            self.turn_wheel(-_WHEEL_LINES)

    def on_mouse_scroll_right(self, event: MouseScrollRight) -> None:
        """A wheel that leans."""
        event.stop()
        self.scroll_aside(1)

    def on_mouse_scroll_left(self, event: MouseScrollLeft) -> None:
        """A wheel that leans."""
        event.stop()
        self.scroll_aside(-1)

    def turn_wheel(self, by: int) -> None:
        """The wheel was turned by so many lines."""
        self.scroll_lines(by)

    def scroll_aside(self, way: int) -> bool:
        """Move what is shown to the left (-1) or right. False where nothing is there."""
        return False

    def pull(self, by: int) -> None:
        """Move what is in sight, for a drag at its edge."""
        self.scroll_lines(by)

    def select_row(self, y: int) -> int:
        """A selection stays on its lines when they are scrolled."""
        return self.top + y

    # How it is drawn

    @property
    def size(self) -> Size:
        """The cells of the content, looked up once for as long as the box stays as it is."""
        return super().size if self._surround is None else self._surround.size

    @property
    def under(self) -> Style:
        """What lies under all text of the box."""
        return self.rich_style if self._under is None else self._under

    def _set_dirty(self, *regions: Region) -> None:
        if not regions:
            # Its size, its styles, or those of what it stands on are others.
            self._surround = self._under = None
        frame = self._surround
        if frame is None:
            super()._set_dirty(*regions)
            return
        # As Textual does, which asks for some twenty styles to know where the content is.
        x, y = frame.left, frame.top
        placed = [Region(left + x, top + y, wide, high) for left, top, wide, high in regions]
        self._dirty_regions.update(placed)
        self._repaint_regions.update(placed)
        self._styles_cache.set_dirty(*placed)

    def draw_lines(self, crop: Region) -> list[Strip]:
        """The rows that are asked for.

        Textual's cache of them is kept as it is, but what is round a row (border, padding) is
        taken from how it was drawn at first: Textual asks for some forty styles for each row.
        """
        cache = self._styles_cache
        frame = self._surround
        if frame is None or frame.width != cache._width or crop.right > frame.width:  # noqa: SLF001
            self._surround = None
            self._under = self.rich_style
            strips = super().draw_lines(crop)
            self._surround = self._found_frame(crop)
            if self._surround is None:
                self._under = None
            return strips
        rows, dirty = cache._cache, cache._dirty_lines  # noqa: SLF001
        for y in range(max(crop.y, frame.top), min(crop.bottom, frame.bottom)):
            if y in dirty or y not in rows:
                rows[y] = frame.row(self.render_line(y - frame.top))
                dirty.discard(y)
        if any(y in dirty or y not in rows for y in crop.line_range):
            return super().draw_lines(crop)
        strips = [rows[y] for y in crop.line_range]
        for line_filter in self.get_line_filters():
            strips = [frame.filtered(strip, line_filter) for strip in strips]
        if crop.width != frame.width:
            strips = [strip.crop(crop.x, crop.right) for strip in strips]
        return strips

    def _found_frame(self, crop: Region) -> Frame | None:
        """What is round the content of rows that were just drawn.

        None where a row is not the content between its edges: tinted, outlined, or so.
        """
        width, height = self.outer_size
        top, right, bottom, left = self.gutter
        drawn = self._styles_cache._cache  # noqa: SLF001
        y = max(crop.y, top)
        if y >= min(crop.bottom, height - bottom) or y not in drawn or width <= left + right:
            return None
        found = drawn[y]
        frame = Frame(
            width,
            super().size,
            (top, height - bottom),
            (list(found.crop(0, left)), list(found.crop(width - right, width))),
            self.background_colors[1],
        )
        alike = frame.row(self.render_line(y - top)).simplify() == found.simplify()
        return frame if alike else None

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        index = self.top + y
        width = self.size.width
        line = self._lines[index] if index < len(self._lines) else ()
        return strip(line, width, self.pens, self.row_style(index))

    def row_style(self, index: int) -> Style:
        """What lies under the text of a line."""
        return self.under

    def render(self) -> str:
        """Unused: `render_line` draws."""
        return ""


class OneLine(Selectable):
    """A single row without a border: left part, right part."""

    DEFAULT_CSS: ClassVar[str] = """
    OneLine { height: 1; background: $background; color: $sp-foreground; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._line: Line = ()

    def set_line(self, line: Line) -> None:
        """Show this; only the cells that differ are painted."""
        if line != self._line:
            before, self._line = self._line, line
            for x, size in changed(before, line):
                self.refresh(Region(x, 0, size, 1))

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
