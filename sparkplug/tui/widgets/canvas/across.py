"""Where nodes are across their layers, and where edges leave and enter them.

Across is down where edges lead to the right, and to the right where they lead down.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sparkplug.tui.widgets.canvas.order import Layered

_ROUNDS = 3
#: How much a bend and a box that was there before resist being moved.
_STIFF, _SETTLED = 8.0, 1000.0


@dataclass(frozen=True, slots=True)
class Gaps:
    """Empty cells between neighbours of a layer: two boxes, a box and a bend, two bends."""

    boxes: int = 1
    beside: int = 1
    bends: int = 0


@dataclass(slots=True)
class Ports:
    """Offsets from a node's first cell across: after it by the way edges lead, before it by the
    node that they come from and the way."""

    after: dict[tuple[int, bool], int] = field(default_factory=dict)
    before: dict[tuple[int, int, bool], int] = field(default_factory=dict)


def hops(found: Layered) -> list[tuple[int, int, bool]]:
    """Every link between neighbouring layers, and whether its edges lead back; each once."""
    return list(
        dict.fromkeys(
            (a, b, back) for back, path in found.paths.values() for a, b in pairwise(path)
        )
    )


def demand(found: Layered) -> list[int]:
    """How many ports each node needs on the side that needs most."""
    number = {node.box: at for at, node in enumerate(found.nodes) if node.box}
    after: list[set[bool]] = [set() for _ in found.nodes]
    before: list[set[bool]] = [set() for _ in found.nodes]
    for a, b, back in hops(found):
        after[a].add(back)
        before[b].add(back)
    for key in found.flat:
        after[number[key.source]].add(False)
        after[number[key.target]].add(True)
    return [max(len(one), len(other), 1) for one, other in zip(after, before, strict=True)]


def ports(found: Layered, sizes: Sequence[int]) -> Ports:
    """Where edges leave and enter each node of a size across."""
    place = {node: at for layer in found.layers for at, node in enumerate(layer)}
    number = {node.box: at for at, node in enumerate(found.nodes) if node.box}
    after: list[set[bool]] = [set() for _ in found.nodes]
    entries: list[list[int]] = [[] for _ in found.nodes]
    exits: list[list[int]] = [[] for _ in found.nodes]
    for a, b, back in hops(found):
        after[a].add(back)
        (exits if back else entries)[b].append(a)
    for key in found.flat:
        after[number[key.source]].add(False)
        after[number[key.target]].add(True)
    made = Ports()
    for at, size in enumerate(sizes):
        rows = _spread(len(after[at]), size)
        for row, back in zip(rows, sorted(after[at]), strict=True):
            made.after[at, back] = row
        groups = [[a] for a in sorted(entries[at], key=place.__getitem__)]
        if len(groups) + bool(exits[at]) > max(1, size - 2):
            groups = [entries[at]] if entries[at] else []
        count = len(groups)
        rows = _spread(count + bool(exits[at]), size)
        for row, group in zip(rows, groups, strict=False):
            made.before.update({(a, at, False): row for a in group})
        made.before.update({(a, at, True): rows[-1] for a in exits[at]})
    return made


def _spread(count: int, size: int) -> list[int]:
    """`count` offsets inside a border, around the middle; all the same where there is no room."""
    first, last = (1, size - 2) if size >= 3 else (0, size - 1)
    middle = (first + last) // 2
    room = last - first + 1
    if count > room:
        return [middle] * count
    step = min(3, room // max(1, count))
    start = max(first, middle - step * (count - 1) // 2)
    return [start + step * at for at in range(count)]


def assign(
    found: Layered,
    sizes: Sequence[int],
    made: Ports,
    gaps: Gaps,
    settled: Mapping[str, int] | None = None,
) -> list[int]:
    """The first cell of every node across, so that edges are as straight as they can be."""
    settled = settled or {}
    place = [0] * len(found.nodes)
    before: list[list[tuple[int, int]]] = [[] for _ in found.nodes]
    after: list[list[tuple[int, int]]] = [[] for _ in found.nodes]
    for a, b, back in hops(found):
        shift = made.after[a, back] - made.before[a, b, back]
        before[b].append((a, shift))
        after[a].append((b, -shift))
    for layer in found.layers:
        offsets = _offsets(found, layer, sizes, gaps)
        middle = (offsets[-1] + sizes[layer[-1]]) // 2
        for node, offset in zip(layer, offsets, strict=True):
            place[node] = offset - middle
    sides: list[tuple[Iterable[list[int]], tuple[list[list[tuple[int, int]]], ...]]] = []
    for _ in range(_ROUNDS):
        sides.append((found.layers, (before,)))
        sides.append((found.layers[::-1], (after,)))
    sides += [(found.layers, (before, after)), (found.layers, (before,))]
    for order, near in sides:
        for layer in order:
            wanted, weights = [], []
            for node in layer:
                box = found.nodes[node].box
                ends = [place[n] + shift for side in near for n, shift in side[node]]
                if box in settled:
                    wanted.append(settled[box])
                    weights.append(_SETTLED)
                elif ends:
                    wanted.append(statistics.median_low(ends))
                    weights.append(1.0 if box else _STIFF)
                else:
                    wanted.append(place[node])
                    weights.append(0.25)
            offsets = _offsets(found, layer, sizes, gaps)
            for node, value in zip(layer, nearest(wanted, weights, offsets), strict=True):
                place[node] = value
    return place


def _offsets(found: Layered, layer: list[int], sizes: Sequence[int], gaps: Gaps) -> list[int]:
    """Where the nodes of a layer are when they stand as close as they may."""
    offsets = [0]
    for one, other in pairwise(layer):
        boxes = bool(found.nodes[one].box) + bool(found.nodes[other].box)
        gap = (gaps.bends, gaps.beside, gaps.boxes)[boxes]
        offsets.append(offsets[-1] + sizes[one] + gap)
    return offsets


def nearest(wanted: Sequence[int], weights: Sequence[float], offsets: Sequence[int]) -> list[int]:
    """Whole positions near the wanted ones, each at least as far from the first as its offset
    asks: isotonic regression by pooling neighbours that are out of order."""
    blocks: list[tuple[float, float, int]] = []
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, mass, count = float(want - offset), weight, 1
        while blocks and blocks[-1][0] >= mean:
            other, more, size = blocks.pop()
            mean = (mean * mass + other * more) / (mass + more)
            mass, count = mass + more, count + size
        blocks.append((mean, mass, count))
    found: list[int] = []
    at, least = 0, None
    for _, _, count in blocks:
        inside = sorted((wanted[i] - offsets[i], weights[i]) for i in range(at, at + count))
        half, value = sum(weight for _, weight in inside) / 2, inside[-1][0]
        for value, weight in inside:  # noqa: B007
            half -= weight
            if half <= 0:
                break
        least = value if least is None else max(least, value)
        found += [least + offsets[i] for i in range(at, at + count)]
        at += count
    return found
