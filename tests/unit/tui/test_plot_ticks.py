"""Marks of axes: round, in order, told apart, and where they should be."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from sparkplug.tui.units import (
    BYTES,
    BYTES_PER_SECOND,
    CELSIUS,
    NUMBER,
    PERCENT,
    SECONDS,
    TOKENS_PER_SECOND,
    WATTS,
    Unit,
)
from sparkplug.tui.widgets.plot.ticks import nice_range, nice_step, ticks, time_labels

UNITS = [BYTES, BYTES_PER_SECOND, CELSIUS, NUMBER, PERCENT, SECONDS, TOKENS_PER_SECOND, WATTS]


def test_random_ranges_have_round_marks_that_cover_them() -> None:
    chance = random.Random(7)
    for _ in range(4000):
        size = 10.0 ** chance.uniform(-9, 290)
        one, other = chance.uniform(-size, size), chance.uniform(-size, size)
        if chance.random() < 0.2:
            other = one
        low, high = sorted((one, other))
        unit, most = chance.choice(UNITS), chance.randint(2, 12)
        bottom, top = nice_range(low, high, most, binary=unit.binary)
        assert bottom <= low + abs(bottom) * 1e-9
        assert top >= high - abs(top) * 1e-9
        assert bottom < top
        found, step = ticks(bottom, top, most, binary=unit.binary)
        assert 1 <= len(found) <= most
        if not (unit.binary and step >= 1):
            assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 2.5, 5)
        else:
            assert math.log2(step) == int(math.log2(step))
        slack = 1e-5 * step
        for before, after in itertools.pairwise(found):
            assert math.isclose(after - before, step, rel_tol=1e-6)
        assert all(bottom - slack <= mark <= top + slack for mark in found)
        labels = unit.labels(found, step)
        assert len(set(labels)) == len(labels), (labels, found)
        assert max(map(len, labels)) <= 14, labels


@pytest.mark.parametrize(
    ("low", "high", "most", "unit", "labels"),
    [
        (0, 100, 5, PERCENT, ["0%", "25%", "50%", "75%", "100%"]),
        (0, 100, 3, PERCENT, ["0%", "50%", "100%"]),
        (0, 80 * 2**30, 6, BYTES, ["0", "16G", "32G", "48G", "64G", "80G"]),
        (0, 1.5 * 2**20, 4, BYTES_PER_SECOND, ["0/s", "0.5M/s", "1.0M/s", "1.5M/s"]),
        (0, 700, 4, WATTS, ["0W", "250W", "500W"]),
        (-20, 20, 3, CELSIUS, ["-20°", "0°", "20°"]),
        (0, 5000, 3, TOKENS_PER_SECOND, ["0", "2.5k", "5.0k"]),
        (0, 0.1, 3, SECONDS, ["0s", "0.05s", "0.10s"]),
    ],
)
def test_marks_with_their_units(
    low: float, high: float, most: int, unit: Unit, labels: list[str]
) -> None:
    found, step = ticks(low, high, most, binary=unit.binary)
    assert unit.labels(found, step) == labels


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (PERCENT, 93.4, "93%"),
        (PERCENT, None, "n/s"),
        (PERCENT, math.nan, "n/s"),
        (WATTS, 612.3, "612W"),
        (BYTES, 61 * 2**30, "61G"),
        (BYTES_PER_SECOND, 1536, "1.5K/s"),
        (TOKENS_PER_SECOND, 1234, "1.2k tokens/s"),
        (TOKENS_PER_SECOND, 999.9, "1.0k tokens/s"),
        (TOKENS_PER_SECOND, 0, "0 tokens/s"),
        (NUMBER, 4.25, "4.2"),
        (NUMBER, -0.0, "0"),
        (NUMBER, 1e300, "1.0e+300"),
        (SECONDS, 0.00001, "1.0e-05s"),
        (SECONDS, 0.0123, "0.012s"),
    ],
)
def test_values_are_told_in_three_figures(unit: Unit, value: float | None, text: str) -> None:
    assert unit.text(value) == text


def test_steps_of_what_is_no_size() -> None:
    assert nice_step(0.0) > 0
    assert nice_step(math.inf) > 0
    assert nice_step(24) == 25
    assert nice_step(25) == 25
    assert nice_step(600, binary=True) == 1024


def test_times_fit_and_do_not_touch() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        cells = chance.randint(1, 200)
        span = 10.0 ** chance.uniform(0.5, 8)
        end = 1.7e9 + chance.uniform(0, 1e7)
        clock = chance.random() < 0.5
        found = time_labels(end - span, end, cells, clock=clock)
        at = 0
        for x, label in found:
            assert x >= at
            at = x + len(label) + 1
            assert at - 1 <= cells or cells < len(label)
        if not clock and cells > 12:
            assert found[-1][1] == "now"
        assert len({label for _, label in found}) == len(found) or span > 86400 or clock


def test_ages_are_round() -> None:
    found = time_labels(1.7e9 - 120, 1.7e9, 60, clock=False)
    assert [label for _, label in found] == [
        "-120s",
        "-105s",
        "-90s",
        "-75s",
        "-60s",
        "-45s",
        "-30s",
        "-15s",
        "now",
    ]
    assert [label for _, label in time_labels(1e9 - 7200, 1e9, 24, clock=False)] == [
        "-2h",
        "-1h",
        "now",
    ]
