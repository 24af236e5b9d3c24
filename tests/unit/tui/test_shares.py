"""Rows shared out between boxes: all of them, fairly, whatever there is."""

from __future__ import annotations

import random

from sparkplug.tui.panes.shares import Need, share


def test_what_is_over_goes_to_what_grows() -> None:
    assert share(40, [Need(3, 10), Need(3, 8, grows=1), Need(3, 3)]) == [10, 27, 3]
    assert share(40, [Need(3, 10, grows=1), Need(3, 8, grows=1), Need(3, 3)]) == [19, 18, 3]


def test_with_too_little_all_fill_up_evenly() -> None:
    assert share(15, [Need(3, 10), Need(3, 8, grows=1), Need(3, 3)]) == [6, 6, 3]
    assert share(9, [Need(3, 10), Need(3, 8), Need(3, 3)]) == [3, 3, 3]
    assert share(0, [Need(3, 10), Need(3, 8)]) == [0, 0]


def test_a_box_that_could_say_nothing_is_left_out() -> None:
    assert share(7, [Need(3, 10), Need(3, 8), Need(3, 3)]) == [4, 3, 0]
    assert share(8, [Need(3, 10), Need(0, 0), Need(3, 3)]) == [5, 0, 3]
    assert share(2, [Need(3, 10), Need(3, 8)]) == [2, 0]


def test_no_row_is_lost_or_made_up() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        needs = []
        for _ in range(chance.randint(1, 5)):
            least = chance.randint(0, 5)
            needs.append(Need(least, least + chance.randint(0, 20), chance.randint(0, 2)))
        rows = chance.randint(0, 80)
        found = share(rows, needs)
        assert sum(found) == rows
        assert all(size >= 0 for size in found)
        if rows >= sum(need.least for need in needs):
            assert all(size >= need.least for size, need in zip(found, needs, strict=True))
