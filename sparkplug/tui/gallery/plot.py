"""Lines over time."""

from __future__ import annotations

import math

from textual.containers import Vertical
from textual.widget import Widget

from sparkplug.tui.units import BYTES_PER_SECOND, PERCENT, WATTS
from sparkplug.tui.widgets.plot.picture import Limit, Series
from sparkplug.tui.widgets.plot.plot import Plot
from sparkplug.tui.widgets.plot.record import Record

ABOUT = "Lines over time: axes, units, limits, gaps, and a cursor that reads every line."

_SAMPLES = 600
_BEGIN = 1_767_225_600.0


class PlotPage(Vertical):
    """Three plots, one below the other."""

    DEFAULT_CSS = "PlotPage Plot { height: 1fr; }"


def make() -> Widget:
    """Eight lines below a limit, one that is filled, and one whose scale follows its values."""
    record = Record()
    for n in range(_SAMPLES):
        wave = {
            str(gpu): 330 + 290 * math.sin(n / (9 + 4 * gpu)) * math.cos(n / (31 + gpu))
            for gpu in range(8)
        }
        busy = 50 + 30 * math.sin(n / 14) + 18 * math.sin(n * 1.7) if n % 90 < 80 else None
        load = (1 << 20) * (2 + math.sin(n / 40)) ** 6
        record.add(_BEGIN + n, {**wave, "busy": busy, "load": load})
    watts = Plot("power of eight GPUs", unit=WATTS, clock=True)
    watts.show(record, [Series(str(n), f"gpu {n}", str(n)) for n in range(8)], [Limit(650, "cap")])
    busy_plot = Plot("busy", unit=PERCENT, ends=(0.0, 100.0))
    busy_plot.show(record, [Series("busy", "cpu", "c", fill=True)])
    bytes_plot = Plot("network", unit=BYTES_PER_SECOND, span=None)
    bytes_plot.show(record, [Series("load", "received", "r")])
    return PlotPage(watts, busy_plot, bytes_plot)
