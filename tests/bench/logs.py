"""What a log view costs: 20,000 lines a second, a million lines, a filter over them."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import psutil
from textual.app import App, ComposeResult

from bench.figures import Figure
from sparkplug.tui.filter import Filter
from sparkplug.tui.looks import Looks
from sparkplug.tui.screen.writer import PaintedApp
from sparkplug.tui.themes import DEFAULT, Terminal, load_themes
from sparkplug.tui.widgets.log_view.view import LogView

_RATE = 20_000
_SECONDS = 10
_PIECES = 50
_MILLION = 1_000_000
_SIZE = (160, 50)


class _Reader(Looks, PaintedApp):
    """An app of one log."""

    def __init__(self) -> None:
        super().__init__(themes=load_themes()[0], terminal=Terminal())
        self.theme = DEFAULT
        self.view = LogView("log")

    def compose(self) -> ComposeResult:
        """The log."""
        yield self.view


def _text(first: int, count: int) -> bytes:
    return b"".join(
        b"2026-03-01 12:00:00.%03d INFO worker %d took step %d of the work it was given\n"
        % (n % 1000, n % 7, n)
        for n in range(first, first + count)
    )


async def _longest_stall(app: App[Any], until: asyncio.Event) -> float:
    """The longest time the loop did not turn, in seconds: no frame takes longer."""
    worst, before = 0.0, time.perf_counter()
    while not until.is_set():
        await asyncio.sleep(0.002)
        now = time.perf_counter()
        worst, before = max(worst, now - before - 0.002), now
    return worst


async def _shown(view: LogView, last: int) -> None:
    while not view._seen or view._seen[-1][0] < last:
        await asyncio.sleep(0.001)


async def _rate() -> float:
    app = _Reader()
    size = _RATE // _PIECES
    pieces = [_text(n * size, size) for n in range(_PIECES * _SECONDS)]
    async with app.run_test(size=_SIZE) as pilot:
        await pilot.pause()
        gc.collect()
        gc.freeze()
        done = asyncio.Event()
        watch = asyncio.create_task(_longest_stall(app, done))
        began = time.perf_counter()
        for at, piece in enumerate(pieces):
            app.view.append(piece)
            await asyncio.sleep(max(0.0, began + (at + 1) / _PIECES - time.perf_counter()))
        await _shown(app.view, _RATE * _SECONDS - 1)
        done.set()
        return await watch


async def _million() -> tuple[float, float, float]:
    """Seconds until the end is seen, MiB it took, seconds until a filter is through."""
    app = _Reader()
    piece = _text(0, 10_000)
    async with app.run_test(size=_SIZE) as pilot:
        await pilot.pause()
        process = psutil.Process()
        gc.collect()
        before, began = process.memory_info().rss, time.perf_counter()
        for _ in range(_MILLION // 10_000):
            app.view.append(piece)
        await _shown(app.view, _MILLION - 1)
        opened = time.perf_counter() - began
        gc.collect()
        memory = (process.memory_info().rss - before) / 2**20
        began = time.perf_counter()
        app.view.wanted = Filter("worker 3.*step 77")
        while (scan := app.view.source.scan) is None or scan.share < 1:
            await asyncio.sleep(0.001)
        return opened, memory, time.perf_counter() - began


def run() -> list[Figure]:
    """All figures of this file."""
    stall = asyncio.run(_rate())
    opened, memory, took = asyncio.run(_million())
    return [
        Figure("log, 20,000 lines/s for 10 s: longest frame", stall * 1000, "ms", 100),
        Figure("log of a million lines: until its end is seen", opened, "s", 1.0),
        Figure("log of a million lines: memory it takes", memory, "MiB", 20),
        Figure("log of a million lines: filter by a regex", took, "s", 3.0),
    ]
