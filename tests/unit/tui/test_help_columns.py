"""Sections of the help beside each other: all of them, whole, in order."""

from __future__ import annotations

import random

from sparkplug.tui.cells import Line, length, plain
from sparkplug.tui.side_by_side import beside_each_other


def _section(name: str, lines: int) -> list[Line]:
    return [(("text", f"{name}.{number}"),) for number in range(lines)]


def test_one_below_the_other_where_it_is_narrow() -> None:
    sections = [_section("a", 2), [], _section("b", 3)]
    found = beside_each_other(sections, 80)
    assert [plain(line) for line in found] == ["a.0", "a.1", "b.0", "b.1", "b.2"]


def test_beside_each_other_where_it_is_wide_and_nothing_is_lost() -> None:
    chance = random.Random(3)
    for _ in range(200):
        sizes = [chance.randint(1, 30) for _ in range(chance.randint(1, 6))]
        sections = [_section(f"s{number}", size) for number, size in enumerate(sizes)]
        width = chance.randint(60, 260)
        found = beside_each_other(sections, width)
        words = [word for line in found for word in plain(line).split()]
        assert sorted(words) == sorted(plain(line) for one in sections for line in one)
        assert all(length(line) <= width for line in found)
        if len(sizes) > 1 and width >= 128:
            assert len(found) < sum(sizes)
