"""Boxes where a person put them, and edges led around them one by one.

Each edge takes the cheapest way over free cells (A*, Hart, Nilsson and Raphael 1968), where a
turn, a crossing and above all a cell that another edge already runs along cost more.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import pairwise

from sparkplug.tui.widgets.canvas.layered import straightened
from sparkplug.tui.widgets.canvas.model import Drawing, Graph, Key, Point, Rect, Zoom

_TURN, _CROSS, _ALONG, _NEAR = 4, 3, 14, 2
#: Further than this around both ends no way is looked for, in cells.
_MARGIN = 24
#: What a side costs beside the one that edges leave and enter by the graph's way.
_SIDES = (0, 4, 4, 7)
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
#: Columns and rows of the plane that become one at a zoom. No box is narrower or lower than
#: that, so that boxes that did not overlap do not then.
_SCALE: dict[Zoom, tuple[int, int]] = {"full": (1, 1), "line": (2, 3), "dot": (4, 3)}


def scaled(place: Point, zoom: Zoom) -> Point:
    """Where a place of the plane is at a zoom."""
    x, y = _SCALE[zoom]
    return Point(place.x // x, place.y // y)


def unscaled(place: Point, zoom: Zoom) -> Point:
    """The place of the plane that is there at a zoom."""
    x, y = _SCALE[zoom]
    return Point(place.x * x, place.y * y)


def place_boxes(graph: Graph, zoom: Zoom) -> dict[str, Rect]:
    """The cells of every box, where it was put."""
    found = {}
    for name, box in graph.by_id.items():
        at = scaled(box.place or Point(0, 0), zoom)
        width, height = box.size(zoom)
        if zoom == "line":
            width = min(width, box.size("full")[0] // 2)
        found[name] = Rect(*at, width, height)
    return found


def lay_out_placed(graph: Graph, zoom: Zoom, before: Drawing | None = None) -> Drawing:
    """Where everything is when the boxes are where they were put. With what was `before`, only
    the edges of boxes that are elsewhere now, and those that are in their way, are led anew."""
    places = place_boxes(graph, zoom)
    routes: dict[Key, tuple[Point, ...]] = {}
    if before is not None:
        others = {name for name, place in places.items() if before.places.get(name) != place}
        in_the_way = [places[name] for name in others]
        for key in graph.by_key:
            route = before.routes.get(key)
            if route is None or key.source in others or key.target in others:
                continue
            if not any(rect.meets(place) for rect in _cells(route) for place in in_the_way):
                routes[key] = route
    router = _Router(places, routes)
    down = graph.way == "down"
    for key in graph.by_key:
        if key not in routes:
            routes[key] = router.lead(key, down=down)
    routes = {key: routes[key] for key in graph.by_key}
    labels = _labels(graph, places, routes) if zoom != "dot" else {}
    return Drawing(places, routes, labels)


def _cells(route: tuple[Point, ...]) -> list[Rect]:
    found = [Rect(*route[0], 1, 1)]
    for (x, y), (to_x, to_y) in pairwise(route):
        found.append(Rect(min(x, to_x), min(y, to_y), abs(to_x - x) + 1, abs(to_y - y) + 1))
    return found


class _Router:
    """The cells that are taken, and by what."""

    def __init__(self, places: Mapping[str, Rect], routes: Mapping[Key, tuple[Point, ...]]) -> None:
        self._places = places
        self._blocked: set[tuple[int, int]] = set()
        self._near: set[tuple[int, int]] = set()
        for place in places.values():
            for y in range(place.y, place.bottom):
                self._blocked.update((x, y) for x in range(place.x, place.right))
            for y in range(place.y - 1, place.bottom + 1):
                self._near.update(((place.x - 1, y), (place.right, y)))
            for x in range(place.x, place.right):
                self._near.update(((x, place.y - 1), (x, place.bottom)))
        #: Edges by the cells they go along: across, and up and down.
        self._taken: tuple[dict[tuple[int, int], Key], dict[tuple[int, int], Key]] = ({}, {})
        for key, route in routes.items():
            self._take(key, route)

    def _take(self, key: Key, route: tuple[Point, ...]) -> None:
        for (x, y), (to_x, to_y) in pairwise(route):
            taken = self._taken[x == to_x]
            for column in range(min(x, to_x), max(x, to_x) + 1):
                for row in range(min(y, to_y), max(y, to_y) + 1):
                    taken[column, row] = key

    def lead(self, key: Key, *, down: bool) -> tuple[Point, ...]:
        """The way of an edge. Between boxes that leave no way free it is led beneath them."""
        source, target = self._places[key.source], self._places[key.target]
        found = self._search(key, source, target, down=down)
        if found is None:
            found = _beneath(source, target)
        self._take(key, found)
        return found

    def _search(
        self, key: Key, source: Rect, target: Rect, *, down: bool
    ) -> tuple[Point, ...] | None:
        left, top = min(source.x, target.x) - _MARGIN, min(source.y, target.y) - _MARGIN
        right, bottom = max(source.right, target.right), max(source.bottom, target.bottom)
        right, bottom = right + _MARGIN, bottom + _MARGIN
        ends: dict[tuple[int, int, int], int] = {}
        for cost, at in zip(_SIDES, _sides(target, (3 if down else 2)), strict=True):
            x, y, way = at
            ends[x, y, (way + 2) % 4] = cost
        goal_x, goal_y = target.x + target.width // 2, target.y + target.height // 2
        reach = target.width // 2 + target.height // 2 + 2
        heap: list[tuple[int, int, int, int, int]] = []
        best: dict[tuple[int, int, int], int] = {}
        came: dict[tuple[int, int, int], tuple[int, int, int]] = {}
        for cost, (x, y, way) in zip(_SIDES, _sides(source, 1 if down else 0), strict=True):
            if (x, y) not in self._blocked:
                best[x, y, way] = cost
                heappush(heap, (cost, cost, x, y, way))
        end: tuple[int, int, int] | None = None
        least = 0
        while heap:
            guess, cost, x, y, way = heappop(heap)
            state = (x, y, way)
            if end is not None and guess >= least:
                break
            if best[state] < cost:
                continue
            if state in ends and (end is None or cost + ends[state] < least):
                end, least = state, cost + ends[state]
            for turn in (0, 1, 3):
                to = (way + turn) % 4
                # a turn is made in the cell one stands in, a step leads on
                nx, ny = (x, y) if turn else (x + _STEPS[way][0], y + _STEPS[way][1])
                if not (left <= nx < right and top <= ny < bottom) or (nx, ny) in self._blocked:
                    continue
                bend = _TURN + _NEAR * ((x, y) in self._near)
                price = cost + (bend if turn else 1 + self._price(key, nx, ny, way))
                there = (nx, ny, to)
                if price < best.get(there, 1 << 30):
                    best[there] = price
                    came[there] = state
                    far = max(0, abs(goal_x - nx) + abs(goal_y - ny) - reach)
                    heappush(heap, (price + far, price, nx, ny, to))
        if end is None:
            return None
        points = [Point(end[0], end[1])]
        while end in came:
            end = came[end]
            points.append(Point(end[0], end[1]))
        return straightened(points[::-1])

    def _price(self, key: Key, x: int, y: int, way: int) -> int:
        """What a step onto a cell costs beyond the step."""
        cost = _NEAR if (x, y) in self._near else 0
        upright = way % 2
        along, across = self._taken[upright].get((x, y)), self._taken[not upright].get((x, y))
        if along is not None and along.source != key.source and along.target != key.target:
            cost += _ALONG
        if across is not None and across.source != key.source and across.target != key.target:
            cost += _CROSS
        return cost


def _sides(place: Rect, first: int) -> list[tuple[int, int, int]]:
    """The cell beside the middle of each side and the way out of it, from a side on: right,
    down, left, up are 0 to 3; the side opposite comes last."""
    x, y = place.x + (place.width - 1) // 2, place.y + (place.height - 1) // 2
    all_four = [
        (place.right, y, 0),
        (x, place.bottom, 1),
        (place.x - 1, y, 2),
        (x, place.y - 1, 3),
    ]
    return [all_four[(first + turn) % 4] for turn in (0, 1, 3, 2)]


def _beneath(source: Rect, target: Rect) -> tuple[Point, ...]:
    """Straight on and one turn, whatever lies over it."""
    y, x = source.y + (source.height - 1) // 2, target.x - 1
    end = target.y + (target.height - 1) // 2
    return straightened([Point(source.right, y), Point(x, y), Point(x, end)])


def _labels(
    graph: Graph, places: Mapping[str, Rect], routes: Mapping[Key, tuple[Point, ...]]
) -> dict[Key, Rect]:
    """Labels on the longest piece across of each edge, where nothing else is."""
    found: dict[Key, Rect] = {}
    upright: set[tuple[int, int]] = set()
    for route in routes.values():
        for a, b in pairwise(route):
            if a.x == b.x:
                upright.update((a.x, y) for y in range(min(a.y, b.y), max(a.y, b.y) + 1))
    taken = [*places.values()]
    for key, edge in graph.by_key.items():
        if not edge.space:
            continue
        pieces = [(abs(b.x - a.x), a, b) for a, b in pairwise(routes[key]) if a.y == b.y]
        for size, a, b in sorted(pieces, key=lambda piece: -piece[0]):
            width = edge.space + 2
            if size - 2 < width:
                break
            label = Rect(min(a.x, b.x) + 1 + (size - 1 - width) // 2, a.y, width, 1)
            free = not any((x, label.y) in upright for x in range(label.x, label.right))
            if free and not any(label.meets(other) for other in taken):
                found[key] = label
                taken.append(label)
                break
    return found
