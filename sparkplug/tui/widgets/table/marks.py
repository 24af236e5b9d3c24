"""A list whose rows can be marked: what is done then is done to all of them."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from sparkplug.tui.widgets.listing import Listing, Row


class Marks(Listing):
    """Marks are of keys: they stay while rows move and are filtered, and go when the row does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark", show=False, id="table.mark"),
        Binding("shift+down", "mark_by(1)", "mark downwards", show=False, id="table.mark-down"),
        Binding("shift+up", "mark_by(-1)", "mark upwards", show=False, id="table.mark-up"),
        Binding("M", "mark_from", "mark from here on", show=False, id="table.mark-from"),
        Binding("asterisk", "mark_others", "mark all others", show=False, id="table.mark-others"),
    ]

    def __init__(self, title: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(title, id=id)
        self._marks: set[str] = set()
        #: Where marking from here on began, and what was marked then.
        self._from: tuple[str, frozenset[str]] | None = None

    def at_key(self, index: int) -> str:
        """The key of the row at a place."""
        raise NotImplementedError

    def has(self, key: str) -> bool:
        """Whether there is a row with a key; one may be in sight a moment after it has gone."""
        raise NotImplementedError

    def row_of(self, key: str) -> Row:
        """The row with a key, whether it is shown or not."""
        raise NotImplementedError

    def marks_changed(self, keys: set[str]) -> None:
        """These are marked now and were not, or the other way round."""
        raise NotImplementedError

    @property
    def marked(self) -> tuple[Row, ...]:
        """The rows that are marked, by their keys; those that the filter leaves out too."""
        return tuple(self.row_of(key) for key in sorted(self._marks))

    @property
    def mark_count(self) -> int:
        """How many rows are marked."""
        return len(self._marks)

    def is_marked(self, key: str) -> bool:
        """Whether a row is marked."""
        return key in self._marks

    def toggle(self, key: str) -> None:
        """Mark a row, or no longer."""
        self._set(self._marks ^ {key})

    def unmark(self) -> bool:
        """Mark nothing. False when nothing was."""
        found = bool(self._marks) or self._from is not None
        self._from = None
        self._set(set())
        return found

    def leave(self) -> bool:
        """What `esc` leaves before the list: the marks."""
        return self.unmark()

    def action_mark(self) -> None:
        """Mark the row, or no longer, and move on."""
        if self._cursor < self.shown:
            self.toggle(self.at_key(self._cursor))
            self.action_move(1)

    def action_mark_by(self, by: int) -> None:
        """Mark the row and the next one, and move there."""
        if self._cursor < self.shown:
            here = self.at_key(self._cursor)
            self.action_move(by)
            self._set(self._marks | {here, self.at_key(self._cursor)})

    def action_mark_from(self) -> None:
        """Mark what the cursor goes over from here on; again: no more."""
        if self._from is not None or self._cursor >= self.shown:
            self._from = None
            return
        self._from = (self.at_key(self._cursor), frozenset(self._marks))
        self._mark_range()

    def action_mark_others(self) -> None:
        """Of the rows shown mark those that are not, and no longer those that are."""
        self._from = None
        self._set(self._marks ^ {self.at_key(index) for index in range(self.shown)})

    def _mark_range(self) -> None:
        if self._from is None:
            return
        key, before = self._from
        start = self.place_of(key)
        if start is None:
            self._from = None
            return
        first, last = sorted((start, self._cursor))
        self._set({*before, *(self.at_key(index) for index in range(first, last + 1))})

    def _unmark_gone(self, keys: set[str]) -> None:
        if not self._marks.isdisjoint(keys):
            self._set(self._marks - keys)

    def _set(self, marks: set[str]) -> None:
        marks = {key for key in marks if self.has(key)}
        different = marks ^ self._marks
        if different:
            self._marks = marks
            self.marks_changed(different)
