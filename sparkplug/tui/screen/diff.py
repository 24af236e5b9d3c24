"""The difference of two grids, as what is to be written to a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparkplug.tui.screen.cells import Grid, Row
from sparkplug.tui.screen.pens import DEFAULT, Pen, change

# Cells in between are written again where that takes no more bytes than to step over them.
_STEP = 4

#: Row, first column, column after the last.
_Run = tuple[int, int, int]


def difference(want: Grid, shown: Grid, rows: Iterable[int]) -> str:
    """What makes a terminal that shows `shown` show `want` in these rows; `shown` follows.

    The terminal's pen is the default one before and after. Ends with the cursor anywhere. Cells
    of `want` that are not known are left as they are.
    """
    runs: dict[Pen, list[_Run]] = {}
    for y in sorted(rows):
        row, old = want.rows[y], shown.rows[y]
        if row != old:
            for pen, start, end in _runs(row, old):
                runs.setdefault(pen, []).append((y, start, end))
            shown.rows[y] = row.copy()
    found: list[str] = []
    drawn = DEFAULT
    for pen in sorted(runs, key=_order):
        found.append(change(drawn, pen))
        drawn = pen
        at: tuple[int, int] | None = None
        for y, start, end in runs[pen]:
            row = want.rows[y]
            for x, text in _pieces(row, start, end):
                found.append(_move(at, x, y))
                found.append(text)
                at = (end, y) if end < want.width and _sure(text[-1:]) else None
    found.append(change(drawn, DEFAULT))
    return "".join(found)


def _order(pen: Pen) -> tuple[str, str, str, tuple[str, ...]]:
    return pen.link, pen.background, pen.foreground, pen.attributes


def _runs(row: Row, old: Row) -> Iterator[tuple[Pen, int, int]]:
    """Cells of one pen, side by side, that cover what changed; never half a character."""
    open_pen: Pen | None = None
    start = end = 0
    for x, cell in enumerate(row):
        if cell is None or cell == old[x]:
            continue
        pen = cell[1]
        first = x if cell[0] else x - 1
        last = x + 1
        while last < len(row) and (after := row[last]) is not None and not after[0]:
            last += 1
        if open_pen is not None:
            if pen == open_pen and (first <= end or _cheap(row, end, first, pen)):
                end = max(end, last)
                continue
            yield open_pen, start, end
        open_pen, start, end = pen, max(0, first), last
    if open_pen is not None:
        yield open_pen, start, end


def _cheap(row: Row, start: int, end: int, pen: Pen) -> bool:
    """True when the cells between two runs are written for no more than the step over them."""
    if end - start > _STEP:
        return False
    size = 0
    for cell in row[start:end]:
        if cell is None or cell[1] != pen:
            return False
        size += len(cell[0].encode())
    return size <= (_STEP if end - start > 1 else _STEP - 1)


def _pieces(row: Row, start: int, end: int) -> Iterator[tuple[int, str]]:
    """A run in pieces that end where terminals may disagree on how far the cursor went."""
    text = "".join([cell[0] for cell in row[start:end] if cell is not None])
    if text.isascii():
        yield start, text
        return
    text, first = "", start
    for x in range(start, end):
        cell = row[x]
        if cell is None or not cell[0]:
            continue
        if not text:
            first = x
        text += cell[0]
        if len(cell[0]) > 1 or not _sure(cell[0]):
            yield first, text
            text = ""
    if text:
        yield first, text


def _sure(character: str) -> bool:
    """True when every terminal moves on by as many cells as we count."""
    return (
        character < "\u0300"
        or "\u2190" <= character < "\u231a"
        or "\u2500" <= character < "\u25fd"
        or "\u2800" <= character < "\u2900"
        or "\u2e80" <= character < "\ua4d0"
        or "\uac00" <= character < "\ud7a4"
    )


def _move(at: tuple[int, int] | None, x: int, y: int) -> str:
    """The shortest way to (x, y)."""
    if at == (x, y):
        return ""
    if at is not None and at[1] == y and x > at[0]:
        steps = x - at[0]
        return f"\x1b[{steps}C" if steps > 1 else "\x1b[C"
    return place(x, y)


def place(x: int, y: int) -> str:
    """The cursor to (x, y), counted from 0."""
    if x == 0:
        return f"\x1b[{y + 1}H" if y else "\x1b[H"
    return f"\x1b[{y + 1};{x + 1}H"
