"""What a plot costs: one new sample, and a history of 100,000 points."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bench.figures import Figure, p50
from sparkplug.tui.widgets.plot.picture import Frame, Picture, Series, changes
from sparkplug.tui.widgets.plot.record import Record

_FRAME = Frame(72, 6, span=120.0, jump=6, ends=(0.0, 100.0))
_WIDE = Frame(150, 40, span=None, ends=(0.0, None))
_BEGIN = 1.7e9
_ROUNDS = 300


def _took(work: Callable[[], object], rounds: int) -> float:
    """The median time of some work in milliseconds."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - began))
    return p50(found)


def _value(n: int, index: int) -> float:
    return 50 + 30 * math.sin(n / (3 + index)) + 15 * math.sin(1.7 * n)


def run() -> list[Figure]:
    """All figures of this file."""
    keys = [str(index) for index in range(8)]
    series = tuple(Series(key, key, key) for key in keys)
    record, picture = Record(), Picture()
    count = 0
    cells: list[int] = []

    def sample() -> None:
        nonlocal count
        record.add(_BEGIN + count, {key: _value(count, i) for i, key in enumerate(keys)})
        count += 1
        before = picture.columns
        picture.draw(record, series, (), _FRAME)
        if count > 200:
            spans = changes(before, picture.columns).values()
            cells.append(sum(last - first for first, last in spans))

    for _ in range(200):
        sample()
    one = _took(sample, _ROUNDS)
    whole = _took(lambda: Picture().draw(record, series, (), _FRAME), 50)

    history = Record(keep=100_000)
    values = [_value(n, 0) for n in range(100_000)]
    began = time.perf_counter()
    history.load([_BEGIN + n for n in range(100_000)], {"0": values})
    loaded = 1000 * (time.perf_counter() - began)
    drawn = _took(lambda: Picture().draw(history, series[:1], (), _WIDE), 50)
    return [
        Figure("plot: a new sample of 8 series x 120, p50", one, "ms", 1.0),
        Figure("plot: cells repainted for it, mean", sum(cells) / len(cells), "", 60),
        Figure("plot: drawn whole, 8 series x 120, p50", whole, "ms", 10.0),
        Figure("plot: 100,000 points taken in", loaded, "ms", 100.0),
        Figure("plot: 100,000 points drawn on 150x40, p50", drawn, "ms", 10.0),
    ]
