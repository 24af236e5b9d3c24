"""The order within layers: few crossings, by the barycentres of neighbours, swept both ways.

An edge over several layers has a bend in each between; those of one source share their bends.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sparkplug.tui.widgets.canvas.model import Key

_SWEEPS = 8


@dataclass(slots=True)
class Node:
    """A box, or (`box` is empty) a bend of the edges that leave `root`."""

    layer: int
    box: str = ""
    root: str = ""
    back: bool = False
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Layered:
    """Nodes by number, their layers in order, and each edge as the nodes it goes through.

    A path whose first part is true leads back: it goes from the edge's target to its source.
    """

    nodes: list[Node]
    layers: list[list[int]]
    paths: dict[Key, tuple[bool, list[int]]]
    #: Edges between boxes of one layer: they turn in the channel after it.
    flat: list[Key]


def build(ids: Sequence[str], keys: Sequence[Key], rank: Mapping[str, int]) -> Layered:
    """Nodes and bends for boxes in the layers of `rank`."""
    used = {layer: at for at, layer in enumerate(sorted(set(rank.values())))}
    nodes = [Node(used[rank[name]], name) for name in ids]
    number = {name: at for at, name in enumerate(ids)}
    bends: dict[tuple[int, bool, int], int] = {}
    links: set[tuple[int, int]] = set()
    paths: dict[Key, tuple[bool, list[int]]] = {}
    flat: list[Key] = []
    for key in keys:
        one, other = number[key.source], number[key.target]
        if nodes[one].layer == nodes[other].layer:
            flat.append(key)
            continue
        back = nodes[one].layer > nodes[other].layer
        if back:
            one, other = other, one
        path = [one]
        for layer in range(nodes[one].layer + 1, nodes[other].layer):
            bend = bends.get((one, back, layer))
            if bend is None:
                bend = bends[one, back, layer] = len(nodes)
                nodes.append(Node(layer, root=nodes[one].box, back=back))
            path.append(bend)
        path.append(other)
        paths[key] = (back, path)
        for a, b in pairwise(path):
            if (a, b) not in links:
                links.add((a, b))
                nodes[a].after.append(b)
                nodes[b].before.append(a)
    layers: list[list[int]] = [[] for _ in used]
    for at, node in enumerate(nodes):
        layers[node.layer].append(at)
    return Layered(nodes, layers, paths, flat)


def sort(found: Layered, settled: Mapping[str, int] | None = None) -> None:
    """Order the layers. Boxes in `settled` (where each was across) keep their order."""
    place = [0] * len(found.nodes)
    _number(found, place)
    if settled:
        _insert(found, settled)
        return
    for layer in found.layers[1:]:
        _by_barycentre(found, layer, place, before=True)
    best = [list(layer) for layer in found.layers]
    fewest = crossings(found, place)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 1
        for layer in found.layers if down else reversed(found.layers):
            _by_barycentre(found, layer, place, before=down)
        count = crossings(found, place)
        if count < fewest:
            fewest, best = count, [list(layer) for layer in found.layers]
    found.layers = best


def crossings(found: Layered, place: Sequence[int]) -> int:
    """How many pairs of links between neighbouring layers cross."""
    count = 0
    for layer in found.layers:
        seen: list[int] = []
        for node in layer:
            ends = sorted(place[other] for other in found.nodes[node].after)
            for end in ends:
                count += len(seen) - bisect_left(seen, end + 1)
            for end in ends:
                insort(seen, end)
    return count


def _number(found: Layered, place: list[int]) -> None:
    for layer in found.layers:
        for at, node in enumerate(layer):
            place[node] = at


def _by_barycentre(found: Layered, layer: list[int], place: list[int], *, before: bool) -> None:
    weights: dict[int, float] = {}
    for node in layer:
        near = found.nodes[node].before if before else found.nodes[node].after
        weights[node] = sum(place[n] for n in near) / len(near) if near else place[node]
    layer.sort(key=weights.__getitem__)
    for at, node in enumerate(layer):
        place[node] = at


def _insert(found: Layered, settled: Mapping[str, int]) -> None:
    """Boxes where they were; the others and the bends where their neighbours are."""
    across: dict[int, float] = {}
    left = []
    for at, node in enumerate(found.nodes):
        if node.box in settled:
            across[at] = settled[node.box]
        else:
            left.append(at)
    for _ in range(len(found.layers) + 1):
        again = []
        for at in left:
            near = [*found.nodes[at].before, *found.nodes[at].after]
            known = [across[n] for n in near if n in across]
            if known:
                across[at] = sum(known) / len(known) + 0.5
            else:
                again.append(at)
        if not again:
            break
        left = again
    last = max(across.values(), default=0.0) + 1
    for layer in found.layers:
        layer.sort(key=lambda at: (across.get(at, last), at))
