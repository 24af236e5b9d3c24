"""Textual's compositor, asked for no more of the screen than what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual._compositor import ChopsUpdate, Compositor
from textual._context import visible_screen_stack
from textual.geometry import Region
from textual.strip import Strip

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.screen import Screen

#: Cells of a row, the first one and the one after the last.
_Span = tuple[int, int]


class SparseUpdate(ChopsUpdate):
    """Rows of a screen of some size; those that did not change are empty."""

    def __init__(
        self,
        pieces: list[dict[int, Strip | None]],
        spans: list[tuple[int, int, int]],
        ends: list[list[int]],
        width: int,
    ) -> None:
        super().__init__(pieces, spans, ends)
        self.width = width


class SparseCompositor(Compositor):
    """Renders, of the widgets that stand where something changed, the rows that changed.

    Textual 8.2 renders all rows of all widgets on the screen whenever a cell of one changes, those
    that are wholly covered too (`Compositor._get_renders`).
    """

    def render_update(
        self,
        full: bool = False,
        screen_stack: list[Screen[Any]] | None = None,
        simplify: bool = False,
    ) -> RenderableType | None:
        """What changed since the last time, also where that is the whole screen."""
        if full or self.size.region not in self._dirty_regions:
            return super().render_update(full, screen_stack, simplify)
        visible_screen_stack.set(screen_stack or [])
        return self.render_partial_update()

    def render_partial_update(self) -> ChopsUpdate | None:
        """What changed since the last time; None when nothing did."""
        screen = self.size.region
        regions = {region.intersection(screen) for region in self._dirty_regions}
        self._dirty_regions.clear()
        spans = list(self._regions_to_spans(region for region in regions if region))
        if not spans:
            return None
        width, height = self.size
        wanted: dict[int, list[_Span]] = {}
        for y, first, last in spans:
            wanted.setdefault(y, []).append((first, last))
        # Front to back: what is in front of a widget has its cells already.
        free: dict[int, list[_Span]] = {y: [(0, width)] for y in wanted}
        found: dict[int, list[tuple[int, int, Strip]]] = {y: [] for y in wanted}
        for widget, (region, clip) in self.visible_widgets.items():
            seen = region.intersection(clip)
            x1, y1, x2, y2 = seen.corners
            rows: dict[int, list[_Span]] = {}
            for y in [y for y in free if y1 <= y < y2]:
                pieces, rest = _taken(free[y], x1, x2)
                if not pieces:
                    continue
                pieces = [piece for piece in pieces if _touches(piece, wanted[y])]
                if pieces:
                    rows[y] = pieces
                if any(_touches(span, wanted[y]) for span in rest):
                    free[y] = rest
                else:
                    del free[y]
            if rows:
                top, bottom = min(rows), max(rows) + 1
                crop = Region(seen.x - region.x, top - region.y, seen.width, bottom - top)
                strips = widget.render_lines(crop)
                for y, pieces in rows.items():
                    strip = strips[y - top]
                    for first, last in pieces:
                        whole = first == x1 and last == x2
                        part = strip if whole else strip.crop(first - x1, last - x1)
                        found[y].append((first, last, part))
            if not free:
                break
        chops: list[dict[int, Strip | None]] = [{} for _ in range(height)]
        ends: list[list[int]] = [[] for _ in range(height)]
        for y, row in found.items():
            row.sort(key=lambda piece: piece[0])
            chops[y] = {first: strip for first, _, strip in row}
            ends[y] = [last for _, last, _ in row]
        return SparseUpdate(chops, spans, ends, width)


def _taken(free: list[_Span], x1: int, x2: int) -> tuple[list[_Span], list[_Span]]:
    """What of the free cells lies from `x1` up to `x2`, and what does not."""
    inside: list[_Span] = []
    rest: list[_Span] = []
    for span in free:
        first, last = span
        if first >= x2 or last <= x1:
            rest.append(span)
            continue
        inside.append((max(first, x1), min(last, x2)))
        if first < x1:
            rest.append((first, x1))
        if last > x2:
            rest.append((x2, last))
    return inside, rest


def _touches(span: _Span, others: list[_Span]) -> bool:
    first, last = span
    return any(first < end and last > start for start, end in others)
