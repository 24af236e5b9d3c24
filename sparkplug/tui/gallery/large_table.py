"""A table of 100,000 rows, whose values are kept in arrays."""

from __future__ import annotations

from array import array

from textual.widget import Widget

from sparkplug.tui.widgets.table import Column, Table

ABOUT = "100,000 rows: a record is a number, and the values stand in arrays."

COUNT = 100_000
_OWNERS = ("ana", "ben", "chloe", "dmitri", "emi", "farid")


def columns() -> list[Column]:
    """Columns over arrays: what a row has in one is what the array has at the row's number."""
    # Numbers that look like chance and are the same everywhere (Knuth's multiplicative hash).
    mixed = array("Q", ((number * 2654435761) % (1 << 32) for number in range(COUNT)))
    memory = array("d", (float(value) * 64 for value in mixed))
    share = array("d", (value % 1000 / 10 for value in mixed))
    return [
        Column("name", 14, lambda n: f"agent-{mixed[n] % 1_000_000}", grows=True),
        Column("number", 7, int, kind="number"),
        Column("owner", 8, lambda n: _OWNERS[mixed[n] % len(_OWNERS)], rank=2),
        Column("share", 6, share.__getitem__, kind="percent"),
        Column("memory", 6, memory.__getitem__, kind="bytes", rank=1),
        Column("took", 6, lambda n: mixed[n] % 5000 / 10, kind="seconds", rank=3),
    ]


def make() -> Widget:
    """All of them."""
    found = Table(columns(), title="rows")
    found.set_rows(range(COUNT))
    return found
