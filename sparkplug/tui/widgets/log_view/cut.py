"""Lines cut into the rows of a screen: where a row begins and ends in the text, in characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from rich.cells import cell_len, split_graphemes

from sparkplug.tui.cells import Line, Span
from sparkplug.tui.widgets.log_view.text import Range


def breaks(text: str, width: int) -> list[int]:
    """The characters at which rows of `width` cells begin, after a space where there is one."""
    width = max(1, width)
    found, at = [0], 0
    if text.isascii():
        while len(text) - at > width:
            at = _after_space(text, at, at + width)
            found.append(at)
        return found
    used = 0
    for start, _end, size in split_graphemes(text)[0]:
        if used + size > width and start > at:
            space = _after_space(text, at, start)
            used = cell_len(text[space:start])
            at = space
            found.append(at)
        used += size
    return found


def _after_space(text: str, start: int, end: int) -> int:
    space = text.rfind(" ", start, end) + 1
    return space if space - start > (end - start) // 3 else end


def window(text: str, left: int, width: int) -> tuple[int, int]:
    """The characters that stand in `width` cells from the cell `left` on."""
    if text.isascii():
        return min(left, len(text)), min(left + width, len(text))
    first = last = None
    used = 0
    for start, end, size in split_graphemes(text)[0]:
        if first is None and used >= left:
            first = start
        used += size
        if used > left + width:
            break
        last = end
    if first is None:
        return len(text), len(text)
    return first, max(first, last or 0)


def character_at(text: str, start: int, end: int, cell: int) -> int:
    """The character at a cell of a row that shows `text[start:end]`; its end when beyond it."""
    if cell < 0:
        return start
    if text.isascii():
        return min(start + cell, end)
    used = 0
    for first, _last, size in split_graphemes(text[start:end])[0]:
        used += size
        if used > cell:
            return start + first
    return end


def spans(
    text: str,
    start: int,
    end: int,
    pens: Sequence[Range],
    over: Iterable[Range] = (),
    base: str = "",
) -> Line:
    """`text[start:end]` in its pens; `over` lies on them, a later range on those before it."""
    layers = [r for r in (*pens, *over) if r[0] < end and r[1] > start]
    base = base or "text"
    if not layers:
        return ((base, text[start:end]),) if end > start else ()
    places = sorted({start, end, *(min(max(p, start), end) for r in layers for p in r[:2])})
    found: list[Span] = []
    for first, last in pairwise(places):
        pen = base
        for begin, stop, word in layers:
            if begin <= first and last <= stop:
                pen = word
        found.append((pen, text[first:last]))
    return tuple(found)
