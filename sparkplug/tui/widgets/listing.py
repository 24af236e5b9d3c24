"""What every list one moves in has: a cursor, keys, the mouse, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Offset
from textual.message import Message

from sparkplug.tui.cells import Line
from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.lines import Lines, standing
from sparkplug.tui.widgets.selecting import LEFT, RIGHT


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what tells it from others, how it looks, and the record behind it."""

    key: str
    line: Line
    value: Any = None


class Listing(Lines, can_focus=True):
    """A list one can move in. Posts `Chosen` on enter and `Moved` when the cursor moves.

    What holds the rows is below this: it says how many are `shown`, gives the one `at` a place,
    finds a place by key, and filters.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False, id="list.down"),
        Binding("k,up", "move(-1)", "up", show=False, id="list.up"),
        Binding("g,home", "go('first')", "first", show=False, id="list.first"),
        Binding("G,end", "go('last')", "last", show=False, id="list.last"),
        Binding("pagedown,ctrl+f", "page(1)", "a page down", show=False, id="list.page-down"),
        Binding("pageup,ctrl+b", "page(-1)", "a page up", show=False, id="list.page-up"),
        Binding("enter", "choose", "into", show=False, id="list.into"),
    ]

    class Chosen(Message):
        """Enter, or a second click, on a row."""

        def __init__(self, listing: Listing, row: Row) -> None:
            super().__init__()
            self.listing = listing
            self.row = row

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, listing: Listing) -> None:
            super().__init__()
            self.listing = listing

    takes_right = True
    #: Place of the cursor among the rows that are shown.
    _cursor = 0
    #: Whether the cursor is of use, and seen, while the focus is elsewhere.
    _leads = True
    #: What is told in the lower border, behind where one stands.
    _told_below = ""

    @property
    def shown(self) -> int:
        """How many rows pass the filter."""
        raise NotImplementedError

    def at(self, index: int) -> Row:
        """The row at a place, 0 <= index < shown."""
        raise NotImplementedError

    def place_of(self, key: str) -> int | None:
        """The place of the row with a key; None when it is not shown."""
        raise NotImplementedError

    @property
    def wanted(self) -> Filter:
        """Which rows are shown."""
        raise NotImplementedError

    @wanted.setter
    def wanted(self, value: Filter) -> None:
        raise NotImplementedError

    @property
    def marked(self) -> tuple[Row, ...]:
        """The rows that are marked, in their order; those of a list without marks: none."""
        return ()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns a filter can look into; those of a list without columns: none."""
        return ()

    def leave(self) -> bool:
        """What `esc` leaves before the list itself. False when there is nothing."""
        return False

    def unmark(self) -> bool:
        """Mark nothing. False when nothing was marked."""
        return False

    @property
    def header_rows(self) -> int:
        """Rows of the box that stand above the first one of the list."""
        return 0

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.at(self._cursor) if self._cursor < self.shown else None

    @property
    def page(self) -> int:
        """Rows that fit below the header."""
        return max(1, self.size.height - self.header_rows)

    @property
    def standing(self) -> str:
        """Where one stands, once not all rows are in sight; see `lines.standing`."""
        if not self.is_mounted or not self.size.height:
            return ""
        leads = self._leads or self.has_focus
        if not leads and not self.top:
            return ""
        return standing(self._cursor if leads else None, self.top, self.page, self.shown)

    def tell_below(self, text: str) -> None:
        """Say something in the lower border."""
        self._told_below = text
        self.tell_standing()

    def tell_standing(self) -> None:
        """Say in the border where one stands."""
        self.retitle(self._titles[0])

    def retitle(self, title: str, subtitle: str = "") -> None:
        """Write into the border, below it where one stands."""
        told = (self.standing, subtitle or self._told_below)
        super().retitle(title, " · ".join(filter(None, told)))

    def scroll_lines(self, by: int) -> None:
        """Move what is shown by so many rows."""
        super().scroll_lines(by)
        self.tell_standing()

    def select(self, key: str) -> bool:
        """Move the cursor to a row by its key. False when it is not there."""
        index = self.place_of(key)
        if index is None:
            return False
        self._move_to(index)
        return True

    def state(self) -> dict[str, Any]:
        """How it is set, to be kept: see `keeps.Keeps`."""
        return {"filter": self.wanted.text} if self.wanted.text else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Set it as it was kept."""
        wanted = state.get("filter", "")
        if isinstance(wanted, str) and wanted != self.wanted.text:
            self.wanted = Filter(wanted, self.column_names)

    def refresh_row(self, y: int) -> None:
        """Paint one row again, `y` rows below the header."""
        super().refresh_row(y + self.header_rows)

    def _move_to(self, index: int) -> None:
        index = min(max(0, index), max(0, self.shown - 1))
        if index == self._cursor:
            return
        before, self._cursor = self._cursor, index
        self.refresh_row(before - self.top)
        self._follow_cursor()
        self.refresh_row(index - self.top)
        self.tell_standing()
        self.post_message(self.Moved(self))

    def _follow_cursor(self) -> None:
        if self._cursor < self.top:
            self.scroll_lines(self._cursor - self.top)
        elif self._cursor >= self.top + self.page:
            self.scroll_lines(self._cursor - self.top - self.page + 1)

    def resized(self) -> None:
        """Keep the cursor in sight."""
        self._follow_cursor()
        self.tell_standing()

    def watch_has_focus(self, has_focus: bool) -> None:
        """All of it is drawn with the focus and without; the border says where one stands."""
        super().watch_has_focus(has_focus)
        self.tell_standing()

    def on_click(self, event: Click) -> None:
        """One click moves the cursor, one on the cursor's row goes into it."""
        place = event.get_content_offset(self)
        if place is None or (event.button == LEFT and self.text_selection is not None):
            return
        index = self.top + place.y - self.header_rows
        if not 0 <= index < self.shown:
            return
        if event.button == RIGHT:
            self._move_to(index)
            self.ask(event)
        elif index == self._cursor:
            self.action_choose()
        else:
            self._move_to(index)

    @property
    def cursor_place(self) -> Offset:
        """The cell of the screen below the beginning of the cursor's row."""
        inside = self.content_region
        y = min(self._cursor - self.top + self.header_rows, max(0, inside.height - 1))
        return Offset(inside.x + 2, inside.y + y + 1)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a page."""
        self._move_to(self._cursor + by * self.page)

    def action_go(self, where: str) -> None:
        """Move the cursor to the first or last row."""
        self._move_to(0 if where == "first" else self.shown - 1)

    def action_choose(self) -> None:
        """Go into the row."""
        if self.row is not None:
            self.post_message(self.Chosen(self, self.row))
