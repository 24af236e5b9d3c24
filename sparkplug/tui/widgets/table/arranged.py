"""The rows of a table in their order, and those of them that are shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from sparkplug.tui.widgets.table.records import Records, SortKey

#: Rows that are sorted, and that are filtered, between two looks at what else there is to do.
_SORTED = 12_500
_FILTERED = 2_000


class Arranged:
    """Slots of `Records` in order.

    Sorted by a column rows with equal values stand in the order of their keys, and rows without
    a value come last, whichever way it is sorted. Not sorted, rows stand as they were given.

    What takes long comes as an iterator of steps. A list is sorted in C, where no other thread
    gets a turn: only what is cut into pieces leaves the screen its share.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.column: int | None = None
        self.down = False
        self._order: list[int] = []
        #: Which slots pass the filter; None: all.
        self._passes: bytearray | None = None
        self.shown: list[int] = []

    def sort(self) -> Iterator[None]:
        """Put all rows in order, in steps; they are shown so once they are filtered."""
        records = self._records
        if self.column is None:
            self._order = list(records.slots.values())
        else:
            yield from records.read_sorts(self.column)
            keys, version = records.sorts(self.column), records.version
            late: set[int] = set()
            by: Callable[[int], Any] = keys.__getitem__
            slots = [slot for slot in records.by_key() if keys[slot] is not None]
            yield
            for start in range(0, len(slots) - _SORTED, _SORTED):
                piece = slots[start : start + _SORTED]
                piece.sort(key=by, reverse=self.down)
                slots[start : start + _SORTED] = piece
                yield
            # Pieces that are in order are merged. From here on nothing else has a turn, so that
            # it is all of what there is now that is in order.
            nothing = [slot for slot in records.by_key() if keys[slot] is None]
            if records.version != version:
                there = set(records.slots.values())
                slots = [slot for slot in slots if slot in there and keys[slot] is not None]
                late = there.difference(slots, nothing)
            slots.sort(key=by, reverse=self.down)
            self._order = slots + nothing
            if late:
                self._insert(late)

    def put_in_place(self, slots: Collection[int]) -> None:
        """Put rows where they belong: those that came or whose values changed. The gone go."""
        records = self._records
        if self.column is None or not self._order or len(slots) > len(records) // 8:
            for _ in self.sort():
                pass
        else:
            there = records.slots
            self._insert({slot for slot in slots if there.get(records.keys[slot]) == slot})
        self._show()

    def _insert(self, slots: Collection[int]) -> None:
        assert self.column is not None
        records, moved = self._records, set(slots)
        out = moved | records.gone
        order = [slot for slot in self._order if slot not in out] if out else self._order
        keys = records.sorts(self.column)
        by: Callable[[int], Any] = keys.__getitem__
        inserted = sorted(moved, key=records.keys.__getitem__)
        nothing = [slot for slot in inserted if keys[slot] is None]
        inserted = [slot for slot in inserted if keys[slot] is not None]
        inserted.sort(key=by, reverse=self.down)
        found: list[int] = []
        start = 0
        for slot in (*inserted, *nothing):
            place = self._place(slot, order, keys)
            found += order[start:place]
            found.append(slot)
            start = place
        self._order = found + order[start:]

    def _place(self, slot: int, order: list[int], keys: list[SortKey]) -> int:
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if self._before(order[middle], slot, keys):
                low = middle + 1
            else:
                high = middle
        return low

    def _before(self, one: int, other: int, keys: list[SortKey]) -> bool:
        mine, its = keys[one], keys[other]
        if mine == its:
            return self._records.keys[one] < self._records.keys[other]
        if mine is None or its is None:
            return its is None
        return (mine < its) is not self.down  # type: ignore[operator]

    def filter(self, takes: Callable[[int], bool] | None) -> Iterator[None]:
        """Show those rows that `takes` takes, in steps; None: all."""
        if takes is None:
            self._passes = None
            self._show()
            return
        keys = self._records.keys
        passes = bytearray(len(keys))
        for start in range(0, len(passes), _FILTERED):
            there = self._records.slots
            for slot in range(start, min(len(passes), start + _FILTERED)):
                passes[slot] = there.get(keys[slot]) == slot and takes(slot)
            yield
        self._passes = passes
        self.look_again((*self._records.changed, *self._records.came), takes)
        self._show()

    def look_again(self, slots: Iterable[int], takes: Callable[[int], bool]) -> None:
        """Filter these rows again."""
        passes = self._passes
        if passes is None:
            return
        passes.extend(bytes(len(self._records.keys) - len(passes)))
        different = False
        for slot in slots:
            taken = takes(slot)
            different = different or taken != passes[slot]
            passes[slot] = taken
        if different:
            self._show()

    def _show(self) -> None:
        passes = self._passes
        if passes is None:
            self.shown = self._order
        else:
            count = len(passes)
            self.shown = [slot for slot in self._order if slot < count and passes[slot]]
