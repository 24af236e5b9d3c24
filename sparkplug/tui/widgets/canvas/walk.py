"""Which box or edge comes next: in order, or on a side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sparkplug.tui.widgets.canvas.model import Drawing, Key, Rect

Side = Literal["left", "right", "up", "down"]
#: Rows are about twice as high as columns are wide.
_ROW = 2


def boxes_in_order(drawing: Drawing) -> list[str]:
    """Boxes from left to right, those of one column from top to bottom."""
    return sorted(drawing.places, key=lambda name: (drawing.places[name][:2], name))


def edges_in_order(drawing: Drawing) -> list[Key]:
    """Edges by the boxes they leave, then by those they enter, in the order of the boxes."""
    number = {name: at for at, name in enumerate(boxes_in_order(drawing))}
    return sorted(drawing.routes, key=lambda key: (number[key.source], number[key.target], key))


def nearest_to(drawing: Drawing, x: int, y: int) -> str | None:
    """The box whose middle is nearest to a cell."""
    return min(
        drawing.places,
        key=lambda name: (_far(*_middle(drawing.places[name]), x, y), name),
        default=None,
    )


def towards(drawing: Drawing, name: str, side: Side) -> str | None:
    """The nearest box on a side of a box; one that is straight ahead is nearer than others."""
    place = drawing.places[name]
    x, y = _middle(place)
    found: list[tuple[float, str]] = []
    for other, there in _others(drawing, name):
        to_x, to_y = _middle(there)
        ahead, aside = abs(to_x - x), abs(to_y - y) * _ROW
        if side in ("up", "down"):
            ahead, aside = aside, ahead
        beyond = {
            "right": there.x >= place.right,
            "left": there.right <= place.x,
            "down": there.y >= place.bottom,
            "up": there.bottom <= place.y,
        }[side]
        if beyond:
            found.append((ahead + 2 * aside, other))
    return min(found, default=(0, None))[1]


def _others(drawing: Drawing, name: str) -> Iterable[tuple[str, Rect]]:
    return ((other, place) for other, place in drawing.places.items() if other != name)


def _middle(place: Rect) -> tuple[float, float]:
    return place.x + place.width / 2, place.y + place.height / 2


def _far(x: float, y: float, to_x: float, to_y: float) -> float:
    return abs(to_x - x) + abs(to_y - y) * _ROW
