"""What the list of pairs shows of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkplug.tui.cells import Span
from sparkplug.tui.panes.talk_marks import breaker_pen, rate_words
from sparkplug.tui.symbols import BREAKER
from sparkplug.tui.widgets.table import Column

if TYPE_CHECKING:
    from sparkplug.schema.topology import BreakerState, TopologyEdge


def pair_key(edge: TopologyEdge) -> str:
    """What tells a pair from others."""
    return f"{edge.from_} → {edge.to}"


def is_failing(edge: TopologyEdge) -> bool:
    """Whether anything of it went wrong."""
    return bool(edge.errors or edge.forged or edge.breaker != "closed")


def _errors(value: tuple[int, int]) -> Span:
    errors, messages = value
    if not errors:
        return "dim", "0"
    return ("bad" if errors >= 0.05 * max(1, messages) else "warn", f"✖{errors}")


def _milliseconds(value: float | None) -> Span:
    if value is None:
        return "dim", "—"
    if value >= 10_000:
        return "text", f"{value / 1000:.0f}s"
    return "text", f"{value / 1000:.1f}s" if value >= 1000 else f"{value:.0f}ms"


def _rate(value: float) -> Span:
    return "active" if value else "dim", rate_words(value)


def _breaker(value: BreakerState) -> Span:
    if value == "closed":
        return "dim", "—"
    return breaker_pen(value), f"{BREAKER} {value}"


PAIR_COLUMNS: tuple[Column, ...] = (
    Column("from", 10, lambda e: e.from_, grows=True),
    Column("to", 10, lambda e: e.to, grows=True),
    Column("rate", 7, lambda e: e.rate_per_second, kind="number", draw=_rate),
    Column("msgs", 7, lambda e: e.messages, kind="number"),
    Column(
        "errors",
        6,
        lambda e: (e.errors, e.messages),
        kind="number",
        draw=_errors,
        order=lambda value: value[0],
    ),
    Column("now", 4, lambda e: e.inflight or None, kind="number", rank=1),
    Column("p50", 6, lambda e: e.latency_p50_ms, kind="number", draw=_milliseconds, rank=2),
    Column("p95", 6, lambda e: e.latency_p95_ms, kind="number", draw=_milliseconds, rank=1),
    Column("bytes", 7, lambda e: e.bytes, kind="bytes", rank=3),
    Column("breaker", 11, lambda e: e.breaker, draw=_breaker, rank=4),
    Column("replies", 8, lambda e: e.replies, kind="number", extra=True),
    Column("forged", 7, lambda e: e.forged or None, kind="number", extra=True),
)
