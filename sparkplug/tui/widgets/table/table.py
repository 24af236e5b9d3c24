"""The table: what is in sight of its rows is drawn, and of that only what changed."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.listing import Row
from sparkplug.tui.widgets.selecting import LEFT
from sparkplug.tui.widgets.table.taking import Taking


class Table(Taking):
    """Rows in columns. What changes is shown at most five times a second.

    `columns` say what is shown of a record, `key` what tells it from others, `failing` which
    ones `ctrl+z` shows alone, `sort` the name of the column it is sorted by at first (`-name`:
    the other way round).
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort_next", "sort by the next column", show=False, id="table.sort"),
        Binding("I", "sort_reverse", "sort the other way round", show=False, id="table.reverse"),
        Binding("c", "columns", "choose columns", show=False, id="table.columns"),
        Binding("ctrl+w", "wide", "all columns, or what fits", show=False, id="table.wide"),
        Binding("ctrl+z", "failing", "only what is failing", show=False, id="table.failing"),
        Binding("left", "columns_by(-1)", "columns before", show=False, id="table.left"),
        Binding("right", "columns_by(1)", "columns after", show=False, id="table.right"),
    ]

    class Changed(Message):
        """Sorted, filtered, or its columns chosen otherwise: `state` is another."""

        def __init__(self, table: Table) -> None:
            super().__init__()
            self.table = table

    def changed(self) -> None:
        """Tell that `state` is another."""
        self.post_message(self.Changed(self))

    def on_mount(self) -> None:
        """What was given before."""
        self.lay_out()
        self.flush()

    # What Listing asks

    def at(self, index: int) -> Row:
        """The row at a place, 0 <= index < shown."""
        return self._row(self._arranged.shown[index])

    def place_of(self, key: str) -> int | None:
        """The place of the row with a key; None when it is not shown."""
        if self._records.came or self._records.gone:
            self.flush()
        return self._place_of(self._records.slots.get(key))

    @property
    def wanted(self) -> Filter:
        """Which rows are shown."""
        return self._filter

    @wanted.setter
    def wanted(self, value: Filter) -> None:
        if value.text != self._filter.text:
            self._filter = Filter(value.text, self.column_names)
            self._arrange(sort=False)

    @property
    def column_names(self) -> tuple[str, ...]:
        """What a filter can look into one of."""
        return tuple(column.name for column in self.columns)

    @property
    def only_failing(self) -> bool:
        """Whether only what is failing is shown."""
        return self._only_failing

    @property
    def columns_in_sight(self) -> frozenset[str]:
        """The names of the columns that are seen now, and of the one it is sorted by."""
        seen = {self.columns[place.index].name for place in self._places}
        return frozenset(seen | ({self.sorted_by[0]} if self.sorted_by is not None else set()))

    # Sorting, filtering, columns

    @property
    def sorted_by(self) -> tuple[str, bool] | None:
        """The column it is sorted by and whether downwards; None: rows stand as they came."""
        column = self._arranged.column
        return None if column is None else (self.columns[column].name, self._arranged.down)

    def sort(self, name: str | None, *, down: bool | None = None) -> None:
        """Sort by a column, numbers at first downwards; None: as the rows came."""
        number = None if name is None else self._records.number(name)
        if down is None:
            down = number is not None and self.columns[number].biggest_first
        if (number, down) != (self._arranged.column, self._arranged.down):
            self._arranged.column, self._arranged.down = number, down
            self._paint_header()
            self._arrange(sort=True)

    def action_sort_next(self) -> None:
        """Sort by the next column that is seen; after the last one, as the rows came."""
        seen: list[int | None] = [place.index for place in self._places]
        around = [None, *seen]
        now = self._arranged.column
        after = around[(around.index(now) + 1) % len(around)] if now in around else around[-1]
        self.sort(None if after is None else self.columns[after].name)

    def action_sort_reverse(self) -> None:
        """Sort the other way round."""
        sorted_by = self.sorted_by
        if sorted_by is not None:
            self.sort(sorted_by[0], down=not sorted_by[1])

    def action_failing(self) -> None:
        """Show only what is failing, or all again."""
        if self._failing is not None:
            self._only_failing = not self._only_failing
            self._arrange(sort=False)

    def leave(self) -> bool:
        """What `esc` leaves before the table: the marks, then the sight of what is failing."""
        if super().leave():
            return True
        if self._only_failing:
            self.action_failing()
            return True
        return False

    def action_wide(self) -> None:
        """All columns, or those that fit."""
        self.chosen.wide = not self.chosen.wide
        self.chosen.left = 0
        self.lay_out()

    def action_columns_by(self, by: int) -> None:
        """In the wide table the columns after the first move."""
        before = self.chosen.left
        self.chosen.move(by, self.size.width)
        if self.chosen.left != before:
            self.lay_out()

    def scroll_aside(self, way: int) -> bool:
        """Move the columns after the first, in the wide table."""
        self.action_columns_by(way)
        return self.chosen.wide

    def action_columns(self) -> None:
        """Choose the columns."""
        from sparkplug.tui.dialogs.columns import ColumnChooser

        self.app.push_screen(ColumnChooser(self))

    def lay_out(self) -> None:
        """The columns are others, or stand elsewhere."""
        shown = [index for index, _ in self.chosen.shown()]
        if shown != self._searched:
            self._searched = shown
            self._texts.clear()
            if self._filter.text:
                self._arrange(sort=False)
        places = self.chosen.places(self.size.width)
        if places != self._places:
            self._places = places
            self._forget_all()
            self.refresh()
            self.changed()

    def state(self) -> dict[str, Any]:
        """What the user made of it, for JSON: columns, order, filter, the row one stands on."""
        sorted_by = self.sorted_by
        return {
            **self.chosen.state(),
            "sort": list(sorted_by) if sorted_by else [],
            "filter": self._filter.text,
            "failing": self._only_failing,
            "cursor": self._cursor_key or "",
        }

    def restore(self, state: object) -> None:
        """Take up what `state` gave, in this session or another; what does not fit is left out."""
        if not isinstance(state, dict):
            return
        self.chosen.restore(state)
        wanted, key = state.get("filter"), state.get("cursor")
        match state.get("sort"):
            case [str(name), bool(down)] if self._records.number(name) is not None:
                self._arranged.column, self._arranged.down = self._records.number(name), down
            case []:
                self._arranged.column, self._arranged.down = None, False
        self._filter = Filter(wanted if isinstance(wanted, str) else "", self.column_names)
        self._only_failing = state.get("failing") is True and self._failing is not None
        self._awaited = key if isinstance(key, str) and key else None
        self.lay_out()
        self._paint_header()
        self._arrange(sort=True)

    # The cursor, and what is in sight

    def _move_to(self, index: int) -> None:
        self._awaited = None
        super()._move_to(index)
        shown = self._arranged.shown
        if self._cursor < len(shown):
            self._cursor_key = self._records.keys[shown[self._cursor]]
        self._mark_range()

    def select(self, key: str) -> bool:
        """Move the cursor to a row by its key. False when it is not there."""
        found = super().select(key)
        self._awaited = None
        return found

    def retitle_counts(self) -> None:
        """How many rows there are, are shown, and are marked, in the border."""
        if not self._label:
            self.tell_standing()
            return
        total, shown = self.total, self.shown
        text = f"{self._label} {total}" if shown == total else f"{self._label} {shown} of {total}"
        if not total:
            text = self._label
        if self._only_failing:
            text += " failing"
        if self._filter.text:
            text += f" /{self._filter.text}"
        marks = self.mark_count
        self.retitle(f"{text} · {marks} marked" if marks else text)

    def resized(self) -> None:
        """Other columns fit."""
        self.lay_out()
        super().resized()

    def on_click(self, event: Click) -> None:
        """On the header: sort by that column, again: the other way round. On the edge: mark.

        The right button on the header chooses columns. Textual calls that of a list after this
        one, for a click that is none of these.
        """
        offset, left = event.get_content_offset(self), event.button == LEFT
        if offset is None or (left and self.text_selection is not None):
            return
        if self._header and offset.y == 0:
            event.prevent_default()
            if left:
                self._sort_at(offset.x)
            else:
                self.action_columns()
            return
        index = self.top + offset.y - self.header_rows
        if left and offset.x == 0 and 0 <= index < self.shown:
            event.prevent_default()
            self.toggle(self._records.keys[self._arranged.shown[index]])
            self._move_to(index)

    def _sort_at(self, x: int) -> None:
        for place in self._places:
            if place.x <= x <= place.x + place.width:
                name = self.columns[place.index].name
                if self.sorted_by is not None and self.sorted_by[0] == name:
                    self.action_sort_reverse()
                else:
                    self.sort(name)
                return
