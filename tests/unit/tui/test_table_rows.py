"""The rows of a table against a plain model of them: any changes, in any order."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import pytest

from sparkplug.tui.filter import Filter
from sparkplug.tui.widgets.table import Column, Table
from sparkplug.tui.widgets.table import taking as module
from sparkplug.tui.widgets.table.natural import natural

NAMES = ["gpu-2", "gpu-10", "Gpu-3", "a", "", "日本", "x\x1b[2Jy", "a\nb", "007", "7", "z" * 300]


@dataclass(frozen=True)
class Record:
    key: str
    name: str | None
    count: float | None
    group: str


COLUMNS = [
    Column("name", 8, attrgetter("name"), grows=True),
    Column("count", 6, attrgetter("count"), kind="number"),
    Column("group", 4, attrgetter("group"), rank=1),
]


def record(chance: random.Random, key: str) -> Record:
    name = chance.choice([None, *NAMES])
    count = chance.choice([None, 0, 1, 2.5, -3, 1e9, float("nan")])
    return Record(key, name, count, chance.choice("ab"))


class Model:
    """What a table should show."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.sort: tuple[str, bool] | None = None
        self.filter = ""
        self.marks: set[str] = set()

    def put(self, made: Record) -> None:
        self.rows[made.key] = vars(made) | {}

    def ordered(self) -> list[str]:
        if self.sort is None:
            return list(self.rows)
        name, down = self.sort
        have, lack = [], []
        for key in sorted(self.rows):
            value = self.rows[key][name]
            (lack if value is None or value != value else have).append(key)

        def by(key: str) -> Any:
            value = self.rows[key][name]
            return value if name == "count" else slow_natural(value)

        return sorted(have, key=by, reverse=down) + lack

    def shown(self) -> list[str]:
        found = self.ordered()
        if not self.filter:
            return found
        # Only the group has capitals of its own, so that what is searched is easily told.
        return [key for key in found if self.filter == f"group:{self.rows[key]['group']}"]


def slow_natural(text: str) -> str:
    from sparkplug.tui.cells import clean

    return re.sub("[0-9]+", lambda found: found[0].zfill(20), clean(text).casefold())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("many", [False, True])
def test_any_changes_leave_what_a_plain_table_has(
    seed: int, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SORT_S", 0.0)
    chance = random.Random(seed)
    table, model = Table(COLUMNS, key=attrgetter("key")), Model()
    count = 400 if many else 12

    def some() -> str:
        return f"k{chance.randrange(count)}"

    def put() -> None:
        made = record(chance, some())
        table.put(made.key, made)
        model.put(made)

    def remove() -> None:
        key = some()
        assert table.drop(key) is (model.rows.pop(key, None) is not None)
        model.marks.discard(key)

    def change() -> None:
        key, name = some(), chance.choice(["name", "count", "group"])
        value = getattr(record(chance, key), name)
        if key in model.rows:
            table.change(key, name, value)
            model.rows[key][name] = value
        else:
            with pytest.raises(KeyError):
                table.change(key, name, value)

    def set_rows() -> None:
        keys = list(model.rows)
        chance.shuffle(keys)
        made = [record(chance, key) for key in {*keys[: len(keys) // 2 * 2], some()}]
        table.set_rows(made)
        model.rows = {}
        for one in made:
            model.put(one)
        model.marks &= model.rows.keys()

    def sort() -> None:
        name = chance.choice([None, "name", "count", "group"])
        model.sort = None if name is None else (name, chance.random() < 0.5)
        table.sort(name, down=model.sort[1] if model.sort else False)

    def wanted() -> None:
        model.filter = chance.choice(["", "group:a", "group:b", "group:c"])
        table.wanted = Filter(model.filter)

    def mark() -> None:
        key = some()
        table.flush()
        if key in model.rows:
            table.toggle(key)
            model.marks ^= {key}

    def move() -> None:
        table.flush()
        table._move_to(chance.randrange(-2, count + 2))

    acts = [put] * 6 + [remove, change, change, change, set_rows, sort, wanted, mark, move]
    for number in range(400):
        before = table._cursor_key
        act = chance.choice(acts)
        act()
        if chance.random() < 0.5:
            table.flush()
            shown = model.shown()
            have = [table.at_key(index) for index in range(table.shown)]
            assert have == shown, f"{act.__name__}, step {number}"
            assert table.total == len(model.rows)
            assert {row.key for row in table.marked} == model.marks
            if before in shown and act is not move:
                assert table.row is not None
                assert table.row.key == before, "the cursor stays on its row"
            if shown:
                assert table.row is not None
                assert table.row.key == table._cursor_key == shown[table._cursor]
            else:
                assert table.row is None


def test_texts_sort_as_people_expect() -> None:
    texts = ["gpu-10", "gpu-2", "GPU-1", "b", "a\nb", "a", "", "9", "10", "٣"]
    keys = dict(zip(texts, natural(texts), strict=True))
    found = sorted(texts, key=keys.__getitem__)
    assert found == ["", "9", "10", "a", "a\nb", "b", "GPU-1", "gpu-2", "gpu-10", "٣"]
    assert [natural([text])[0] for text in texts] == list(keys.values())
    assert natural([]) == []


def test_an_equal_record_costs_nothing() -> None:
    table = Table(COLUMNS, key=attrgetter("key"))
    rows = [Record(f"k{n}", "x", n, "a") for n in range(5)]
    table.set_rows(rows)
    table.flush()
    asked: list[int] = []
    table._records.columns = tuple(
        Column(c.name, c.width, lambda r, c=c: asked.append(1) or c.value(r)) for c in COLUMNS
    )
    table.set_rows([Record(f"k{n}", "x", n, "a") for n in range(5)])
    assert not table._records.stirred
    assert asked == []
    table.set_rows([*rows[:4], Record("k4", "x", 9, "a")])
    assert asked
    assert table._records.changed == {table._records.slots["k4"]: 0b010}


def test_ages_numbers_and_what_is_none() -> None:
    from datetime import UTC, datetime

    age = Column("age", 4, itself, kind="age")
    moment = datetime.fromtimestamp(1000, UTC)
    assert age.cell(moment, 1125.0) == (("text", "2m"),)
    assert age.cell(None, 0.0) == (("dim", "—"),)
    assert Column("b", 4, itself, kind="bytes").cell(61 << 30, 0.0) == (("text", "61G"),)
    assert Column("p", 4, itself, kind="percent").cell(93.4, 0.0) == (("text", "93%"),)
    assert Column("s", 4, itself, kind="seconds").cell(125, 0.0) == (("text", "2m05s"),)
    assert Column("n", 4, itself, kind="number").cell(float("inf"), 0.0) == (("text", "inf"),)
    assert age.sort_value("yesterday") is None


def itself(value: Any) -> Any:
    return value


def test_what_went_is_not_asked_for_its_place_in_the_order() -> None:
    table = Table(
        [
            Column("pair", 8, lambda r: (r.name, r.group), order=lambda value: value[0]),
            Column("count", 6, attrgetter("count"), kind="number"),
        ],
        key=attrgetter("key"),
    )
    rows = [Record(str(n), f"row {n}", n, "a") for n in range(5)]
    table.set_rows(rows)
    table.set_rows([rows[0], rows[3]])
    table.flush()
    table.sort("pair", down=True)
    table.flush()
    assert [table.at(index).key for index in range(table.shown)] == ["3", "0"]
