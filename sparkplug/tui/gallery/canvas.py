"""A graph to move over, and to edit."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from textual.widget import Widget

from sparkplug.tui.widgets.canvas.editable import EditableCanvas
from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph, Weight

ABOUT = "Boxes and edges on a plane: pan, zoom, select, drag; m moves a box, c connects it."

_COUNT, _MORE = 40, 18
_STATES = (("✔", "ok"), ("◐", "active"), ("◌", "dim"), ("✖", "bad"), ("!", "warn"))


class _Own(EditableCanvas):
    """Takes every change in."""

    def on_editable_canvas_box_moved(self, event: EditableCanvas.BoxMoved) -> None:
        """The box stays where it was put."""
        self.show(event.graph)

    def on_editable_canvas_edge_drawn(self, event: EditableCanvas.EdgeDrawn) -> None:
        """The edge is one of the graph."""
        edges = (*self.graph.edges, Edge(event.source, event.target))
        self.show(replace(self.graph, edges=edges))


def make() -> Widget:
    """A workflow of made-up steps."""
    found = _Own("canvas")
    found.show(graph(_COUNT, _MORE))
    return found


def graph(count: int, more: int, seed: int = 7) -> Graph:
    """Boxes that each depend on one before, and `more` edges besides; a seed gives the same."""
    random = Random(seed)  # noqa: S311
    boxes = []
    for at in range(count):
        symbol, pen = _STATES[random.randrange(len(_STATES))]
        time = f"{symbol} {random.randrange(1, 99) / 10}s"
        boxes.append(Box(f"b{at}", f"step-{at}", (((pen, time),),), pen, symbol, width=8))
    weights: tuple[Weight, ...] = ("light", "heavy", "double")
    ends = [(max(0, at - random.randint(1, 12)), at) for at in range(1, count)]
    ends += [
        (at, min(count - 1, at + random.randint(1, 20)))
        for at in (random.randrange(count - 1) for _ in range(more))
    ]
    edges = []
    for source, target in ends:
        share = random.random()
        label = f"{10 * share:.1f}/s" if share > 0.8 else ""
        weight = weights[int(share * 3)]
        pen = "active" if share > 0.6 else "dim"
        edges.append(Edge(f"b{source}", f"b{target}", "", pen, weight, label, 5 if label else 0))
    return Graph(tuple(boxes), tuple(edges))
