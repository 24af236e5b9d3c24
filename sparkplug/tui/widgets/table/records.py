"""The rows of a table: by key, each in a slot of its own, with what changed since it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sparkplug.tui.widgets.table.columns import Column
from sparkplug.tui.widgets.table.natural import natural

#: What a sorted column holds of a row: None comes last.
SortKey = float | int | str | None
_STEP = 20_000


class Records:
    """Rows in slots. A slot stays a row's own until `settle` after the row has gone.

    Values are taken out of the records when they are asked for: 100,000 rows cost a list of
    keys, one of records, and the index, and nothing for a column nobody looks at. The sort
    values of a column that was sorted by are kept.
    """

    def __init__(self, columns: Sequence[Column], key: Callable[[Any], str]) -> None:
        self.columns = tuple(columns)
        self._key = key
        self._number = {column.name: index for index, column in enumerate(self.columns)}
        self.keys: list[str] = []
        self.records: list[Any] = []
        self.slots: dict[str, int] = {}
        #: Cells that were changed by themselves, by column and slot.
        self._own: list[dict[int, Any]] = [{} for _ in self.columns]
        #: Sort values by column and slot, of columns that were sorted by.
        self._sorts: list[list[SortKey] | None] = [None] * len(self.columns)
        self._free: list[int] = []
        #: Slots whose values changed, each with a bit for every column that did.
        self.changed: dict[int, int] = {}
        #: Slots of rows that came and went.
        self.came: set[int] = set()
        self.gone: set[int] = set()
        #: The order the rows were given in, which is that of `slots`, is another.
        self.reordered = False
        #: Slots are in that order, and all of them are taken.
        self._straight = False
        #: Another with every row that comes or goes, and every value that is sorted by.
        self.version = 0
        #: Slots in the order of their keys, until rows come or go.
        self._by_key: list[int] | None = None

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def stirred(self) -> bool:
        """Whether anything changed since `settle`."""
        return bool(self.changed or self.came or self.gone or self.reordered)

    # What changes

    def set_rows(self, records: Iterable[Any]) -> None:
        """These rows and no others, in this order. One that is equal to what it was is left."""
        records = list(records)
        if self._straight and self._put_others(records):
            return
        keys = list(map(self._key, records))
        if not self.slots and not self.keys:
            self.slots = dict(zip(keys, range(len(keys)), strict=True))
            if len(self.slots) == len(keys):
                self.keys, self.records = keys, records
                self.came = set(range(len(keys)))
                self._by_key, self._sorts = None, [None] * len(self.columns)
                self.reordered = self._straight = True
                return
            self.slots = {}
        slots = self.slots
        before = list(slots.values())
        for key, record in zip(keys, records, strict=True):
            slot = slots.get(key)
            if slot is None or self.records[slot] is not record:
                self.put(key, record)
        if len(slots) != len(set(keys)):
            kept = set(keys)
            for key in [key for key in slots if key not in kept]:
                self.remove(key)
        given = [slots[key] for key in dict.fromkeys(keys)]
        if given != before:
            self.slots = {self.keys[slot]: slot for slot in given}
            self.reordered = True
        self._straight = given == list(range(len(self.keys)))

    def _put_others(self, records: list[Any]) -> bool:
        """Put those that are other records, where the rows are those there are; else False.

        This is what a list costs of which little has changed, so it asks for no keys but theirs.
        """
        if len(records) != len(self.records):
            return False
        others = [
            (slot, record)
            for slot, (record, before) in enumerate(zip(records, self.records, strict=True))
            if record is not before
        ]
        keys = self.keys
        if any(self._key(record) != keys[slot] for slot, record in others):
            return False
        for slot, record in others:
            self.put(keys[slot], record)
        return True

    def put(self, key: str, record: Any) -> None:
        """A row, new or in the place of the one that has the key."""
        slot = self.slots.get(key)
        if slot is None:
            self._add(key, record)
            return
        old = self.records[slot]
        if _alike(old, record):
            self.records[slot] = record
            self._reset(slot)
            return
        own = [cells.pop(slot, _NONE) if cells else _NONE for cells in self._own]
        self.records[slot] = record
        mask = 0
        for index, column in enumerate(self.columns):
            value = column.value(record)
            before = own[index] if own[index] is not _NONE else column.value(old)
            if before is not value and before != value:
                mask |= 1 << index
                self._sort_again(slot, index, value)
        # The record itself is another, which is what one goes into.
        if mask:
            self.changed[slot] = self.changed.get(slot, 0) | mask

    def _reset(self, slot: int) -> None:
        """Cells that were changed by themselves are as the record has them again."""
        for index, cells in enumerate(self._own):
            if slot in cells:
                value = self.columns[index].value(self.records[slot])
                del cells[slot]
                self._sort_again(slot, index, value)
                self.changed[slot] = self.changed.get(slot, 0) | 1 << index

    def _add(self, key: str, record: Any) -> None:
        if self._free:
            slot = self._free.pop()
            self.keys[slot], self.records[slot] = key, record
        else:
            slot = len(self.keys)
            self.keys.append(key)
            self.records.append(record)
        self.slots[key] = slot
        self._straight = False
        self.came.add(slot)
        self._by_key = None
        self.version += 1
        for index, sorts in enumerate(self._sorts):
            if sorts is not None:
                sorts.extend([None] * (len(self.keys) - len(sorts)))
                sorts[slot] = self._sort_key(index, self.columns[index].value(record))

    def remove(self, key: str) -> bool:
        """Take a row away. False when there is none."""
        slot = self.slots.pop(key, None)
        if slot is None:
            return False
        self._straight = False
        self.changed.pop(slot, None)
        self._by_key = None
        self.version += 1
        self.came.discard(slot)
        self.gone.add(slot)
        return True

    def change(self, key: str, name: str, value: Any) -> bool:
        """Another value in one cell, until its record is put anew. False when it has it already.

        Raises KeyError when there is no such row or column.
        """
        slot, index = self.slots[key], self._number[name]
        before = self.value(slot, index)
        if before is value or before == value:
            return False
        self._own[index][slot] = value
        self._sort_again(slot, index, value)
        self.changed[slot] = self.changed.get(slot, 0) | 1 << index
        return True

    def settle(self) -> None:
        """What changed was taken in: slots of rows that went are free."""
        for slot in self.gone:
            self.records[slot] = None
            self.keys[slot] = ""
            for cells in self._own:
                cells.pop(slot, None)
        self._free += self.gone
        self.changed, self.came, self.gone = {}, set(), set()
        self.reordered = False

    # What there is

    def number(self, name: str) -> int | None:
        """Which column has a name."""
        return self._number.get(name)

    def value(self, slot: int, index: int) -> Any:
        """What a row has in a column."""
        cells = self._own[index]
        if cells and slot in cells:
            return cells[slot]
        return self.columns[index].value(self.records[slot])

    def by_key(self) -> list[int]:
        """All slots in the order of their keys."""
        if self._by_key is None:
            self._by_key = [self.slots[key] for key in sorted(self.slots)]
        return self._by_key

    # What is sorted by

    def sorts(self, index: int) -> list[SortKey]:
        """The sort values of a column that `read_sorts` has read."""
        found = self._sorts[index]
        assert found is not None
        return found

    def read_sorts(self, index: int) -> Iterable[None]:
        """Read the sort values of a column, in steps between which others can do something."""
        if self._sorts[index] is not None:
            return
        column = self.columns[index]
        found: list[SortKey] = []
        while len(found) < len(self.keys):
            slots = range(len(found), min(len(self.keys), len(found) + _STEP))
            if self._free or self._own[index]:
                # A slot without a row has no record to take a value out of.
                free = set(self._free)
                values = [self.value(slot, index) for slot in slots if slot not in free]
                keys = iter(_as_keys(column.sort_values(values)))
                found += [None if slot in free else next(keys) for slot in slots]
            else:
                values = list(map(column.value, self.records[slots.start : slots.stop]))
                found += _as_keys(column.sort_values(values))
            yield
        self._sorts[index] = found
        # What changed on the way.
        for slot in {*self.changed, *self.came}:
            found[slot] = self._sort_key(index, self.value(slot, index))

    def _sort_key(self, index: int, value: Any) -> SortKey:
        return _as_keys([self.columns[index].sort_value(value)])[0]

    def _sort_again(self, slot: int, index: int, value: Any) -> None:
        sorts = self._sorts[index]
        if sorts is not None:
            sorts[slot] = self._sort_key(index, value)
            self.version += 1


_NONE = object()


def _alike(old: Any, record: Any) -> bool:
    """Whether two records say the same.

    Those of most kinds keep what they say in a dictionary. Where these differ the columns are
    compared anyhow, and it need not be asked of a model, which takes as long as all of them.
    """
    if old is record:
        return True
    if type(old) is type(record):
        one, other = getattr(old, "__dict__", None), getattr(record, "__dict__", None)
        if one and other:
            return bool(one == other)
    return bool(old == record)


def _as_keys(values: list[Any]) -> list[SortKey]:
    """Sort values, the texts among them as they sort naturally."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        return values
    if len(texts) == len(values):
        return list(natural(texts))
    keys = iter(natural(texts))
    return [next(keys) if isinstance(value, str) else value for value in values]
