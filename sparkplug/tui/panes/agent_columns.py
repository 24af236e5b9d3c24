"""What tables of replicas show of each."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span
from sparkplug.tui.panes.agent_usage import UsageCells
from sparkplug.tui.widgets.table import Column

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.node import NodeOrder

#: States that are trouble: what `ctrl+z` shows, and whose reason is shown where there is room.
FAILING = frozenset({"error", "degraded", "stale"})
#: As a tuple: it is compared by text, which is faster than the hash of an enumeration.
_FAILING = tuple(FAILING)
#: States in the order they are sorted in: trouble, what waits, what works, what rests.
_STATES = (
    *("error", "degraded", "stale", "waiting-human", "waiting-gpu", "waiting-agent"),
    *("thinking", "running", "deploying", "starting", "stopping", "idle", "stopped"),
)
_PLACES = {state: place for place, state in enumerate(_STATES)}


def agent_key(agent: ObservedAgent) -> str:
    """What tells a replica from all others."""
    return f"{agent.name}/{agent.replica}/{agent.owner}"


def is_failing(agent: ObservedAgent) -> bool:
    """Whether a replica is in trouble."""
    return str(agent.state) in FAILING


def _name(agent: ObservedAgent) -> str:
    return f"{agent.name} (foreign)" if agent.foreign else agent.name


def _state(state: Any) -> Span:
    symbol, pen = symbols.of_agent(str(state))
    return pen, f"{symbol} {state}"


def _state_place(state: Any) -> int:
    return _PLACES.get(str(state), len(_PLACES))


def _health(agent: ObservedAgent) -> str | None:
    """The kind of trouble it has, as far as its node knows one; None where there is no process."""
    kind = agent.reason_kind
    if kind is not None:
        return str(kind)
    if agent.foreign or agent.pid is None or agent.state in _FAILING:
        return None
    return "ok" if agent.accepting else "not-ready"


def _draw_health(value: Any) -> Span:
    return "dim" if value in (None, "ok") else "warn", value or "—"


def _counted(pen: str) -> Any:
    """A number that stands out in `pen` when it is not zero."""
    return lambda value: (pen if value else "dim", str(value))


_AGENT_COLUMNS = (
    Column("name", 16, _name, grows=True, full=24),
    Column("rep", 3, attrgetter("replica"), pen="dim"),
    Column("state", 15, attrgetter("state"), draw=_state, order=_state_place),
    Column("age", 4, attrgetter("state_since"), kind="age", pen="dim"),
    Column("runtime", 9, attrgetter("runtime"), rank=5, pen="dim"),
    Column("type", 9, attrgetter("type"), rank=8, pen="dim"),
    Column(
        *("restarts", 3, attrgetter("restarts"), "rst"),
        kind="number",
        rank=2,
        draw=_counted("warn"),
    ),
    Column(
        *("flight", 3, attrgetter("inflight"), "now"),
        kind="number",
        rank=1,
        draw=_counted("active"),
    ),
    Column("served", 6, attrgetter("served"), kind="number", rank=6, pen="dim"),
    Column("failed", 6, attrgetter("failed"), kind="number", rank=6, draw=_counted("bad")),
    Column("gpus", 4, lambda a: len(a.gpus) or None, kind="number", rank=8, pen="dim"),
    Column("pid", 7, attrgetter("pid"), kind="number", rank=8, pen="dim"),
    Column("health", 9, _health, extra=True, rank=9, full=13, draw=_draw_health),
    Column("started", 7, attrgetter("started"), kind="age", extra=True, rank=9, pen="dim"),
    Column("owner", 12, attrgetter("owner"), extra=True, rank=9, pen="dim"),
    Column("gpu", 12, lambda a: ", ".join(a.gpus) or None, extra=True, rank=9, full=40, pen="dim"),
    Column(
        *("can", 16, lambda a: ", ".join(a.capabilities) or None),
        extra=True,
        rank=9,
        full=24,
        pen="dim",
    ),
    Column("sdk", 12, attrgetter("sdk"), extra=True, rank=9, pen="dim"),
    Column(
        "reason",
        *(20, lambda a: one_line(a.reason) if a.reason else None),
        extra=True,
        rank=9,
        full=60,
        pen="warn",
    ),
)


class Cordons:
    """What people want of hosts, beside the name of each in a table of replicas."""

    def __init__(self) -> None:
        #: `cordoned` or `draining`, by the name of the host.
        self._words: dict[str, str] = {}

    def take(self, orders: Mapping[str, NodeOrder]) -> dict[str, str]:
        """What is wanted now; give it to `keep` once the cells are changed."""
        return {
            name: "draining" if order.draining else "cordoned"
            for name, order in orders.items()
            if order.cordoned
        }

    def changed(self, words: Mapping[str, str]) -> set[str]:
        """The hosts of which something else is wanted."""
        return {name for name, _ in self._words.items() ^ words.items()}

    def keep(self, words: Mapping[str, str]) -> None:
        """These are wanted now."""
        self._words = dict(words)

    def cell(
        self, agent: ObservedAgent, words: Mapping[str, str] | None = None
    ) -> tuple[str, str] | None:
        """A replica's host and what is wanted of that; None while it is on none."""
        if agent.host is None:
            return None
        wanted = self._words if words is None else words
        return agent.host, "" if agent.foreign else wanted.get(agent.node or agent.host, "")


def _draw_host(value: Any) -> Line:
    if value is None:
        return (("dim", "—"),)
    host, wanted = value
    if not wanted:
        return (("dim", host),)
    symbol, pen = symbols.of_node(wanted)
    return ((pen, f"{symbol} "), ("dim", host))


def agent_columns(usage: UsageCells, cordons: Cordons) -> tuple[Column, ...]:
    """The columns of the table of replicas, those of what they take among them."""
    made = usage.columns()
    found: list[Column] = []
    host = Column(
        *("host", 10, cordons.cell),
        rank=4,
        full=16,
        draw=_draw_host,
        order=lambda value: value and value[0],
    )
    for column in _AGENT_COLUMNS:
        if column.name == "restarts":
            found += [host]
        found.append(column)
        found += [made[name] for name in _BEHIND.get(column.name, ())]
    return tuple(found)


#: Behind which columns those of usage stand.
_BEHIND = {
    "flight": ("cpu", "memory", "vram", "p50", "p95", "rate", "tokens"),
    "started": ("rss", "sm", "cost"),
}


def _short_name(agent: ObservedAgent) -> tuple[str, str]:
    name = agent.name if agent.replica == "0" else f"{agent.name}/{agent.replica}"
    return f"{name} (foreign)" if agent.foreign else name, str(agent.state)


def _draw_name(value: tuple[str, str]) -> Line:
    symbol, pen = symbols.of_agent(value[1])
    return ((pen, f"{symbol} "), ("text", value[0]))


def _short_state(agent: ObservedAgent) -> tuple[str, int]:
    return str(agent.state), agent.inflight


def _draw_short_state(value: tuple[str, int]) -> Span:
    state, inflight = value
    return symbols.of_agent(state)[1], f"{state} ×{inflight}" if inflight > 1 else state


def _note(agent: ObservedAgent) -> str:
    trouble = is_failing(agent) or str(agent.state) == "waiting-gpu"
    return one_line(agent.reason or "") if trouble else ""


#: Replicas in a box: state by symbol and word with how many requests it works on, why, and for how
#: long. Why it is in trouble stands in *needs you* too, so that this goes
#: first where there is little room.
SHORT_COLUMNS = (
    Column("name", 14, _short_name, grows=True, draw=_draw_name, order=lambda value: value[0]),
    Column(
        *("state", 13, _short_state),
        draw=_draw_short_state,
        order=lambda value: _state_place(value[0]),
    ),
    Column("note", 12, _note, grows=True, rank=4, pen="dim", none=""),
    Column("runtime", 9, attrgetter("runtime"), rank=3, pen="dim"),
    Column("host", 10, attrgetter("host"), rank=2, pen="dim", full=16),
    Column(
        *("restarts", 3, attrgetter("restarts")),
        kind="number",
        rank=1,
        draw=lambda value: ("warn", f"↻{value}" if value else ""),
    ),
    Column("age", 4, attrgetter("state_since"), kind="age", pen="dim"),
)
