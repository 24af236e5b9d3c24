"""Text measured in terminal cells: lines of pens and words, cut and padded to a width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.cells import cell_len, set_cell_size, split_graphemes
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sparkplug.schema.text import strip_controls

#: A pen (its word, see `themes.pens`, or a style) and the text it writes.
Span = tuple[str | Style, str]
Line = tuple[Span, ...]

#: Characters of a text that are looked at where it becomes one line: more fit on no terminal.
_LONGEST = 4096
#: Characters that are looked at for each cell of a line.
_WINDOW = 8


#: The zero width joiner, and the selectors of how a character before them is shown.
_JOINERS = (chr(0x200D), chr(0xFE0E), chr(0xFE0F))


def clean(text: str) -> str:
    """`text` as one line that can be painted: no escapes, controls or line ends."""
    if text.isprintable():
        return text
    # What would join the first or last character to one that is not of this text, whose width
    # then is another, has nothing to join here.
    text = strip_controls(text).replace("\n", " ").replace("\t", "    ")
    return text.strip("".join(_JOINERS))


def fit(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """`text` in exactly `width` cells; what does not fit is cut and marked with `…`."""
    if width <= 0:
        return ""
    more = len(text) > _LONGEST
    text = clean(text[:_LONGEST] if more else text)
    length = cell_len(text)
    if length > width or more:
        cut = set_cell_size(text, width - 1)
        if cut.endswith(_JOINERS):
            cut = set_cell_size(cut.rstrip("".join(_JOINERS)), width - 1)
        return cut + "…"
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
        size = _LONGEST
        if len(text) <= _LONGEST:
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
    return Strip(segments(clip(line, width), styles, base), width)


def segments(line: Line, styles: dict[str, Style], base: Style) -> list[Segment]:
    """The spans of a line as Textual paints them, every style laid over `base`."""
    return [
        Segment(text, over(base, styles[pen] if isinstance(pen, str) else pen))
        for pen, text in line
        if text
    ]


#: Styles laid over others, by what they are rather than what they say, which takes longer.
_OVER: dict[tuple[int, int], tuple[Style, Style, Style]] = {}
_MOST_OVER = 4096


def over(base: Style, style: Style) -> Style:
    """`base + style`; of the same two it is the same one."""
    found = _OVER.get((id(base), id(style)))
    # What is held here is not freed, so that its number is not another's.
    if found is None:
        if len(_OVER) >= _MOST_OVER:
            _OVER.clear()
        found = _OVER[id(base), id(style)] = base, style, base + style
    return found[2]


def changed(old: Line, new: Line) -> list[tuple[int, int]]:
    """Where two lines differ, in cells: the first one and how many, for each run of them."""
    one, other = _cells(old), _cells(new)
    blank = ("text", " ")
    size = max(len(one), len(other))
    one += [blank] * (size - len(one))
    other += [blank] * (size - len(other))
    runs: list[tuple[int, int]] = []
    for x, (before, after) in enumerate(zip(one, other, strict=True)):
        if before == after:
            continue
        if runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((x, 1))
    return runs


def _cells(line: Line) -> list[tuple[str | Style, str]]:
    """One entry for each cell; that of the rest of a wide character, or a mark, tells it whole."""
    found: list[tuple[str | Style, str]] = []
    for pen, text in line:
        shown = clean(text)
        if shown.isascii() or cell_len(shown) == len(shown):
            found += [(pen, character) for character in shown]
        else:
            found += [(pen, shown)] * cell_len(shown)
    return found


def wrap(text: str, width: int) -> list[str]:
    """The lines of `text`, each at most `width` cells, broken at spaces where there are any.

    Takes a time that grows with the length of the text alone, whatever is in it.
    """
    width = max(1, width)
    found: list[str] = []
    for paragraph in strip_controls(text).replace("\t", "    ").split("\n"):
        start, end = 0, len(paragraph)
        while (size := _head(paragraph, start, width)) < end - start:
            cut = paragraph.rfind(" ", start, start + size) - start
            if cut > size // 3:
                found.append(paragraph[start : start + cut])
                start += cut
                while start < end and paragraph[start] == " ":
                    start += 1
            else:
                found.append(paragraph[start : start + size])
                start += size
        found.append(paragraph[start:])
    return found


def folded(line: Line, width: int, indent: int) -> list[Line]:
    """`line` in lines of at most `width` cells, those after the first moved in by `indent`.

    Broken before ` · ` where there is one, else at a space; what has neither is cut when drawn.
    """
    found: list[Line] = []
    while length(line) > width:
        words = plain(line)
        room = _head(words, 0, width)
        cut = words.rfind(" · ", indent + 1, room + 1)
        after = cut + 3
        if cut < 0:
            cut = words.rfind(" ", indent + 1, room + 1)
            after = cut + 1
        if cut < 0:
            break
        found.append(_piece(line, 0, cut))
        line = (("dim", " " * indent), *_piece(line, after, len(words)))
    return [*found, line]


def _piece(line: Line, start: int, end: int) -> Line:
    """The characters of a line from `start` to `end`, in their pens."""
    found: list[Span] = []
    at = 0
    for pen, text in line:
        part = text[max(0, start - at) : max(0, end - at)]
        if part:
            found.append((pen, part))
        at += len(text)
    return tuple(found)


def _head(text: str, start: int, width: int) -> int:
    """How many characters from `start` on fit; at least one, where there is any."""
    # No more is looked at: what has no width at all, without end, is broken too.
    piece = text[start : start + _WINDOW * width]
    if piece.isascii():
        return min(len(piece), width)
    used = 0
    for first, end, size in split_graphemes(piece)[0]:
        used += size
        if used > width:
            return first or end
    return len(piece)


def joined(lines: Sequence[Line]) -> str:
    """The words of many lines, one below the other."""
    return "\n".join(plain(line).rstrip() for line in lines)
