"""A table's columns: what they show of a record, and where they stand in a width."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sparkplug.tui import figures
from sparkplug.tui.cells import Line, Span, clip, fit, length

#: What a column holds: `bytes`, `percent` and `seconds` are numbers, `age` is the moment (a
#: datetime) since which something has lasted.
Kind = Literal["text", "number", "bytes", "percent", "seconds", "age"]

#: Cells between the edge and the first column: where the cursor and the marks are drawn.
GUTTER = 1
#: Characters of a value that are looked at when it is sorted and searched.
LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what it shows of a record, and how.

    `value` takes the value out of a record; what is drawn depends on nothing but the value, so
    that a value that stays is not drawn again (an age depends on the clock too). `draw` makes
    the cell of a value, where the way of its kind is not the one; `order` what it is sorted
    by: a number, or a text in which numbers count as numbers. `none` is shown where there is no
    value. `width` is the least in cells, `full` that of the wide table; what `grows` shares
    what is left. Columns of the highest `rank` go first when there is no room, those of rank 0
    stay. One that is `extra` is shown in the wide table, or when it is chosen.
    """

    name: str
    width: int
    value: Callable[[Any], Any]
    title: str = ""
    kind: Kind = "text"
    grows: bool = False
    rank: int = 0
    extra: bool = False
    full: int = 0
    align: Literal["left", "right"] | None = None
    pen: str = "text"
    none: str = "—"
    draw: Callable[[Any], Span | Line] | None = None
    order: Callable[[Any], Any] | None = None

    @property
    def heading(self) -> str:
        """What stands above it."""
        return self.title or self.name

    @property
    def side(self) -> Literal["left", "right"]:
        """Numbers stand at the right."""
        return self.align or ("left" if self.kind == "text" else "right")

    @property
    def biggest_first(self) -> bool:
        """Of numbers one looks for the biggest, so that is how they are sorted at first."""
        return self.kind not in ("text", "age")

    def cell(self, value: Any, now: float) -> Line:
        """A value as it is drawn; `now` in seconds since the epoch."""
        if self.kind == "age" and isinstance(value, datetime):
            value = now - value.timestamp()
        if self.draw is not None:
            made = self.draw(value)
            return (made,) if _is_span(made) else made  # type: ignore[return-value]
        if value is None:
            return (("dim", self.none),)
        return ((self.pen, self._words(value)),)

    def _words(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return str(value)
        if not math.isfinite(value):
            return str(value)
        match self.kind:
            case "bytes":
                return figures.size(value)
            case "percent":
                return figures.percent(value).strip()
            case "seconds":
                return figures.duration(value)
            case "age":
                return figures.age(value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    def sort_values(self, values: Iterable[Any]) -> list[float | int | str | None]:
        """`sort_value` of many at once."""
        if self.order is not None or self.kind == "age":
            return list(map(self.sort_value, values))
        if self.kind == "text":
            return [
                value if type(value) is str and len(value) < LOOKED_AT else self.sort_value(value)
                for value in values
            ]
        return [value if type(value) is int else self.sort_value(value) for value in values]

    def sort_value(self, value: Any) -> float | int | str | None:
        """What a value is sorted by: a number, a text, or None, which comes last."""
        if self.order is not None:
            value = self.order(value)
        if self.kind == "age":
            # What has lasted longest has the most seconds, and the earliest moment.
            return -value.timestamp() if isinstance(value, datetime) else None
        if value is None:
            return None
        if self.kind != "text" or (self.order is not None and isinstance(value, int | float)):
            known = isinstance(value, int | float) and not math.isnan(value)
            return value if known else None
        return str(value)[:LOOKED_AT]


def _is_span(made: Span | Line) -> bool:
    return len(made) == 2 and isinstance(made[1], str)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column stands: which of the table's it is, its first cell, and its width."""

    index: int
    x: int
    width: int


#: A column, and which of the table's it is.
Numbered = tuple[int, Column]


def narrow(columns: Sequence[Numbered], width: int) -> list[Place]:
    """The columns that fit, by their rank; what is left over goes to those that grow."""
    shown = list(columns)
    room = width - GUTTER
    while len(shown) > 1 and _total(shown) > room:
        worst = max(range(len(shown)), key=lambda at: (shown[at][1].rank, at))
        if shown[worst][1].rank == 0:
            break
        del shown[worst]
    return _spread(shown, [column.width for _, column in shown], width)


def wide(columns: Sequence[Numbered], width: int, left: int) -> list[Place]:
    """All columns, the first always, those after it from the `left`-th on."""
    shown = [*columns[:1], *columns[1 + left :]]
    return _spread(shown, [max(c.width, c.full) for _, c in shown], width)


def furthest(columns: Sequence[Numbered], width: int) -> int:
    """How many columns the wide table can be moved by until its last is seen whole."""
    sizes = [max(column.width, column.full) + 1 for _, column in columns]
    room = width - GUTTER + 1 - sum(sizes[:1])
    for left in range(len(sizes) - 1):
        if sum(sizes[1 + left :]) <= room:
            return left
    return max(0, len(sizes) - 2)


def _total(shown: Sequence[Numbered]) -> int:
    return sum(column.width + 1 for _, column in shown) - 1


def _spread(shown: Sequence[Numbered], sizes: list[int], width: int) -> list[Place]:
    room = width - GUTTER
    spare = max(0, room - sum(sizes) - len(sizes) + 1)
    growing = [at for at, (_, column) in enumerate(shown) if column.grows]
    for order, at in enumerate(growing):
        sizes[at] += spare // len(growing) + (order < spare % len(growing))
    found: list[Place] = []
    x = GUTTER
    for (index, _), size in zip(shown, sizes, strict=True):
        size = min(size, width - x)
        if size <= 0:
            break
        found.append(Place(index, x, size))
        x += size + 1
    return found


def fitted(cell: Line, width: int, side: Literal["left", "right"]) -> Line:
    """A cell in exactly `width` cells."""
    if len(cell) == 1:
        pen, text = cell[0]
        return ((pen, fit(text, width, side)),)
    if side == "right" and (used := length(cell)) < width:
        return (("text", " " * (width - used)), *cell)
    return clip(cell, width)
