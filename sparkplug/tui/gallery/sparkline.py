"""How one value went, in a row."""

from __future__ import annotations

import math

from textual.containers import Vertical
from textual.widget import Widget

from sparkplug.tui.units import BYTES, PERCENT, TOKENS_PER_SECOND
from sparkplug.tui.widgets.page import Page
from sparkplug.tui.widgets.sparkline import Sparkline

ABOUT = "How one value went, in a row: blocks or braille, gaps, the least, greatest and last."


class SparklinePage(Vertical):
    """One of each kind."""

    DEFAULT_CSS = "SparklinePage Page { height: 1fr; }"


def make() -> Widget:
    """A fixed scale, one that follows the values, braille, and a gap."""
    wave = [50 + 45 * math.sin(n / 5) for n in range(400)]
    rows = [
        Sparkline("busy", unit=PERCENT, top=100.0, told=("min", "max", "last")),
        Sparkline("tokens", unit=TOKENS_PER_SECOND, told=("max", "last")),
        Sparkline("memory", unit=BYTES, braille=True, pen="focus"),
        Sparkline("gaps", unit=PERCENT, top=100.0, told=()),
    ]
    rows[0].set_values(wave)
    rows[1].set_values([40 * value for value in wave])
    rows[2].set_values([(1 << 30) * value for value in wave])
    rows[3].set_values([value if n % 20 < 14 else None for n, value in enumerate(wave)])
    text = Page("sparkline")
    text.show_text(
        "Where there was no value there is a gap. Only the cells that differ are painted."
    )
    return SparklinePage(*rows, text)
