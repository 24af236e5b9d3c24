"""A grid of cells, and the updates of Textual's compositor laid onto it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len, split_graphemes
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate

from sparkplug.tui.screen.compositor import SparseUpdate
from sparkplug.tui.screen.pens import Pen, pen

#: What a cell shows and the pen it is drawn with. The second half of a wide character is "".
Cell = tuple[str, Pen]
#: None is a cell of which nothing is known.
Row = list[Cell | None]

_MARKS = ("Mn", "Me")
#: The pens of styles, by the number of each, for it takes longer to ask what a style says.
_PENS: dict[ColorSystem, dict[int, tuple[Pen, Style | None]]] = {}
_MOST_PENS = 4096


class Grid:
    """The cells of a screen."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rows: list[Row] = [[None] * width for _ in range(height)]
        #: The rows that were written to since someone looked.
        self.touched: set[int] = set()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.width, self.height

    def forget(self) -> None:
        """Know nothing any more."""
        self.rows = [[None] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, cells: list[Cell]) -> None:
        """Write cells from (x, y) on; what does not fit is left out."""
        if x + len(cells) > self.width:
            cells = _cut(cells, self.width - x)
        row = self.rows[y]
        end = x + len(cells)
        if not cells or row[x:end] == cells:
            return
        # Half of a wide character that is written over is a blank, on this as on any terminal.
        if x and (under := row[x]) is not None and not under[0]:
            before = row[x - 1]
            row[x - 1] = (" ", before[1]) if before is not None else None
        if end < self.width and (under := row[end]) is not None and not under[0]:
            row[end] = (" ", under[1])
        row[x:end] = cells
        self.touched.add(y)


def _cut(cells: list[Cell], size: int) -> list[Cell]:
    if size <= 0:
        return []
    if cells[size][0]:
        return cells[:size]
    return [*cells[: size - 1], (" ", cells[size][1])]


class _Drawn(dict[str, Cell]):
    """Characters as cells, by the character, all with one pen.

    A cell is made once: a screen has ten thousand, of some hundred that differ, and what was laid
    on it is kept (`cells_of`).
    """

    __slots__ = ("pen",)
    _MOST = 1024

    def __init__(self, drawn: Pen) -> None:
        super().__init__()
        self.pen = drawn

    def __missing__(self, character: str) -> Cell:
        cell = character, self.pen
        if len(self) < self._MOST:
            self[character] = cell
        return cell


@lru_cache(maxsize=512)
def _drawn_with(drawn: Pen) -> _Drawn:
    return _Drawn(drawn)


#: Characters that are a cell each, whatever stands beside them: most of what is drawn.
_ALONE = frozenset(
    chr(code)
    for first, last in (
        (0x20, 0x7E),
        (0xA1, 0xAC),
        (0xAE, 0x2FF),
        (0x2190, 0x21FF),
        (0x2500, 0x25FC),
        (0x2800, 0x28FF),
    )
    for code in range(first, last + 1)
)


@lru_cache(maxsize=2048)
def cells_of(text: str, drawn: Pen) -> list[Cell]:
    """`text` as cells, as many as Textual counts; the list is shared and is not to be changed.

    Terminals disagree on the width of joined and varied characters, so only the first of such a
    cluster is shown, in the room the cluster would take. Controls are left out.
    """
    if _ALONE.issuperset(text):
        return [*map(_drawn_with(drawn).__getitem__, text)]
    found: list[Cell] = []
    for start, end, size in split_graphemes(text)[0]:
        if not size:
            continue
        first = text[start]
        room = cell_len(first)
        marks = [c for c in text[start + 1 : end] if unicodedata.category(c) in _MARKS]
        varied = "\u200d" in text[start:end] or "\ufe0f" in text[start:end]
        found.append((first if varied else "".join((first, *marks)), drawn))
        if room == 2:
            found.append(("", drawn))
        found += [(" ", drawn)] * (size - room)
    # Textual has placed what follows by its own count.
    wanted = cell_len(text)
    return found[:wanted] + [(" ", drawn)] * (wanted - len(found))


def size_of(update: LayoutUpdate | ChopsUpdate) -> tuple[int, int]:
    """The size of the screen that an update was made for."""
    if isinstance(update, LayoutUpdate):
        return update.region.width, update.region.height
    if isinstance(update, SparseUpdate):
        return update.width, len(update.chops)
    return max((ends[-1] for ends in update.chop_ends if ends), default=0), len(update.chops)


def lay(update: LayoutUpdate | ChopsUpdate, grid: Grid, system: ColorSystem) -> None:
    """Draw an update onto a grid of its size."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips):
            x = 0
            for strip in line:
                x = _lay(strip, grid, x, y, (0, grid.width), system)
        return
    for y, x1, x2 in update.spans:
        if not 0 <= y < grid.height:
            continue
        for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if chop is not None and x < x2 and end > x1:
                _lay(chop, grid, x, y, (x1, x2), system)


def _lay(
    segments: Iterable[Segment],
    grid: Grid,
    x: int,
    y: int,
    span: tuple[int, int],
    system: ColorSystem,
) -> int:
    """Segments from (x, y) on, those that touch the span; where they end."""
    first, last = span
    pens = _PENS.setdefault(system, {})
    for text, style, control in segments:
        if control or not text:
            continue
        if x >= last:
            break
        drawn = pens.get(id(style))
        if drawn is None:
            if len(pens) >= _MOST_PENS:
                pens.clear()
            # The style is held, so that its number is not another's.
            drawn = pens[id(style)] = pen(style, system), style
        cells = cells_of(text, drawn[0])
        if x + len(cells) > first:
            grid.put(x, y, cells)
        x += len(cells)
    return x
