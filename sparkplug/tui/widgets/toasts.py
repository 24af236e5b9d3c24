"""Notices in a corner, over whatever else is on the screen: a few seconds, or until clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from sparkplug.tui.cells import Line, clean, length, strip, wrap

if TYPE_CHECKING:
    from sparkplug.tui.themes import Pens

#: Notices shown at once; how many more there are is told.
SHOWN = 3
_ROWS = 4
_WIDEST = 60
#: Characters of a notice that are looked at.
_LONGEST = 2000
_SYMBOLS = {"ok": "✔", "warn": "▲", "bad": "✖"}


@dataclass(frozen=True, slots=True)
class Toast:
    """A notice: its text, the pen of its kind (`ok`, `warn`, `bad`), what one can do about it."""

    text: str
    pen: str = "ok"
    hint: str = ""


def symbol_of(pen: str) -> str:
    """What tells the kind of a notice beside its colour."""
    return _SYMBOLS.get(pen, "·")


def toast_lines(toast: Toast, width: int) -> list[Line]:
    """A notice in at most `width` cells and four rows."""
    room = max(1, width - 4)
    rows = wrap(clean(toast.text[:_LONGEST]), room)
    cut, rows = len(rows) > _ROWS, rows[:_ROWS]
    lines: list[Line] = []
    for index, row in enumerate(rows):
        symbol = symbol_of(toast.pen) if index == 0 else " "
        end = "…" if cut and index == len(rows) - 1 else ""
        lines.append(((toast.pen, f"┃{symbol} "), ("text", f"{row}{end}")))
    if toast.hint:
        hint: Line = ((toast.pen, "┃  "), ("focus", clean(toast.hint)))
        last = lines[-1]
        if length(last) + len(toast.hint) + 2 <= width:
            lines[-1] = (*last, ("text", "  "), hint[1])
        else:
            lines.append(hint)
    return lines


class Toasts(Widget):
    """The newest three notices, newest last, at the bottom right. Takes no focus.

    Posts `Dismissed` when one is clicked.
    """

    DEFAULT_CSS: ClassVar[str] = """
    Toasts { overlay: screen; position: absolute; width: 1; height: 1; margin: 0; padding: 0;
        background: $sp-panel; color: $sp-foreground; }
    """

    class Dismissed(Message):
        """A notice was clicked."""

        def __init__(self, toast: Toast) -> None:
            super().__init__()
            self.toast = toast

    def __init__(
        self,
        toasts: Sequence[Toast] = (),
        below: int = 1,
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._toasts = list(toasts)
        #: Rows of the screen that stay free below them.
        self._below = below
        self._shown: list[tuple[Line, Toast | None]] = []

    @property
    def toasts(self) -> Sequence[Toast]:
        """All that are told now, the newest last."""
        return self._toasts

    def set_toasts(self, toasts: Sequence[Toast], below: int = 1) -> None:
        """Tell these, at the corner as it is now; only what differs is painted again."""
        self._toasts, self._below = list(toasts), below
        self.lay_out()

    def on_mount(self) -> None:
        """Take the corner."""
        self.lay_out()

    def lay_out(self) -> None:
        """Lay the notices out for the screen there is."""
        screen = self.screen.size
        found: list[tuple[Line, Toast | None]] = []
        width = min(_WIDEST, max(4, screen.width - 2))
        older = self._toasts[:-SHOWN]
        if older:
            found.append(((("dim", f"┃  +{len(older)} more"),), None))
        for toast in self._toasts[-SHOWN:]:
            found += [(line, toast) for line in toast_lines(toast, width)]
        room = max(1, screen.height - 1 - self._below)
        found = found[-room:]
        before, self._shown = self._shown, found
        size = Size(
            min(width, max((length(line) + 1 for line, _ in found), default=1)), max(1, len(found))
        )
        top = max(0, screen.height - size.height - self._below)
        place = (max(0, screen.width - size.width - 1), top)
        # A style that is what it was costs nothing: Textual compares.
        self.styles.width, self.styles.height = size
        self.styles.offset = place
        if before != found:
            self.refresh()

    @property
    def _pens(self) -> Pens:
        return cast("Pens", self.app.pens)  # type: ignore[attr-defined]

    def render_line(self, y: int) -> Strip:
        """One row, as Textual asks for it."""
        line = self._shown[y][0] if y < len(self._shown) else ()
        return strip(line, self.size.width, self._pens, self.rich_style)

    def render(self) -> str:
        """Unused: `render_line` draws."""
        return ""

    def on_click(self, event: Click) -> None:
        """A click takes it away."""
        event.stop()
        if 0 <= event.y < len(self._shown):
            toast = self._shown[event.y][1] or self._toasts[0]
            self.post_message(self.Dismissed(toast))
