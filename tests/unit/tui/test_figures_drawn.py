"""Meters and sparklines as text: heights, eighths, marks, gaps."""

from __future__ import annotations

import math
import random

import pytest

from sparkplug.tui.cells import changed, length, plain
from sparkplug.tui.figures import meter, rate, sparkline
from sparkplug.tui.glyphs import to_ascii


@pytest.mark.parametrize(
    ("value", "fine", "mark", "text", "pen"),
    [
        (None, False, None, "········", "dim"),
        (math.nan, False, None, "········", "dim"),
        (0, False, None, "▁▁▁▁▁▁▁▁", None),
        (1, False, None, "▇▁▁▁▁▁▁▁", "active"),
        (50, False, None, "▇▇▇▇▁▁▁▁", "active"),
        (80, False, None, "▇▇▇▇▇▇▁▁", "warn"),
        (95, False, None, "▇▇▇▇▇▇▇▇", "bad"),
        (math.inf, False, None, "▇▇▇▇▇▇▇▇", "bad"),
        (0.1, True, None, "▏▁▁▁▁▁▁▁", "active"),
        (55, True, None, "████▍▁▁▁", "active"),
        (50, True, 80, "████▁▁│▁", "active"),
        (50, True, 10, "│███▁▁▁▁", "text"),
        (50, False, 1000, "▇▇▇▇▁▁▁│", "active"),
        (-5, True, None, "▁▁▁▁▁▁▁▁", None),
    ],
)
def test_a_meter(
    value: float | None, fine: bool, mark: float | None, text: str, pen: str | None
) -> None:
    line = meter(value, 8, fine=fine, mark=mark)
    assert plain(line) == text
    if pen is not None:
        assert next(p for p, t in line if t) == pen


def test_what_works_is_no_trouble_and_limits_are_free() -> None:
    assert meter(99, 4, fills=False)[0][0] == "active"
    assert meter(50, 4, limits=(40, 60))[0][0] == "warn"
    assert meter(60, 4, limits=(40, 60))[0][0] == "bad"


def test_a_meter_is_as_wide_as_asked() -> None:
    chance = random.Random(2)
    for _ in range(2000):
        width = chance.randint(-1, 30)
        value = chance.choice((None, math.nan, chance.uniform(-50, 200)))
        mark = chance.choice((None, math.nan, chance.uniform(-50, 200)))
        line = meter(value, width, fine=chance.random() < 0.5, mark=mark)
        assert length(line) == max(0, width)
        assert to_ascii(plain(line)).isascii()


def test_a_sparkline() -> None:
    assert sparkline([0, 50, 100], 5) == "  ▁▅█"
    assert sparkline([None, 5, math.nan, 9, math.inf, -math.inf], 6, 10) == " ▅ ██▁"
    assert sparkline(range(200), 3, 200) == "███"
    assert sparkline([20, 30, 40], 3, 40, low=20) == "▁▅█"
    assert sparkline([1, 2], 0) == ""
    assert sparkline([1], 2, 0) == " ▁"
    assert sparkline([0, 25, 50, 75, 100, None], 3, braille=True) == "⣠⣾⡇"
    assert sparkline([100], 2, braille=True) == " ⢸"


def test_where_lines_differ() -> None:
    one = (("text", "abc"), ("dim", "def"))
    assert changed(one, one) == []
    assert changed(one, (("text", "abX"), ("dim", "def"))) == [(2, 1)]
    assert changed(one, (("text", "abc"), ("warn", "def"))) == [(3, 3)]
    assert changed(one, (("text", "Xbc"), ("dim", "deX"))) == [(0, 1), (5, 1)]
    assert changed(one, (("text", "abc"),)) == [(3, 3)]
    assert changed((("text", "日本x"),), (("text", "日木x"),)) == [(0, 5)]
    assert changed((), (("text", "  "),)) == []


def test_what_is_not_told_has_no_rate_either() -> None:
    assert (rate(None), rate(0.0), rate(1536.0)) == ("n/s", "0B/s", "1.5K/s")
