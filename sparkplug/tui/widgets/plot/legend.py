"""The line above a plot: what each line is, and its value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.style import Style

from sparkplug.tui.cells import Line, Span, length
from sparkplug.tui.figures import duration
from sparkplug.tui.units import Unit
from sparkplug.tui.widgets.plot.picture import Limit, Series

#: What a line tells of itself: the series, its pen and its value.
Told = tuple[Series, str | Style, float | None]


def legend(
    told: Sequence[Told], limits: Sequence[Limit], unit: Unit, width: int, moment: str = ""
) -> Line:
    """Symbols, names and values; names go first where it is narrow, then limits, then blanks.

    Of more lines than fit even so, it says how many it leaves out.
    """
    shown = [unit.text(value) for _, _, value in told]
    room = max((len(text) for text in shown), default=0)
    head: list[Span] = [("title", f"{moment} ")] if moment else []
    tail: list[Span] = []
    for limit in limits:
        tail += [(limit.pen, "┄ "), ("dim", f"{limit.name} {unit.text(limit.value)} ")]
    for named, tailed, blanks in ((True, True, 2), (False, True, 2), (False, False, 2)):
        parts = [_part(*one, room, blanks, named=named) for one in zip(told, shown, strict=True)]
        line = (*head, *(span for part in parts for span in part), *(tail if tailed else ()))
        if length(line) - (1 if tailed and tail else blanks) <= width:
            return line
    parts = [_part(*one, room, 1, named=False) for one in zip(told, shown, strict=True)]
    if not parts:
        return tuple(head)
    fits = max(0, width + 1 - length(tuple(head))) // max(1, length(tuple(parts[0])))
    if fits < len(parts):
        # Room for how many more there are.
        fits = max(0, width - 3 - length(tuple(head))) // max(1, length(tuple(parts[0])))
        parts[fits:] = [[("dim", f"+{len(parts) - fits}")]]
    return (*head, *(span for part in parts for span in part))


def _part(one: Told, text: str, room: int, blanks: int, *, named: bool) -> list[Span]:
    """What is told of one line."""
    series, pen, value = one
    name = f" {series.name}" if named and series.name != series.symbol else ""
    return [
        (pen, series.symbol),
        ("dim", f"{name} "),
        ("text" if value is not None else "dim", f"{text:>{room}}{' ' * blanks}"),
    ]


def moment_text(time: float, newest: float, *, clock: bool) -> str:
    """The time of the cursor: of day, or how long before the last sample."""
    if clock:
        return f"{datetime.fromtimestamp(time).astimezone():%H:%M:%S}"
    return f"-{duration(newest - time)}" if newest > time else "now"
