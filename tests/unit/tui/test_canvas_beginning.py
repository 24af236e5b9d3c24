"""What is in sight of a graph that does not fit: as much of it as can be."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph
from sparkplug.tui.widgets.canvas.plane import _drawn, _in_sight


def crowds(count: int) -> Graph:
    """Each of which speaks to all others."""
    names = [f"crowd-{number} ×60" for number in range(count)]
    boxes = tuple(Box(name, name, width=14, height=1, note="7", room=4) for name in names)
    return Graph(boxes, tuple(Edge(*pair) for pair in permutations(names, 2)))


@pytest.mark.parametrize("size", [(100, 42), (78, 9)])
def test_a_dense_graph_leads_where_more_of_it_is_in_sight(size: tuple[int, int]) -> None:
    graph = crowds(8)
    drawings = [
        _drawn(replace(graph, way=way), ("line",), {}, size, turns=False).drawing
        for way in ("right", "down")
    ]
    most = max(_in_sight(drawing, size) for drawing in drawings)
    turned = _drawn(graph, ("full", "line"), {}, size, turns=True)
    assert _in_sight(turned.drawing, size) == most > 0


def test_what_was_drawn_stands_still_unless_much_is_won() -> None:
    graph = crowds(8)
    before = _drawn(graph, ("line",), {}, (100, 42), turns=True)
    again = _drawn(graph, ("line",), {"line": before.drawing}, (100, 40), turns=True)
    assert again.drawing.way == before.drawing.way
    assert again.drawing.ranks == before.drawing.ranks


def test_a_view_begins_at_boxes_and_not_at_the_corner_of_the_edges_around_them() -> None:
    raster = _drawn(crowds(9), ("line",), {}, (60, 5), turns=False)
    assert raster.drawing.bounds.height > 5
    assert _in_sight(raster.drawing, (60, 5)) >= 1
    assert _in_sight(_drawn(Graph(), ("line",), {}, (60, 5), turns=False).drawing, (60, 5)) == 0
