"""Samples, and the columns they are brought into: no peak is lost, gaps stay gaps."""

from __future__ import annotations

import math
import random

from sparkplug.tui.widgets.plot.columns import bounds, column_of, extents
from sparkplug.tui.widgets.plot.record import BLOCK, Record


def test_extremes_of_random_tracks_are_those_of_their_values() -> None:
    chance = random.Random(5)
    for _ in range(60):
        record = Record(keep=chance.randint(64, 900))
        for n in range(chance.randint(1, 1500)):
            value = None if chance.random() < 0.2 else chance.uniform(-1e9, 1e9)
            record.add(float(n), {"a": value})
        values = record.tracks["a"].values
        assert len(values) == len(record.times)
        for _ in range(30):
            first, last = sorted(chance.randint(0, len(values)) for _ in range(2))
            known = [v for v in values[first:last] if v == v]
            expected = (min(known), max(known)) if known else None
            assert record.tracks["a"].extremes(first, last) == expected


def test_what_is_kept_are_the_newest_samples() -> None:
    record = Record(keep=100)
    for n in range(1000):
        record.add(float(n), {"a": float(n)})
        assert len(record) <= 125 + BLOCK
    assert record.newest == 999.0
    assert len(record) >= 100
    assert [record.value("a", i) for i in range(len(record))] == list(record.times)


def test_what_is_no_number_is_missing_and_what_is_huge_is_cut() -> None:
    record = Record()
    for n, value in enumerate((math.nan, math.inf, -math.inf, None, 1e308, -1e308, 5)):
        record.add(float(n), {"a": value})
    record.add(math.nan, {"a": 1.0})
    found = [record.value("a", i) for i in range(len(record))]
    assert found == [None, None, None, None, 1e300, -1e300, 5.0]
    assert record.value("b", 0) is None


def test_a_series_that_comes_later_was_missing_before() -> None:
    record = Record()
    for n in range(BLOCK + 3):
        record.add(float(n), {"a": 1.0})
    record.add(100.0, {"b": 2.0})
    assert record.value("a", -1) is None
    assert record.value("b", -1) == 2.0
    assert record.value("b", 0) is None
    assert record.tracks["b"].extremes(0, len(record)) == (2.0, 2.0)


def test_a_clock_set_back_overtakes_what_was() -> None:
    record = Record()
    for time in (1.0, 2.0, 3.0, 4.0):
        record.add(time, {"a": time})
    before = record.epoch
    record.add(2.5, {"a": 9.0})
    assert list(record.times) == [1.0, 2.0, 2.5]
    assert record.epoch != before
    record.add(2.5, {"a": 8.0})
    assert list(record.tracks["a"].values) == [1.0, 2.0, 8.0]


def test_the_nearest_sample() -> None:
    record = Record()
    record.load([1.0, 2.0, 4.0], {"a": [1, 2, 3]})
    assert [record.nearest(t) for t in (-5, 1.4, 1.6, 2.9, 3.1, 99)] == [0, 0, 1, 1, 2, 2]


def test_no_peak_is_lost_however_many_samples_share_a_column() -> None:
    chance = random.Random(11)
    for _ in range(40):
        record = Record(keep=5000)
        time = 1.7e9
        for _ in range(chance.randint(1, 3000)):
            time += chance.choice((0.2, 1.0, 1.0, 1.0, 7.0))
            record.add(time, {"a": chance.gauss(0, 1) if chance.random() < 0.95 else None})
        step = chance.uniform(0.3, 90)
        first, last = column_of(record.times[0], step), column_of(time, step) + 1
        found = extents(record, record.tracks["a"], step, first, bounds(record, step, first, last))
        assert len(found) == last - first
        known = [v for v in record.tracks["a"].values if v == v]
        drawn = [extent for extent in found if extent]
        if known:
            assert min(extent[0] for extent in drawn) == min(known)
            assert max(extent[1] for extent in drawn) == max(known)
        for value, at in zip(record.tracks["a"].values, record.times, strict=True):
            if value == value:
                extent = found[column_of(at, step) - first]
                assert extent is not None
                assert extent[0] <= value <= extent[1]


def test_samples_far_apart_are_not_joined() -> None:
    record = Record(joins=3.0)
    record.load([0.5, 2.5, 8.5, 9.5, 10.5], {"a": [0.0, 2.0, 8.0, None, 10.0]})
    found = extents(record, record.tracks["a"], 1.0, 0, bounds(record, 1.0, 0, 11))
    assert [extent and extent[:2] for extent in found] == [
        (0.0, 0.0),
        (1.0, 1.0),
        (2.0, 2.0),
        *[None] * 5,
        (8.0, 8.0),
        None,
        (10.0, 10.0),
    ]
    assert [extent[2] for extent in found[1:3] if extent] == [0.0, 1.0]
