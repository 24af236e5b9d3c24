"""A table of many kinds of values."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from textual.widget import Widget

from sparkplug.tui import symbols
from sparkplug.tui.cells import Span
from sparkplug.tui.figures import load_pen, percent
from sparkplug.tui.widgets.table import Column, Table

ABOUT = "Rows in columns: sorted, filtered, marked, the columns chosen; wide with ctrl+w."

_COUNT = 300
_STATES = ("running", "idle", "thinking", "error", "stopped", "waiting-gpu", "degraded")
#: A name of wide characters.
_WIDE = "".join(map(chr, (0x65E5, 0x672C, 0x8A9E)))
_NAMES = ("research", "writer", "critic", "indexer", _WIDE, "sentinel", "scribe")


def _state(value: Any) -> Span:
    symbol, pen = symbols.of_agent(str(value))
    return pen, f"{symbol} {value}"


def _load(value: Any) -> Span:
    return load_pen(value), percent(value)


def make() -> Widget:
    """Agents that are none."""
    chance = random.Random(7)  # noqa: S311
    now = datetime.now(UTC)
    records = [
        (
            f"{chance.choice(_NAMES)}-{number}",
            chance.choice(_STATES),
            now - timedelta(seconds=chance.expovariate(1 / 7200)),
            None if number % 7 == 0 else chance.uniform(0, 100),
            None if number % 11 == 0 else chance.randrange(1 << 40),
            chance.expovariate(1 / 60),
            chance.randrange(5000),
            f"gpu-{chance.randrange(24)}",
            "what it is there for, in a sentence that is longer than its column",
        )
        for number in range(_COUNT)
    ]
    columns = [
        Column("name", 14, itemgetter(0), grows=True, full=24),
        Column("state", 13, itemgetter(1), draw=_state),
        Column("age", 4, itemgetter(2), kind="age", pen="dim"),
        Column("load", 5, itemgetter(3), kind="percent", rank=1, draw=_load),
        Column("memory", 6, itemgetter(4), kind="bytes", rank=2, none="n/s"),
        Column("took", 6, itemgetter(5), kind="seconds", rank=4),
        Column("served", 6, itemgetter(6), kind="number", rank=5),
        Column("gpu", 6, itemgetter(7), rank=3),
        Column("about", 20, itemgetter(8), extra=True, full=70, pen="dim"),
    ]
    found = Table(
        columns, key=itemgetter(0), title="table", failing=lambda record: record[1] == "error"
    )
    found.set_rows(records)
    return found
