"""A graph in layers that lead to the right or down: `lay_out` puts the three steps together.

`ranks` gives the layers, `order` the order within them, `across` the places across them, and
`channels` the edges between them. Parts that do not hang together are laid out one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sparkplug.tui.widgets.canvas import across, channels, order, ranks
from sparkplug.tui.widgets.canvas.model import Drawing, Key, Point, Rect, Shape

#: What is put in rows because nothing hangs on it is laid out at least so wide, in cells.
_SHELF = 72


def lay_out(shape: Shape, before: Drawing | None = None) -> Drawing:
    """Where everything is. Boxes that are in `before` stay in their layers and in their order,
    and in their places across unless a new one needs them; unless edges led another way there."""
    sizes = {name: (width, height) for name, width, height in shape.sizes}
    names = [name for name, _, _ in shape.sizes]
    pairs = [(key.source, key.target) for key, _ in shape.wires]
    if before is not None and (before.way != shape.way or not before.ranks.keys() & sizes.keys()):
        before = None
    if before is not None:
        known = before.ranks
        rank = ranks.joined(names, pairs, known)
        linked = {name for pair in pairs for name in pair} | (known.keys() & sizes.keys())
        return _with_loose(shape, names, linked, rank, sizes, before)
    groups = ranks.components(names, pairs)
    rank = ranks.layers(names, pairs)
    linked = {name for group in groups if len(group) > 1 for name in group}
    return _with_loose(shape, names, linked, rank, sizes, None)


def _with_loose(
    shape: Shape,
    names: Sequence[str],
    linked: set[str],
    rank: Mapping[str, int],
    sizes: Mapping[str, tuple[int, int]],
    before: Drawing | None,
) -> Drawing:
    """Parts below each other (beside, where edges lead down), then what nothing hangs on."""
    down = shape.way == "down"
    ids = [name for name in names if name in linked]
    pairs = [(key.source, key.target) for key, _ in shape.wires]
    parts = [ids] if before is not None else ranks.components(ids, pairs)
    places: dict[str, Rect] = {}
    routes: dict[Key, tuple[Point, ...]] = {}
    labels: dict[Key, Rect] = {}
    at = 0
    for part in parts:
        inside = set(part)
        if not inside:
            continue
        wires = [wire for wire in shape.wires if wire[0].source in inside]
        drawn = _Part(part, wires, rank, sizes, down, before).draw()
        bounds = drawn.bounds
        shift = (
            (0, 0)
            if before is not None
            else (at - bounds.x, -bounds.y)
            if down
            else (-bounds.x, at - bounds.y)
        )
        places.update({name: _moved(rect, *shift) for name, rect in drawn.places.items()})
        labels.update({key: _moved(rect, *shift) for key, rect in drawn.labels.items()})
        for key, route in drawn.routes.items():
            routes[key] = tuple(Point(x + shift[0], y + shift[1]) for x, y in route)
        at += (bounds.width if down else bounds.height) + (2 if down else 1)
    found = Drawing(places, routes, labels, {name: rank[name] for name in ids}, shape.way)
    loose = [name for name in names if name not in linked]
    if loose:
        bounds = found.bounds
        _shelve(loose, sizes, places, bounds)
    return found


def _shelve(
    loose: Sequence[str],
    sizes: Mapping[str, tuple[int, int]],
    places: dict[str, Rect],
    bounds: Rect,
) -> None:
    """Rows of boxes below what is there."""
    area = sum((sizes[name][0] + 2) * (sizes[name][1] + 1) for name in loose)
    most = max(_SHELF, bounds.width, round((area * 3) ** 0.5))
    x, y, high = bounds.x, bounds.bottom + (1 if bounds.height else 0), 0
    for name in loose:
        width, height = sizes[name]
        if x > bounds.x and x + width > bounds.x + most:
            x, y, high = bounds.x, y + high + (1 if height > 1 else 0), 0
        places[name] = Rect(x, y, width, height)
        x += width + 2
        high = max(high, height)


def _moved(rect: Rect, x: int, y: int) -> Rect:
    return rect._replace(x=rect.x + x, y=rect.y + y)


@dataclass(slots=True)
class _Channel:
    """The cells between two layers: its nets, the empty cells before and after their tracks."""

    nets: dict[channels.Name, channels.Net]
    before: int
    after: int
    start: int = 0
    count: int = 0
    step: int = 1

    def cell(self, track: int) -> int:
        return self.start + self.before + track * self.step

    @property
    def width(self) -> int:
        inside = 1 + (self.count - 1) * self.step if self.count else 0
        return self.before + inside + self.after


class _Part:
    """One part of a graph, along (the way edges lead) and across."""

    def __init__(
        self,
        ids: Sequence[str],
        wires: Sequence[tuple[Key, int]],
        rank: Mapping[str, int],
        sizes: Mapping[str, tuple[int, int]],
        down: bool,
        before: Drawing | None,
    ) -> None:
        self._down = down
        self._room = dict(wires)
        self._graph = order.build(ids, list(self._room), {name: rank[name] for name in ids})
        self._number = {name: at for at, name in enumerate(ids)}
        self._old = before
        settled = None
        if before is not None:
            settled = {
                name: rect.x if down else rect.y
                for name, rect in before.places.items()
                if name in self._number
            }
        order.sort(self._graph, settled)
        nodes = self._graph.nodes
        size = [sizes[node.box] if node.box else (0, 0) for node in nodes]
        self._along = [height if down else width for width, height in size]
        self._wide = [(width if down else height) or 1 for width, height in size]
        for at, count in enumerate(across.demand(self._graph)):
            if self._wide[at] >= 3:
                self._wide[at] = max(self._wide[at], count + 2)
        full = max(self._wide, default=1) > 1
        gaps = across.Gaps(3, 2, 1) if down else across.Gaps(1, 1, 0) if full else across.Gaps(0, 0)
        self._ports = across.ports(self._graph, self._wide)
        self._place = across.assign(self._graph, self._wide, self._ports, gaps, settled)
        self._channels = [self._channel(at) for at in range(len(self._graph.layers))]
        self._starts = self._layer_starts()
        self._marks: set[tuple[int, int]] = set()

    def draw(self) -> Drawing:
        """Places, routes and labels."""
        nodes = self._graph.nodes
        places = {node.box: self._rect(at) for at, node in enumerate(nodes) if node.box}
        routes: dict[Key, tuple[Point, ...]] = {}
        labels: dict[Key, Rect] = {}
        for key in self._room:
            route = self._route(key)
            routes[key] = route
        self._marks = _marked(routes) if self._down else set()
        for key, room in self._room.items():
            label = self._label(routes[key], room) if room else None
            if label is not None:
                labels[key] = label
        return Drawing(places, routes, labels)

    def _rect(self, at: int) -> Rect:
        along, side = self._starts[self._graph.nodes[at].layer], self._place[at]
        size = self._along[at], self._wide[at]
        if self._down:
            return Rect(side, along, size[1], size[0])
        return Rect(along, side, *size)

    def _after(self, at: int, back: bool) -> int:
        return self._place[at] + self._ports.after.get((at, back), 0)

    def _before(self, at: int, other: int, back: bool) -> int:
        return self._place[at] + self._ports.before.get((other, at, back), 0)

    def _channel(self, layer: int) -> _Channel:
        """The nets after a layer, each in its track."""
        nets: dict[channels.Name, channels.Net] = {}
        graph, room = self._graph, self._room
        last, first = [0], [0]
        for key, (back, path) in graph.paths.items():
            for a, b in pairwise(path):
                if graph.nodes[a].layer != layer:
                    continue
                net = nets.setdefault((a, back), channels.Net((a, back)))
                net.left.add(self._after(a, back))
                net.right.add(self._before(b, a, back))
            if back and graph.nodes[path[0]].layer == layer:
                first.append(room[key])
            elif not back and graph.nodes[path[-1]].layer == layer + 1:
                last.append(room[key])
        backs = any(back for _, back in nets)
        for key in graph.flat:
            a, b = self._number[key.source], self._number[key.target]
            if graph.nodes[a].layer == layer:
                net = nets.setdefault((a, False), channels.Net((a, False)))
                net.left |= {self._after(a, False), self._after(b, True)}
                first.append(room[key])
                backs = True
        count = channels.tracks(list(nets.values()))
        label, start = max(last), max(first)
        if self._down:
            found = _Channel(nets, 1 if backs or not count else 0, 2 if label else 1)
            found.before += bool(start)
        else:
            found = _Channel(nets, 2 if backs else 1, label + 4 if label else 2)
            found.before = start + 4 if start else found.before
            found.step = 2 if count <= 6 and max(self._wide) > 1 else 1
        found.count = count
        if layer == len(graph.layers) - 1:
            found.after = 0
        return found

    def _layer_starts(self) -> list[int]:
        """The first cell of each layer along; no earlier than it was before."""
        starts, at = [], 0
        for number, layer in enumerate(self._graph.layers):
            if self._old is not None:
                boxes = [self._graph.nodes[n].box for n in layer]
                old = [self._old.places[b] for b in boxes if b in self._old.places]
                if old:
                    at = max(at, min(rect.y if self._down else rect.x for rect in old))
            starts.append(at)
            at += max(self._along[node] for node in layer)
            self._channels[number].start = at
            at += self._channels[number].width
        return starts

    def _end(self, at: int) -> int:
        return self._starts[self._graph.nodes[at].layer] + self._along[at]

    def _route(self, key: Key) -> tuple[Point, ...]:
        cells: list[tuple[int, int]] = []
        nodes = self._graph.nodes
        back = False
        if key in self._graph.paths:
            back, path = self._graph.paths[key]
            for a, b in pairwise(path):
                channel = self._channels[nodes[a].layer]
                start, end = self._after(a, back), self._before(b, a, back)
                cells.append((self._end(a) if nodes[a].box else channel.start, start))
                corners = channel.nets[a, back].corners(start, end)
                cells += [(channel.cell(track), row) for track, row in corners]
                cells.append((self._starts[nodes[b].layer] - 1, end))
        else:
            a, b = self._number[key.source], self._number[key.target]
            channel = self._channels[nodes[a].layer]
            start, end = self._after(a, False), self._after(b, True)
            cells.append((self._end(a), start))
            corners = channel.nets[a, False].corners(start, end, turns=True)
            cells += [(channel.cell(track), row) for track, row in corners]
            cells.append((self._end(b), end))
        points = [Point(side, along) if self._down else Point(along, side) for along, side in cells]
        return straightened(points[::-1] if back else points)

    def _label(self, route: tuple[Point, ...], room: int) -> Rect | None:
        """Room for a label beside the tip of an edge, when none is written there yet."""
        (x, y), (from_x, from_y) = route[-1], route[-2] if len(route) > 1 else route[-1]
        if not self._down:
            left = x - 2 - room - 1 if from_x <= x else x + 2
            found = Rect(left, y, room + 2, 1)
            inside = min(x, from_x) <= found.x and found.right - 1 <= max(x, from_x)
            if not inside:
                return None
        else:
            row = y - 1 if from_y <= y else y + 1
            found = Rect(x + 1, row, room, 1)
        cells = {(column, found.y) for column in range(found.x, found.right)}
        if cells & self._marks:
            return None
        self._marks |= cells
        return found


def _marked(routes: Mapping[Key, tuple[Point, ...]]) -> set[tuple[int, int]]:
    """Every cell that has an edge in it."""
    found: set[tuple[int, int]] = set()
    for route in routes.values():
        found.add(route[0])
        for (x, y), (to_x, to_y) in pairwise(route):
            for column in range(min(x, to_x), max(x, to_x) + 1):
                found.update((column, row) for row in range(min(y, to_y), max(y, to_y) + 1))
    return found


def straightened(points: Sequence[Point]) -> tuple[Point, ...]:
    """The corners alone: no point twice, none in the middle of a straight piece."""
    found: list[Point] = []
    for point in points:
        if found and point == found[-1]:
            continue
        if len(found) > 1:
            (ax, ay), (bx, by) = found[-2], found[-1]
            across_it = (ax == bx == point.x) or (ay == by == point.y)
            onward = (bx - ax) * (point.x - bx) >= 0 and (by - ay) * (point.y - by) >= 0
            if across_it and onward:
                found[-1] = point
                continue
        found.append(point)
    return tuple(found)
