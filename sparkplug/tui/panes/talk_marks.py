"""How who talks to whom is marked: symbols of boxes, weights and pens of edges, rates in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkplug.schema.topology import BreakerState
    from sparkplug.tui.widgets.canvas.model import Weight

#: What marks a box, by what it stands for.
SYMBOLS = {
    "agent": "●",
    "foreign": "◇",
    "planner": "■",
    "face": "❯",
    "group": "◎",
    "subject": "◌",
    "unknown": "?",
}
#: Room for a rate, so that the graph stays where it is while figures change.
RATE_ROOM = 6
#: Requests a second from which an edge is heavy, and double.
_HEAVY, _DOUBLE = 1.0, 10.0
#: The share of errors from which an edge is red; below it, amber.
_BAD = 0.05


def rate_words(rate: float) -> str:
    """A rate, in so few figures that it does not change with every message."""
    if rate < 0.05:
        # What is quiet and what speaks seldom are two things.
        return "<0.1/s" if rate > 0 else "0/s"
    if rate >= 9950:
        return f"{rate / 1000:.0f}k/s"
    if rate >= 995:
        return f"{rate / 1000:.1f}k/s"
    if rate >= 100:
        return f"{round(rate, -1):.0f}/s"
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def weight_of(rate: float) -> Weight:
    """How heavy an edge of that rate is drawn."""
    return "double" if rate >= _DOUBLE else "heavy" if rate >= _HEAVY else "light"


def pen_of(messages: int, errors: int, *, busy: bool) -> str:
    """The pen of an edge: what went wrong comes before what goes on."""
    if errors:
        return "bad" if errors >= _BAD * max(1, messages) else "warn"
    return "active" if busy else "dim"


def breaker_pen(state: BreakerState) -> str:
    """The pen of a circuit breaker that is not closed."""
    return "bad" if state == "open" else "warn"
