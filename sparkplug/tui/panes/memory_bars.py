"""How much happened to memories when, as bars: what came, what was read, what went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sparkplug.tui.cells import Line, Span

if TYPE_CHECKING:
    from sparkplug.schema.memory_timeline import HappeningKind, TimelineSpan

_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = 8
#: Cells between the ends of the line below the bars, so that a mark has its place beside one.
_ROOM = 4


@dataclass(frozen=True, slots=True)
class Sort:
    """Kinds that are drawn as one: their pen, and the sign of each in the list."""

    name: str
    pen: str
    sign: str
    kinds: tuple[str, ...]


#: From the foot of a bar up: what one looks for stands lowest, so that it is on one height.
SORTS = (
    Sort("taken away", "bad", "✖", ("deleted", "quarantined")),
    Sort("changed", "warn", "◐", ("edited", "moved", "weighed", "merged", "kept", "restored")),
    Sort("added", "ok", "●", ("added", "said", "released")),
    Sort("read", "active", "○", ("read",)),
)
_OF_KIND = {kind: sort for sort in SORTS for kind in sort.kinds}


def sort_of(kind: str) -> Sort:
    """What a kind is drawn as."""
    return _OF_KIND[str(kind)]


def totals(spans: Sequence[TimelineSpan]) -> dict[str, int]:
    """How often each sort happened."""
    found = {sort.name: 0 for sort in SORTS}
    for span in spans:
        for kind, count in span.counts.items():
            found[sort_of(kind).name] += count
    return found


def legend(counts: Mapping[str, int]) -> Line:
    """What the pens mean, with how often."""
    line: list[Span] = []
    for sort in reversed(SORTS):
        pen = sort.pen if counts[sort.name] else "dim"
        line += [(pen, f"{sort.sign} "), ("text", f"{counts[sort.name]} "), ("dim", sort.name)]
        line.append(("text", "   "))
    return tuple(line[:-1])


def bars(spans: Sequence[TimelineSpan], width: int, rows: int) -> list[Line]:
    """Bars in so many cells and rows, each stacked of what happened in its span of time.

    The highest is as high as there is room, and whatever there is of something is seen.
    """
    columns = [_heights(spans, at, width) for at in range(width)]
    most = max((sum(heights) for heights in columns), default=0)
    if not most or width <= 0 or rows <= 0:
        return [() for _ in range(max(0, rows))]
    drawn = [_stacked(heights, most, rows * _EIGHTHS) for heights in columns]
    return [_row(drawn, row) for row in reversed(range(rows))]


def _heights(spans: Sequence[TimelineSpan], at: int, width: int) -> list[int]:
    """How often each sort happened in one cell's share of the time."""
    first = at * len(spans) // width
    last = max(first + 1, (at + 1) * len(spans) // width)
    found = [0] * len(SORTS)
    for span in spans[first:last]:
        for kind, count in span.counts.items():
            found[SORTS.index(sort_of(kind))] += count
    return found


def _stacked(heights: Sequence[int], most: int, full: int) -> list[tuple[int, str]]:
    """Up to which eighth each pen reaches; one in a thousand is one eighth, too."""
    found: list[tuple[int, str]] = []
    at = 0
    for sort, height in zip(SORTS, heights, strict=True):
        if height:
            at += max(1, height * full // most)
            found.append((min(at, full), sort.pen))
    return found


def _row(columns: Sequence[Sequence[tuple[int, str]]], row: int) -> Line:
    """One row of cells, `row` from the foot: in each the pen that has the most of it."""
    line: list[Span] = []
    for parts in columns:
        foot, top = row * _EIGHTHS, parts[-1][0] if parts else 0
        filled = min(_EIGHTHS, max(0, top - foot))
        pen, before, share = "line", 0, 0
        for upto, its in parts:
            inside = min(upto, foot + _EIGHTHS) - max(before, foot)
            if inside > share:
                pen, share = its, inside
            before = upto
        text = _BLOCKS[filled]
        if line and line[-1][0] == pen:
            line[-1] = (pen, line[-1][1] + text)
        else:
            line.append((pen, text))
    return tuple(line)


def axis(since: datetime, until: datetime, width: int, mark: datetime | None) -> Line:
    """The line below: both ends, and where the row under the cursor happened."""
    first, last = (moment_words(moment, since, until) for moment in (since, until))
    room = width - len(first) - len(last)
    length = (until - since).total_seconds()
    if room < _ROOM or length <= 0:
        return (("dim", last[:width].rjust(width)),)
    if mark is None or not since <= mark <= until:
        return (("dim", f"{first}{' ' * room}{last}"),)
    at = min(width - 1, int((mark - since).total_seconds() / length * width))
    # The words give way to the mark.
    begin = at + 2 if at <= len(first) else 0
    end = at - 1 if at >= width - len(last) - 1 else width
    left = f"{'':<{begin}}{first}"
    if len(left) >= end - len(last):
        left = ""
    text = f"{left:<{max(0, end - len(last))}}{last}".ljust(width)[:width]
    return (("dim", text[:at]), ("focus", "▲"), ("dim", text[at + 1 :]))


def moment_words(moment: datetime, since: datetime, until: datetime) -> str:
    """A moment as exactly as the time between two others asks for."""
    length = (until - since).total_seconds()
    here = moment.astimezone()
    if length < 3600:
        return f"{here:%H:%M:%S}"
    return f"{here:%a %H:%M}" if length < 7 * 86400 else f"{here:%Y-%m-%d}"


def kinds_of(name: str) -> list[HappeningKind]:
    """The kinds of a sort, as they are asked for."""
    from sparkplug.schema.memory_timeline import HappeningKind

    return [HappeningKind(kind) for sort in SORTS if sort.name == name for kind in sort.kinds]
