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
    """Symbols, names and values; names go first where it is narrow, then the limits."""
    shown = [unit.text(value) for _, _, value in told]
    room = max((len(text) for text in shown), default=0)
    head: list[Span] = [("title", f"{moment} ")] if moment else []
    tail: list[Span] = []
    for limit in limits:
        tail += [(limit.pen, "┄ "), ("dim", f"{limit.name} {unit.text(limit.value)} ")]
    for named, tailed in ((True, True), (False, True), (False, False)):
        line = list(head)
        for (series, pen, value), text in zip(told, shown, strict=True):
            name = f" {series.name}" if named and series.name != series.symbol else ""
            line += [
                (pen, series.symbol),
                ("dim", f"{name} "),
                ("text" if value is not None else "dim", f"{text:>{room}}  "),
            ]
        line += tail if tailed else []
        if length(tuple(line)) <= width + 2:
            break
    return tuple(line)


def moment_text(time: float, newest: float, *, clock: bool) -> str:
    """The time of the cursor: of day, or how long before the last sample."""
    if clock:
        return f"{datetime.fromtimestamp(time).astimezone():%H:%M:%S}"
    return f"-{duration(newest - time)}" if newest > time else "now"
