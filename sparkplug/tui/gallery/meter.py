"""How full something is, in a row."""

from __future__ import annotations

from textual.containers import Vertical
from textual.widget import Widget

from sparkplug.tui.units import BYTES
from sparkplug.tui.widgets.meter import Meter
from sparkplug.tui.widgets.page import Page

ABOUT = "How full something is, in a row: eighths of a cell, trouble for what fills, a mark."


class MeterPage(Vertical):
    """One of each kind."""

    DEFAULT_CSS = "MeterPage Page { height: 1fr; }"


def make() -> Widget:
    """From empty to full, what works, bytes with a mark, and one that is not supported."""
    rows = []
    for value in (0.0, 0.4, 37.5, 79.0, 85.0, 97.0, 100.0):
        rows.append(Meter("memory"))
        rows[-1].set_value(value)
    rows.append(Meter("busy", fills=False))
    rows[-1].set_value(98.0)
    rows.append(Meter("reserved", unit=BYTES, top=80 * 2.0**30, fine=False))
    rows[-1].set_value(31 * 2.0**30, mark=61 * 2.0**30)
    rows.append(Meter("fan"))
    text = Page("meter")
    text.show_text("Amber and red are for what fills. Dots: the device does not support it.")
    return MeterPage(*rows, text)
