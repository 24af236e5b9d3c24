"""Text that came from elsewhere, made safe for a terminal."""

from __future__ import annotations

import re

# ECMA-48: control sequences (CSI … final byte), strings (OSC, DCS, SOS, PM, APC up to ST or
# BEL), and the two-byte escapes. A string that never ends is cut at the end of its line.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# What is left of C0 but tab and newline, DEL, C1, and the marks that reorder text on screen.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def strip_controls(text: str) -> str:
    """`text` without terminal escapes, control characters and bidirectional overrides.

    Tabs and newlines stay; CR LF becomes LF. What agents and logs say can then neither move the
    cursor, set the title or the clipboard, nor hide what follows.
    """
    return _CONTROL.sub("", _SEQUENCE.sub("", text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """`strip_controls`, and every run of white space as one space: for a cell of a table."""
    return " ".join(strip_controls(text).split())
