"""What changes in a table is taken in: five times a second, in steps where it takes long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from textual.timer import Timer
from textual.worker import Worker

from sparkplug.tui.cells import plain
from sparkplug.tui.widgets.table.chosen import ChosenColumns
from sparkplug.tui.widgets.table.columns import (
    LOOKED_AT,
    Column,
)
from sparkplug.tui.widgets.table.drawing import Drawing

#: Least seconds between two frames, and between two sortings, that nobody asked for by a key.
FRAME_S = 0.2
SORT_S = 0.5
#: From so many rows on what takes long is done in steps.
_MANY = 20_000
#: After the message in hand, with all else it changes.
_SOON_S = 0.001


class Taking(Drawing):
    """Rows that come, change and go; `Table` sorts, filters and moves in them."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        key: Callable[[Any], str] = str,
        title: str = "",
        empty: str = "",
        failing: Callable[[Any], bool] | None = None,
        sort: str | None = None,
        header: bool = True,
        leads: bool = True,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(columns, key, title, header=header, leads=leads, id=id)
        self._label, self._empty = title, empty
        self._failing = failing
        self._only_failing = False
        #: What is searched of a row, by slot, while there is a filter.
        self._texts: dict[int, str] = {}
        self.chosen = ChosenColumns(columns)
        #: The columns that are searched: those that are shown where there is room.
        self._searched: list[int] = []
        self._timer: Timer | None = None
        self._framed = self._sorted = 0.0
        #: Slots whose sort value changed since they were put in their place.
        self._unsorted: set[int] = set()
        #: Sorting or filtering is under way, in steps; what changes meanwhile waits for its end.
        self._busy = False
        self._to_sort = False
        self._worker: Worker[None] | None = None
        #: The row the cursor is to stand on once it is there.
        self._awaited: str | None = None
        self._cursor_key: str | None = None
        self._asked_sort = sort
        if sort:
            self._arranged.column = self._records.number(sort.removeprefix("-"))
            self._arranged.down = sort.startswith("-")

    # The rows

    def set_rows(self, records: Iterable[Any]) -> None:
        """Show these records; those that are equal to what is there cost nothing."""
        self._records.set_rows(records)
        if self._marks:
            self._unmark_gone(self._marks - self._records.slots.keys())
        if self._timer is None and self.is_running and self._framed + FRAME_S <= time.monotonic():
            # All of it is there, so there is nothing to wait for.
            self.flush()
        self._stir()

    def put(self, key: str, record: Any) -> None:
        """Show a record, new or in the place of the one of that key."""
        self._records.put(key, record)
        self._stir()

    def drop(self, key: str) -> bool:
        """Show a record no longer. False when there is none."""
        found = self._records.remove(key)
        self._unmark_gone({key})
        self._stir()
        return found

    def change(self, key: str, column: str, value: Any) -> bool:
        """Show another value in one cell. False when it has it already. Raises KeyError."""
        changed = self._records.change(key, column, value)
        if changed:
            self._stir()
        return changed

    def name_it(self, title: str) -> None:
        """What stands in the border before the counts."""
        self._label = title
        self.retitle_counts()

    def set_empty(self, text: str) -> None:
        """What to say when there is no row."""
        if text != self._empty:
            self._empty = text
            if not self.shown:
                self.refresh_row(0)

    def tick(self) -> None:
        """Ages: those in sight that have become others are drawn."""
        ages = 0
        for place in self._places:
            ages |= (self.columns[place.index].kind == "age") << place.index
        if ages:
            for y, slot in enumerate(self._in_sight()):
                self._draw_again(y, slot, ages)

    def _place_of(self, slot: int | None) -> int | None:
        try:
            return None if slot is None else self._arranged.shown.index(slot)
        except ValueError:
            return None

    # What changed is taken in

    def _stir(self) -> None:
        if self._timer is None and self._records.stirred and self.is_running:
            self._flush_in(max(0.0, self._framed + FRAME_S - time.monotonic()))

    def _flush_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(max(_SOON_S, seconds), self.flush)

    def flush(self) -> None:
        """Take in what changed and show it now."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        records = self._records
        if self._busy or not (records.stirred or self._unsorted):
            return
        now = time.monotonic()
        self._framed = now
        column = self._arranged.column
        if column is not None:
            bit = 1 << column
            self._unsorted.update(slot for slot, mask in records.changed.items() if mask & bit)
        came_or_went = bool(records.came or records.gone or records.reordered)
        if self._is_new_to_many():
            self._arrange(sort=True)
            return
        due = bool(self._unsorted) and now - self._sorted >= SORT_S
        seen = self._in_sight()
        if self._texts:
            for slot in (*records.changed, *records.came, *records.gone):
                self._texts.pop(slot, None)
        takes = self._takes()
        before = self._arranged.shown
        if takes is not None:
            self._arranged.look_again((*records.changed, *records.came), takes)
        if came_or_went or due:
            moved = self._unsorted if due else set()
            self._arranged.put_in_place(moved | records.came)
            if due:
                self._sorted, self._unsorted = now, set()
        self._take_in(seen, came_or_went or self._arranged.shown is not before)
        if self._unsorted:
            self._flush_in(max(0.0, self._sorted + SORT_S - now))

    def _take_in(self, seen: list[int], moved: bool) -> None:
        """What changed is in its place: draw it, where it is in sight."""
        records = self._records
        changed, came, gone = records.changed, records.came, records.gone
        self._unsorted -= gone
        records.settle()
        if len(came) > len(self._cells):
            self._forget_all()
        for slot in came if self._cells else ():
            self._forget(slot)
        if moved:
            self._show(seen, came)
        places = {slot: y for y, slot in enumerate(self._in_sight())} if changed else {}
        for slot, mask in changed.items():
            y = places.get(slot)
            if y is None:
                self._forget(slot)
            else:
                self._draw_again(y, slot, mask)

    def _is_new_to_many(self) -> bool:
        """Whether what came takes long to put in order."""
        records = self._records
        ordered = self._arranged.column is not None or self._takes() is not None
        return ordered and len(records.came) > _MANY and self.is_running

    def _takes(self) -> Callable[[int], bool] | None:
        """Whether a slot's row is shown; None: all are."""
        wanted, failing = self._filter, self._failing if self._only_failing else None
        if not wanted.text and failing is None:
            return None
        records = self._records

        def takes(slot: int) -> bool:
            if failing is not None and not failing(records.records[slot]):
                return False
            return not wanted.text or wanted.takes(
                self._text(slot), lambda name: self._word(slot, records.number(name) or 0)
            )

        return takes

    def _word(self, slot: int, index: int) -> str:
        cell = self.columns[index].cell(self._records.value(slot, index), time.time())
        return plain(cell)[:LOOKED_AT]

    def _text(self, slot: int) -> str:
        found = self._texts.get(slot)
        if found is None:
            words = (
                self._word(slot, index)
                for index, column in self.chosen.shown()
                if column.kind != "age"
            )
            found = self._texts[slot] = " ".join(words)
        return found

    def _arrange(self, *, sort: bool) -> None:
        """Sort or filter anew: at once, or in steps where there are many rows."""
        # What is cut short by this is done by this.
        self._to_sort = self._to_sort or sort
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None
        self._busy = True
        if self.is_running and len(self._records) > _MANY:
            self._worker = self.run_worker(self._arrange_in_steps, group="arrange")
            return
        seen = self._in_sight()
        for _ in self._steps():
            pass
        self._arrange_done(seen)

    def _steps(self) -> Iterable[None]:
        if not self._filter.text:
            self._texts.clear()
        else:
            for slot in (*self._records.changed, *self._records.came):
                self._texts.pop(slot, None)
        if self._to_sort:
            yield from self._arranged.sort()
        yield from self._arranged.filter(self._takes())

    async def _arrange_in_steps(self) -> None:
        seen = self._in_sight()
        for _ in self._steps():
            await asyncio.sleep(0)
            seen = self._in_sight()
        self._worker = None
        self._arrange_done(seen)

    def _arrange_done(self, seen: list[int]) -> None:
        self._busy = False
        if self._to_sort:
            self._to_sort = False
            self._sorted = time.monotonic()
            self._unsorted.clear()
            self._take_in(seen, True)
        else:
            self._show(seen, ())
            self.flush()
        self.changed()

    def _show(self, seen: list[int], came: Collection[int]) -> None:
        """Other rows are shown, or they stand elsewhere: draw the lines that differ."""
        before, stood, top = self._cursor, self._cursor_key, self.top
        key = stood
        watched = top <= before < top + self.page
        slots = self._records.slots
        if self._awaited in slots:
            key, self._awaited = self._awaited, None
        index = self._place_of(slots.get(key)) if key is not None else None
        if not self._leads and not self.has_focus:
            index = 0
        last = max(0, self.shown - 1)
        self._cursor = min(before, last) if index is None else index
        self._clamp()
        if watched:
            self._follow_cursor()
        if self.top == top:
            now = self._in_sight()
            for y in range(max(len(seen), len(now), 1)):
                old = seen[y] if y < len(seen) else None
                new = now[y] if y < len(now) else None
                if old != new or new in came:
                    self.refresh_row(y)
            if not now:
                self.refresh_row(0)  # which says what nothing matches
            if before != self._cursor:
                self.refresh_row(before - top)
                self.refresh_row(self._cursor - top)
        self.retitle_counts()
        self._note_cursor(stood)

    def _note_cursor(self, before: str | None) -> None:
        shown = self._arranged.shown
        slot = shown[self._cursor] if self._cursor < len(shown) else None
        self._cursor_key = None if slot is None else self._records.keys[slot]
        if self._cursor_key != before:
            self.post_message(self.Moved(self))

    def _clamp(self) -> None:
        top = min(max(0, self.top), max(0, self.shown - self.page))
        if top != self.top:
            self.top = top
            self.refresh()

    def changed(self) -> None:
        """Sorted or filtered otherwise."""

    def retitle_counts(self) -> None:
        """What the border says of the rows."""
