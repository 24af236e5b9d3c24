"""A graph as lines in a room that is given, as large as it fits there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sparkplug.tui.cells import Line
from sparkplug.tui.widgets.canvas.layered import lay_out
from sparkplug.tui.widgets.canvas.model import Drawing, Graph, Shape, Zoom
from sparkplug.tui.widgets.canvas.raster import Raster


@lru_cache(maxsize=64)
def drawing_of(shape: Shape) -> Drawing:
    """The layout of a shape from nothing before it; the last ones are kept."""
    return lay_out(shape)


def picture(
    graph: Graph, width: int, height: int, zooms: Sequence[Zoom] = ("full", "line")
) -> list[Line] | None:
    """The graph in at most so many cells, at the first of the zooms that fits; None: none does."""
    if len(graph.by_id) > width * height or not graph.by_id:
        return None
    for zoom in zooms:
        found = drawing_of(graph.shape(zoom))
        bounds = found.bounds
        if bounds.width <= width and bounds.height <= height:
            return Raster(graph, found, zoom).lines()
    return None
