"""Columns of a list: widths shared out, the least needed left out where it is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sparkplug.tui.cells import Line, Span, fit


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its least width in cells, whether it takes what is left, and its rank.

    Columns of the highest `rank` go first when there is no room.
    """

    name: str
    width: int
    grows: bool = False
    rank: int = 0
    align: Literal["left", "right"] = "left"


class Columns:
    """Columns laid out in a width."""

    def __init__(self, columns: Sequence[Column], width: int) -> None:
        shown = list(columns)
        while len(shown) > 1 and sum(c.width + 1 for c in shown) - 1 > width:
            worst = max(range(len(shown)), key=lambda i: (shown[i].rank, i))
            if shown[worst].rank == 0:
                break
            del shown[worst]
        spare = max(0, width - sum(c.width + 1 for c in shown) + 1)
        growing = [c for c in shown if c.grows]
        self._widths = {c.name: c.width + (spare // len(growing) if c.grows else 0) for c in shown}
        self._columns = shown

    def header(self) -> Line:
        """The names of the columns."""
        return self._join(
            [("dim", fit(c.name, self._widths[c.name], c.align)) for c in self._columns]
        )

    def line(self, cells: dict[str, Span]) -> Line:
        """A line of one text for each column by name; those of columns left out are dropped."""
        found: list[Span] = []
        for column in self._columns:
            pen, text = cells.get(column.name, ("text", ""))
            found.append((pen, fit(text, self._widths[column.name], column.align)))
        return self._join(found)

    def _join(self, cells: list[Span]) -> Line:
        line: list[Span] = []
        for index, cell in enumerate(cells):
            if index:
                line.append(("text", " "))
            line.append(cell)
        return tuple(line)
