"""Small pictures, cell by cell; and that what is kept from before is what would be drawn anew."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sparkplug.tui.glyphs import to_ascii
from sparkplug.tui.widgets.plot.picture import (
    BLANK,
    LIMIT,
    Frame,
    Limit,
    Picture,
    Series,
    changes,
)
from sparkplug.tui.widgets.plot.record import Record

LINE = Series("a", "a", "a")


def record_of(*values: float | None, key: str = "a", joins: float = 1.5) -> Record:
    """One sample a second, from the middle of the first second on."""
    record = Record(joins=joins)
    for n, value in enumerate(values):
        record.add(n + 0.5, {key: value})
    return record


def rows(picture: Picture) -> list[str]:
    """The picture as text, from the top down."""
    columns = [[character for character, _ in column] for column in picture.columns]
    return ["".join(cells) for cells in zip(*columns, strict=True)]


def drawn(record: Record, frame: Frame, *series: Series, limits: tuple[Limit, ...] = ()) -> Picture:
    picture = Picture()
    picture.draw(record, series or (LINE,), limits, frame)
    return picture


# Eight dots wide, eight tall, a second each.
SMALL = Frame(4, 2, span=8.0, ends=(0.0, 7.0))


@pytest.mark.parametrize(
    ("values", "picture"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7), ["  ⡠⠊", "⡠⠊  "]),
        ((7, 7, 7, 7, 0, 0, 0, 0), ["⠉⠉⡆ ", "  ⣇⣀"]),
        ((7, None, 7, 7, None, None, 0, 0), ["⠁⠉  ", "   ⣀"]),
        ((0, float("nan"), float("inf"), 3, -99, 99, 1e300, 0), ["  ⢸⢱", "⡀⠈⡾⢸"]),
        ((3,), ["    ", "   ⠁"]),
        ((None,) * 8, ["    ", "    "]),
    ],
)
def test_a_line(values: tuple[float | None, ...], picture: list[str]) -> None:
    found = rows(drawn(record_of(*values), SMALL))
    assert found == picture, found


def test_a_filled_line() -> None:
    found = rows(drawn(record_of(0, 1, 2, 3, 4, 5, 6, 7), SMALL, replace(LINE, fill=True)))
    assert found == ["  ⣠⣾", "⣠⣾⣿⣿"], found


def test_ascii() -> None:
    frame = Frame(8, 4, span=8.0, ends=(0.0, 3.0), ascii=True)
    found = rows(drawn(record_of(0, 0, 3, 3, None, 1, 2, 2), frame))
    assert found == ["  aa    ", "  a   aa", "  a  a  ", "aa      "], found
    found = rows(drawn(record_of(0, 0, 3, 3, None, 1, 2, 2), frame, replace(LINE, fill=True)))
    assert found == ["  aa    ", "  a:  aa", "  a: a::", "aa:: :::"], found


def test_a_limit_lies_under_the_line() -> None:
    picture = drawn(record_of(0, 0, 7, 7, 7, 7, 7), SMALL, limits=(Limit(6, "cap"),))
    assert rows(picture)[0] == "┄⡏⠉⠁"
    assert rows(drawn(record_of(0, 0), SMALL, limits=(Limit(6, "cap"), Limit(99, "far"))))[0] == (
        "┄┄┄┄"
    )
    assert picture.columns[0][0] == ("┄", LIMIT)


def test_every_line_has_its_pen_and_without_colour_its_mark() -> None:
    record = Record()
    for n in range(60):
        record.add(n + 0.5, {"a": 1.0, "b": 6.0})
    both = (LINE, Series("b", "b", "b"))
    picture = drawn(record, Frame(30, 2, span=60.0, ends=(0.0, 7.0)), *both)
    assert {cell[1] for cell in (column[0] for column in picture.columns)} == {1}
    assert {cell[1] for cell in (column[1] for column in picture.columns)} == {0}
    marked = rows(drawn(record, Frame(30, 2, span=60.0, ends=(0.0, 7.0), marks=True), *both))
    assert marked[0].count("b") >= 2
    assert marked[1].count("a") >= 2
    assert not {"a", "b"} & set("".join(rows(picture)))


def test_scales_follow_the_values_and_stay_while_they_suit() -> None:
    frame = Frame(20, 5, span=40.0, ends=(0.0, None))
    record, picture = record_of(30, 40), Picture()
    picture.draw(record, (LINE,), (), frame)
    assert (picture.low, picture.high) == (0.0, 40.0)
    record.add(2.5, {"a": 90})
    picture.draw(record, (LINE,), (), frame)
    assert (picture.low, picture.high) == (0.0, 100.0)
    for n in range(3, 60):
        record.add(n + 0.5, {"a": 60})
        picture.draw(record, (LINE,), (), frame)
    assert (picture.low, picture.high) == (0.0, 100.0)
    for n in range(60, 120):
        record.add(n + 0.5, {"a": 3})
        picture.draw(record, (LINE,), (), frame)
    assert picture.high <= 5
    below = drawn(record_of(-40, -10), Frame(20, 5, span=40.0, ends=(None, None)))
    assert below.low <= -40
    assert below.high >= -10


@pytest.mark.parametrize("seed", range(12))
def test_what_is_kept_is_what_would_be_drawn_anew(seed: int) -> None:
    chance = random.Random(seed)
    frame = Frame(
        chance.randint(1, 40),
        chance.randint(1, 9),
        span=chance.choice((10.0, 37.0, 120.0, 1000.0)),
        jump=chance.choice((1, 1, 5)),
        ends=chance.choice(((0.0, 100.0), (-5.0, 50.0))),
        ascii=chance.random() < 0.3,
        marks=chance.random() < 0.5,
    )
    keys = [chr(97 + n) for n in range(chance.randint(1, 6))]
    series = tuple(Series(key, key, key, fill=chance.random() < 0.2) for key in keys)
    limits = (Limit(40, "cap"),)
    record, kept = Record(keep=300, joins=6.0), Picture()
    time = 1.7e9
    for _ in range(400):
        time += chance.choice((0.1, 1.0, 1.0, 1.0, 1.0, 4.0, 60.0))
        if chance.random() < 0.01:
            time -= 30
        values = {k: None if chance.random() < 0.1 else chance.uniform(-20, 130) for k in keys}
        record.add(time, values)
        if chance.random() < 0.7:
            kept.draw(record, series, limits, frame)
            anew = Picture()
            anew.draw(record, series, limits, frame)
            assert kept.columns == anew.columns
            assert len(kept.columns) == frame.width
            assert {len(column) for column in kept.columns} == {frame.height}
            assert to_ascii("".join(rows(kept))).isascii()


def test_a_new_sample_changes_few_cells() -> None:
    record, picture = Record(), Picture()
    frame = Frame(60, 8, span=120.0, jump=6, ends=(0.0, 100.0))
    chance = random.Random(1)
    counts = []
    for n in range(400):
        record.add(n + 0.5, {"a": chance.uniform(0, 100)})
        before = picture.columns
        picture.draw(record, (LINE,), (), frame)
        if n > 200:
            spans = changes(before, picture.columns).values()
            counts.append(sum(last - first for first, last in spans))
    # It moves on by six cells once in twelve seconds; else one column changes.
    assert sum(count > 8 for count in counts) <= len(counts) // 12 + 1
    assert all(counts)


def test_nothing_to_draw_and_no_room() -> None:
    picture = drawn(Record(), SMALL)
    assert rows(picture) == ["    ", "    "]
    assert picture.columns[0][0][1] == BLANK
    for width, height in ((0, 5), (5, 0), (0, 0), (1, 1)):
        found = drawn(record_of(1, 2, 3), Frame(width, height, span=8.0))
        assert len(found.columns) == width
    one = drawn(record_of(5), Frame(10, 3, span=None))
    assert one.low <= 5 <= one.high
