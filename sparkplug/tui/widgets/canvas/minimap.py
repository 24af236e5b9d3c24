"""The whole plane in a corner: where the boxes are, and what of it is in sight."""

from __future__ import annotations

from collections.abc import Iterable

from sparkplug.tui.cells import Line, Span
from sparkplug.tui.widgets.canvas.model import Rect

#: Its inside in cells, and the least view that has room for it.
WIDTH, HEIGHT = 20, 5
LEAST_WIDTH, LEAST_HEIGHT = 60, 14
# The dots of a braille character (ISO/TR 11548-1), by column and row.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


class Minimap:
    """Boxes as braille dots. `place` is where a cell of the map leads to."""

    def __init__(self, boxes: Iterable[Rect], bounds: Rect) -> None:
        self._bounds = bounds
        self._cells = [[0] * WIDTH for _ in range(HEIGHT)]
        wide, high = max(1, bounds.width), max(1, bounds.height)
        for box in boxes:
            first = (box.x - bounds.x) * WIDTH * 2 // wide
            last = (box.right - 1 - bounds.x) * WIDTH * 2 // wide
            top = (box.y - bounds.y) * HEIGHT * 4 // high
            end = (box.bottom - 1 - bounds.y) * HEIGHT * 4 // high
            for x in range(max(0, first), min(WIDTH * 2 - 1, last) + 1):
                for y in range(max(0, top), min(HEIGHT * 4 - 1, end) + 1):
                    self._cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]

    def place(self, x: int, y: int) -> tuple[float, float]:
        """The cell of the plane under the middle of a cell of the map."""
        bounds = self._bounds
        return (
            bounds.x + (x + 0.5) * bounds.width / WIDTH,
            bounds.y + (y + 0.5) * bounds.height / HEIGHT,
        )

    def row(self, y: int, view: Rect) -> Line:
        """A row of the map, its border counted; what is in the view stands out."""
        if y == 0:
            return (("line", "╭" + "─" * WIDTH + "╮"),)
        if y > HEIGHT:
            return (("line", "╰" + "─" * WIDTH + "╯"),)
        bounds = self._bounds
        found: list[Span] = [("line", "│")]
        for x, dots in enumerate(self._cells[y - 1]):
            rect = Rect(
                bounds.x + x * bounds.width // WIDTH,
                bounds.y + (y - 1) * bounds.height // HEIGHT,
                max(1, bounds.width // WIDTH),
                max(1, bounds.height // HEIGHT),
            )
            seen = rect.meets(view)
            found.append(
                ("focus" if seen else "line", chr(0x2800 + dots) if dots else "·" if seen else " ")
            )
        return (*found, ("line", "│"))
