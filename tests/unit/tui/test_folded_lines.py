"""Lines that are longer than their place is wide are folded, and keep their words and pens."""

from __future__ import annotations

import pytest

from sparkplug.tui.cells import Line, folded, length, plain

LINE: Line = (("dim", "set      "), ("text", "serial 1650823 · part 699"), ("warn", " · vbios 96"))


def test_a_line_is_folded_where_its_parts_end() -> None:
    first, second = folded(LINE, 30, 9)
    assert plain(first) == "set      serial 1650823"
    assert second == (("dim", " " * 9), ("text", "part 699"), ("warn", " · vbios 96"))


def test_what_fits_is_left_as_it_is() -> None:
    assert folded(LINE, length(LINE), 9) == [LINE]


@pytest.mark.parametrize("width", [1, 9, 10, 12, 20, 27])
def test_no_word_is_lost_and_it_ends(width: int) -> None:
    words = " ".join(plain(line) for line in folded(LINE, width, 9)).replace("·", " ").split()
    assert words == plain(LINE).replace("·", " ").split()


def test_wide_characters_are_measured_in_cells() -> None:
    lines = folded((("text", "漢字 · 漢字 · 漢字"),), 8, 0)
    assert [plain(line) for line in lines] == ["漢字", "漢字", "漢字"]
