"""Text measured in terminal cells: lines of pens and words, cut and padded to a width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sparkplug.schema.text import strip_controls

#: A pen (its word, see `themes.pens`, or a style) and the text it writes.
Span = tuple[str | Style, str]
Line = tuple[Span, ...]


def clean(text: str) -> str:
    """`text` as one line that can be painted: no escapes, controls or line ends."""
    if text.isprintable():
        return text
    return strip_controls(text).replace("\n", " ").replace("\t", "    ")


def fit(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """`text` in exactly `width` cells; what does not fit is cut and marked with `…`."""
    if width <= 0:
        return ""
    text = clean(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    pad = " " * (width - length)
    return pad + text if align == "right" else text + pad


def plain(line: Line) -> str:
    """The words of a line without their pens."""
    return "".join(text for _, text in line)


def length(line: Line) -> int:
    """The cells a line takes."""
    return sum(cell_len(clean(text)) for _, text in line)


def clip(line: Line, width: int) -> Line:
    """`line` in exactly `width` cells."""
    found: list[Span] = []
    room = width
    for pen, text in line:
        text = clean(text)
        size = cell_len(text)
        if size > room:
            found.append((pen, fit(text, room)))
            room = 0
            break
        found.append((pen, text))
        room -= size
    if room > 0:
        found.append(("text", " " * room))
    return tuple(found)


def beside(left: Line, right: Line, width: int) -> Line:
    """`left` and, at the right edge, `right`; `left` gives way when both do not fit."""
    room = max(0, width - length(right))
    return (*clip(left, room), *right)


def strip(line: Line, width: int, styles: dict[str, Style], base: Style) -> Strip:
    """The line as Textual paints it: `width` cells, every style laid over `base`."""
    segments = [
        Segment(text, base + (styles[pen] if isinstance(pen, str) else pen))
        for pen, text in clip(line, width)
        if text
    ]
    return Strip(segments, width)


def wrap(text: str, width: int) -> list[str]:
    """The lines of `text`, each at most `width` cells, broken at spaces where there are any."""
    found: list[str] = []
    for paragraph in strip_controls(text).replace("\t", "    ").split("\n"):
        rest = paragraph
        while cell_len(rest) > max(1, width):
            head = _head(rest, max(1, width))
            cut = head.rfind(" ")
            size = cut if cut > len(head) // 3 else len(head)
            found.append(rest[:size])
            rest = rest[size:].lstrip(" ") if size == cut else rest[size:]
        found.append(rest)
    return found


def _head(text: str, width: int) -> str:
    used = 0
    for index, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[: max(1, index)]
    return text


def joined(lines: Sequence[Line]) -> str:
    """The words of many lines, one below the other."""
    return "\n".join(plain(line).rstrip() for line in lines)
