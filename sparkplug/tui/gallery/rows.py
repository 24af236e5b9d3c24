"""A list with a cursor."""

from __future__ import annotations

from textual.widget import Widget

from sparkplug.tui.widgets.rows import Row, Rows

ABOUT = "A list one moves in; the cursor stays on its row while rows come, go and move."

_COUNT = 200


def make() -> Widget:
    """A list of lines in every pen."""
    found = Rows("rows")
    pens = ("text", "dim", "focus", "active", "ok", "warn", "bad", "alarm")
    found.set_rows(
        [
            Row(str(n), ((pens[n % len(pens)], f"{pens[n % len(pens)]:<8}"), ("text", f" row {n}")))
            for n in range(_COUNT)
        ]
    )
    return found
