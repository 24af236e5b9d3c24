"""Sections of lines beside each other, where there is room for more than one column of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparkplug.tui.cells import Line, clip

#: Columns of text that stand beside each other are at least this wide, in cells.
COLUMN = 64


def columns_in(width: int, sections: int) -> int:
    """How many columns so many sections have in a width, in cells."""
    return max(1, min(sections, width // COLUMN))


def beside_each_other(sections: Iterable[Sequence[Line]], width: int) -> list[Line]:
    """Sections one below the other, in as many columns as fit, each about as long as the others.

    Read down the first column, then the next. A section is not broken.
    """
    found = [section for section in sections if section]
    count = columns_in(width, len(found))
    height = _least_height([len(section) for section in found], count)
    columns: list[list[Line]] = [[]]
    for section in found:
        if columns[-1] and len(columns[-1]) + len(section) > height:
            columns.append([])
        columns[-1] += section
    if len(columns) == 1:
        return columns[0]
    rows = max(len(column) for column in columns)
    wide = width // len(columns)
    return [
        tuple(
            span
            for column in columns
            for span in clip(column[row] if row < len(column) else (), wide)
        )
        for row in range(rows)
    ]


def _least_height(sizes: Sequence[int], count: int) -> int:
    """The least height at which sections of these sizes, in their order, fit in `count` columns."""
    height = max(sizes, default=0)
    while True:
        columns, filled = 1, 0
        for size in sizes:
            if filled + size > height:
                columns, filled = columns + 1, 0
            filled += size
        if columns <= count:
            return height
        height += 1
