"""The canvas: frames while panning over 500 boxes, a change of one of them, and the layout."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from textual.app import App, ComposeResult

from bench.figures import Figure, p50
from sparkplug.tui.gallery.canvas import graph
from sparkplug.tui.themes import Pens, load_themes, pens
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.layered import lay_out
from sparkplug.tui.widgets.canvas.model import Graph, Zoom

_BOXES, _MORE = 500, 201
_SIZE = (160, 50)
_FRAMES = 300
#: 30 frames a second.
_BAR_MS = 33.0
_LAYOUTS = 5


class _Alone(App[None]):
    """The canvas and nothing else."""

    CSS = "Canvas { width: 1fr; height: 1fr; border: none; padding: 0; }"
    pens: Pens

    def __init__(self, found: Graph, canvas: Canvas) -> None:
        self._found, self.canvas = found, canvas
        themes, _ = load_themes()
        self.pens = pens(themes["neon"])
        self._variables = themes["neon"].variables
        self.painted = asyncio.Event()
        super().__init__()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours the canvas is drawn in."""
        return dict(self._variables)

    def post_display_hook(self) -> None:
        """A frame was handed over."""
        self.painted.set()

    async def frame(self, change: Callable[[], object]) -> float:
        """ms of computing from a change to its frame; what Textual waits between is not counted."""
        self.painted.clear()
        began = time.process_time()
        change()
        await asyncio.wait_for(self.painted.wait(), 5)
        return (time.process_time() - began) * 1000

    def compose(self) -> ComposeResult:
        """The canvas."""
        yield self.canvas


async def _frames() -> tuple[list[float], list[float]]:
    """ms of every frame while panning, and while one box after the other changes."""
    found = graph(_BOXES, _MORE)
    canvas = Canvas("")
    app = _Alone(found, canvas)
    async with app.run_test(size=_SIZE) as pilot:
        canvas.show(found)
        while not canvas.drawing.places:
            await pilot.pause(0.01)
        canvas.action_zoom(1)
        while canvas.zoom != "full":
            await pilot.pause(0.01)
        await pilot.pause()
        gc.collect()
        gc.freeze()
        panned = []
        for number in range(_FRAMES):
            way = 1 if number // 150 % 2 == 0 else -1
            pan = partial(canvas.action_pan, way, way * (number % 3 == 0))
            panned.append(await app.frame(pan))
        changed = []
        for number in range(_FRAMES):
            box = found.boxes[number % _BOXES]
            other = replace(box, pen="bad" if box.pen != "bad" else "ok")
            boxes = tuple(other if one is box else one for one in found.boxes)
            canvas.reveal(box.id)
            await pilot.pause()
            found = Graph(boxes, found.edges)
            changed.append(await app.frame(partial(canvas.show, found)))
        gc.unfreeze()
    return panned, changed


def _layout(zoom: Zoom) -> float:
    shape = graph(_BOXES, _MORE).shape(zoom)
    times = []
    for _ in range(_LAYOUTS):
        began = time.perf_counter()
        lay_out(shape)
        times.append((time.perf_counter() - began) * 1000)
    return p50(times)


def run() -> list[Figure]:
    """All figures of this file."""
    panned, changed = asyncio.run(_frames())
    p99 = statistics.quantiles(panned, n=100)[-1]
    name = f"canvas of {_BOXES} boxes, {_BOXES - 1 + _MORE} edges"
    return [
        Figure(f"{name}: pan, p50", p50(panned), "ms", _BAR_MS),
        Figure(f"{name}: pan, p99", p99, "ms", _BAR_MS),
        Figure(f"{name}: a box changes, p50", p50(changed), "ms", _BAR_MS),
        Figure(f"{name}: layout, in a thread", _layout("full"), "ms"),
    ]
