"""What the list of hosts shows of each."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from sparkplug.schema.host_needs import is_ailing
from sparkplug.schema.shares import gpu_memory_percent, memory_percent
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span
from sparkplug.tui.figures import UNSUPPORTED, age, load_pen, meter, percent, size, sparkline
from sparkplug.tui.panes.gpu_lines import throttle
from sparkplug.tui.panes.host_lines import driver_words
from sparkplug.tui.widgets.table import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sparkplug.schema.host import HostSample
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.past import PastSample

#: Seconds that a small plot in the list goes back, a cell each.
_TREND = 7
#: States of a GPU that is not well, the worst first.
_WORST = ("lost", "stale", "error")
#: What fails where no GPU can be asked.
_DRIVER = "driver"


def is_failing(view: HostView) -> bool:
    """Whether a host is in trouble: silent, degraded, its driver not well, or its GPUs slowed."""
    if str(view.state) in ("stale", "degraded"):
        return True
    sample = view.sample
    if sample is None:
        return False
    return _driver_fails(sample) or any(
        throttle(gpu) or is_ailing(gpu) or str(gpu.state) != "ok" for gpu in sample.gpus
    )


def _driver_fails(sample: HostSample) -> bool:
    return str(sample.driver.state) in ("not_responding", "error")


def _of(read: Callable[[HostSample], Any]) -> Callable[[HostView], Any]:
    """What is read out of a host's last sample; None while there is none."""
    return lambda view: None if view.sample is None else read(view.sample)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _state(view: HostView) -> tuple[str, str]:
    state = str(view.state)
    if state == "ready" and view.order is not None and view.order.cordoned:
        return "draining" if view.order.draining else "cordoned", ""
    return state, age(view.age_seconds) if state == "stale" else ""


def _order(view: HostView) -> str | None:
    """What people want of it; None when it takes what it is given."""
    return (view.order.words() or None) if view.order is not None else None


def _draw_state(value: tuple[str, str]) -> Span:
    symbol, pen = symbols.of_node(value[0])
    return pen, f"{symbol} {value[0]} {value[1]}".rstrip()


def _draw_name(value: tuple[str, str]) -> Line:
    symbol, pen = symbols.of_node(value[1])
    return ((pen, f"{symbol} "), ("text", value[0]))


def _draw_share(value: float | None) -> Line:
    pen = load_pen(value) if value is not None and value >= 80 else "text"
    return (*meter(value, 4), (pen, f" {percent(value)}"))


def _trend(
    past: Callable[[str], Sequence[HostSample | PastSample]],
    read: Callable[[HostSample | PastSample], float | None],
) -> Callable[[HostView], tuple[float | None, str] | None]:
    """What is read out of a host's last sample, and how it went before, drawn."""

    def value(view: HostView) -> tuple[float | None, str] | None:
        if view.sample is None:
            return None
        went = [read(sample) for sample in past(view.node.host)[-_TREND:]]
        return read(view.sample), sparkline(went, _TREND)

    return value


def _draw_trend(value: tuple[float | None, str] | None) -> Line:
    if value is None:
        return (("dim", f"{'':{_TREND}} {percent(None)}"),)
    return (("past", value[1]), ("text", f" {percent(value[0])}"))


def _trend_order(value: tuple[float | None, str] | None) -> float | None:
    return value[0] if value is not None else None


def _gpu_busy(sample: HostSample | PastSample) -> float | None:
    return _mean(gpu.utilization_percent for gpu in sample.gpus)


def _trouble(sample: HostSample) -> tuple[int, str, int, int] | None:
    """How many GPUs are not well, what the first of them is, how many have errors of memory, and
    how many are throttled."""
    if _driver_fails(sample):
        return max(1, len(sample.gpus)), _DRIVER, 0, 0
    if not sample.gpus:
        return None
    unwell = [str(gpu.state) for gpu in sample.gpus if str(gpu.state) != "ok"]
    low = sum(bool(throttle(gpu)) for gpu in sample.gpus)
    ailing = sum(map(is_ailing, sample.gpus))
    return len(unwell), min(unwell, key=_WORST.index) if unwell else "", ailing, low


def _draw_trouble(value: tuple[int, str, int, int] | None) -> Span:
    if value is None:
        return "dim", ""
    unwell, word, ailing, low = value
    if word == _DRIVER:
        return "bad", f"✖ {word}"
    if unwell:
        return "bad", f"✖ {unwell} {word}"
    if ailing:
        return "bad", f"✖ {ailing} ecc"
    return ("warn", f"! {low} slow") if low else ("dim", "0")


def _driver(sample: HostSample) -> tuple[bool, str, str]:
    pen, words = driver_words(sample.driver)
    # The column has said that it is the driver.
    return sample.simulated, pen, words.removeprefix("driver ")


def _draw_driver(value: tuple[bool, str, str] | None) -> Line:
    if value is None:
        return (("dim", "no telemetry yet"),)
    marked: Line = (("text", " "), ("alarm", " SIMULATED ")) if value[0] else ()
    return ((value[1], value[2]), *marked)


def host_columns(past: Callable[[str], Sequence[HostSample | PastSample]]) -> tuple[Column, ...]:
    """The columns; `past` gives the samples that were heard of a host, oldest first."""
    return (
        Column(
            *("host", 12, lambda view: (view.name, str(view.state))),
            grows=True,
            full=20,
            draw=_draw_name,
            order=lambda value: value[0],
        ),
        Column("state", 11, _state, draw=_draw_state, order=lambda value: value[0], rank=1),
        Column(
            *("cpu", _TREND + 5, _trend(past, lambda s: s.cpu.percent)),
            kind="percent",
            draw=_draw_trend,
            order=_trend_order,
        ),
        Column("mem", 9, _of(memory_percent), kind="percent", draw=_draw_share),
        Column("gpus", 4, _of(lambda s: len(s.gpus)), kind="number", rank=2),
        Column(
            *("util", _TREND + 5, _trend(past, _gpu_busy), "gpu busy"),
            kind="percent",
            rank=3,
            draw=_draw_trend,
            order=_trend_order,
        ),
        Column(
            *("gpumem", 9, _of(lambda s: _mean(map(gpu_memory_percent, s.gpus))), "gpu mem"),
            kind="percent",
            rank=5,
            draw=_draw_share,
        ),
        Column(
            *("throttled", 9, _of(_trouble), "trouble"),
            kind="number",
            rank=4,
            draw=_draw_trouble,
            order=lambda value: 10**6 * value[0] + 1000 * value[2] + value[3] if value else None,
        ),
        Column(
            *("driver", 20, _of(_driver)),
            grows=True,
            rank=6,
            full=40,
            draw=_draw_driver,
            order=lambda value: value[2] if value else None,
        ),
        Column("version", 8, lambda view: view.node.version, rank=7, pen="dim"),
        Column("cores", 5, _of(lambda s: s.cpu.cores), kind="number", extra=True, rank=8),
        Column("load", 6, _of(lambda s: s.cpu.load1), kind="number", extra=True, rank=8),
        Column(
            *("free", 6, _of(lambda s: s.memory.available_bytes)),
            kind="bytes",
            extra=True,
            rank=8,
            none=UNSUPPORTED,
        ),
        Column(
            "net",
            *(13, _of(lambda s: s.network and _network(s))),
            extra=True,
            rank=8,
            none=UNSUPPORTED,
        ),
        Column("started", 7, lambda view: view.node.started, kind="age", extra=True, rank=8),
        Column("pid", 7, lambda view: view.node.pid, kind="number", extra=True, rank=8, pen="dim"),
        Column("order", 20, _order, extra=True, rank=8, full=50, pen="warn"),
        Column(
            "reason", 20, lambda view: view.node.reason, extra=True, rank=8, full=50, pen="warn"
        ),
    )


def _network(sample: HostSample) -> str:
    network = sample.network
    assert network is not None
    down, up = size(network.receive_bytes_per_second), size(network.transmit_bytes_per_second)
    return f"↓{down} ↑{up}"
