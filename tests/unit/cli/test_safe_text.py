"""What comes from elsewhere cannot drive the terminal."""

from __future__ import annotations

import pytest

from sparkplug.schema.text import one_line, strip_controls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode ▇ 字", "plain ünïcode ▇ 字"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;c2VjcmV0\x1b\\after", "after"),
        ("\x1bP1;2|payload\x1b\\after", "after"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9cafter", "after"),
        ("\x1b]0;never ends\nnext line", "\nnext line"),
        ("over\rwrite", "overwrite"),
        ("bell\x07 back\x08space", "bell backspace"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("cut\x1b", "cut"),
        ("cut\x1b[", "cut"),
        ("\x1bcreset", "reset"),
    ],
)
def test_escapes_are_taken_out(text: str, shown: str) -> None:
    assert strip_controls(text) == shown


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    everything = "".join(map(chr, range(0x250)))
    left = strip_controls(everything + "\n" + everything)
    assert not [c for c in left if (ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0]


def test_a_cell_is_one_line() -> None:
    assert one_line("  two\n lines\x1b[2J\tand a tab ") == "two lines and a tab"
