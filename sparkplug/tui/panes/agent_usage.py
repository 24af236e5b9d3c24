"""What agents take, beside how they are: cells of a table, and the words below it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkplug.tui import figures
from sparkplug.tui.cells import Line, Span
from sparkplug.tui.widgets.table import Column

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.usage import AgentUsage, UsageHistory

#: A replica, as usage names it: its agent and its number.
Replica = tuple[str, str]

#: Seconds between two points of a history, and points kept: an hour.
POINT_S = 10.0
_POINTS = 360
#: Memory in a table is told in steps of this: a byte more is no news.
_MEMORY_STEP = 1 << 20
#: Share of what is allowed at once from which work is told as waiting.
_BUSY_PERCENT = 90.0
#: Figures that come closer than this are told as if they had not.
_LEAST_S = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """What a replica takes, when that was heard, and what was before it."""

    now: AgentUsage
    heard: float
    before: tuple[AgentUsage, float] | None = None

    @property
    def rate(self) -> float | None:
        """Messages a second, both ways; None until there are two figures of one process."""
        if self.before is None or self.before[0].pid != self.now.pid:
            return None
        earlier, heard = self.before
        count = self.now.received + self.now.sent - earlier.received - earlier.sent
        return _whole(max(0, count) / max(self.heard - heard, _LEAST_S))


def _in_steps(count: int | None) -> int | None:
    return None if count is None else count // _MEMORY_STEP * _MEMORY_STEP


def _memory(usage: AgentUsage) -> int | None:
    return _in_steps(usage.pss_bytes if usage.pss_bytes is not None else usage.rss_bytes)


def _whole(value: float | None) -> float | None:
    """In two digits or so: less is no news."""
    if value is None:
        return None
    return round(value, 1) if value < 10 else round(value) if value < 100 else round(value, -1)


def _percent(value: float | None) -> float | None:
    return None if value is None else float(round(value))


def _cpu(value: Any) -> Span:
    if value is None:
        return "dim", "—"
    pen = "dim" if value < 1 else "active" if value < _BUSY_PERCENT else "warn"
    return pen, f"{value:.0f}%"


def latency(milliseconds: float) -> str:
    """How long an answer took: 12ms, 3.4s, 2m10s."""
    if milliseconds < 1000:
        return f"{milliseconds:.2g}ms" if milliseconds < 10 else f"{milliseconds:.0f}ms"
    return figures.duration(milliseconds / 1000)


def _milliseconds(value: Any) -> Span:
    return ("dim", "—") if value is None else ("text", latency(value))


def _rate(value: Any) -> Span:
    if value is None:
        return "dim", "—"
    return ("active" if value else "dim"), f"{value:g}" if value < 1000 else f"{value / 1000:.1f}k"


def _cost(value: Any) -> Span:
    return ("dim", "—") if value is None else ("text", f"{value:.3g}")


#: What a column shows of a replica's usage.
_VALUES: dict[str, Callable[[Usage], Any]] = {
    "cpu": lambda u: _percent(u.now.cpu_percent),
    "memory": lambda u: _memory(u.now),
    "rss": lambda u: _in_steps(u.now.rss_bytes),
    "vram": lambda u: u.now.gpu_memory_bytes,
    "sm": lambda u: _percent(u.now.gpu_percent),
    "p50": lambda u: _whole(u.now.latency_p50_ms),
    "p95": lambda u: _whole(u.now.latency_p95_ms),
    "rate": lambda u: u.rate,
    "tokens": lambda u: _whole(u.now.tokens_per_second),
    "cost": lambda u: u.now.model_cost or None,
}
USAGE_COLUMNS = frozenset(_VALUES)


class UsageCells:
    """The newest usage of each replica, as the cells of columns."""

    def __init__(self) -> None:
        #: By column: a table asks for a column's value far more often than it changes.
        self._values: dict[str, dict[Replica, Any]] = {name: {} for name in _VALUES}
        self._usage: dict[Replica, Usage] = {}

    def columns(self) -> dict[str, Column]:
        """A column for each value, by its name."""

        def of(name: str) -> Callable[[ObservedAgent], Any]:
            values = self._values[name]
            return lambda agent: values.get((agent.name, agent.replica)) if values else None

        made = (
            Column("cpu", 4, of("cpu"), kind="percent", rank=2, draw=_cpu),
            Column("memory", 5, of("memory"), "mem", kind="bytes", rank=3),
            Column("rss", 5, of("rss"), kind="bytes", rank=9, extra=True, pen="dim"),
            Column("vram", 5, of("vram"), kind="bytes", rank=7),
            Column("sm", 4, of("sm"), kind="percent", rank=9, extra=True, draw=_cpu),
            Column("p50", 5, of("p50"), kind="number", rank=8, draw=_milliseconds),
            Column("p95", 5, of("p95"), kind="number", rank=7, draw=_milliseconds),
            Column("rate", 5, of("rate"), "msg/s", kind="number", rank=7, draw=_rate),
            Column("tokens", 5, of("tokens"), "tok/s", kind="number", rank=8, draw=_rate),
            Column("cost", 6, of("cost"), kind="number", rank=9, extra=True, draw=_cost),
        )
        return {column.name: column for column in made}

    def take(
        self, usage: Mapping[Replica, AgentUsage], shown: frozenset[str]
    ) -> dict[Replica, dict[str, Any]]:
        """Take in the newest; of each replica with news the cells of `shown` columns.

        Give them to `keep` once they are changed in the table.
        """
        now = time.monotonic()
        makers = [(name, _VALUES[name]) for name in shown]
        found: dict[Replica, dict[str, Any]] = {}
        known = self._usage
        for replica, one in usage.items():
            last = known.get(replica)
            if last is not None and last.now is one:
                continue
            made = Usage(one, now, None if last is None else (last.now, last.heard))
            known[replica] = made
            found[replica] = {name: value(made) for name, value in makers}
        for replica in known.keys() - usage.keys():
            del known[replica]
            for values in self._values.values():
                values.pop(replica, None)
        return found

    def keep(self, cells: Mapping[Replica, dict[str, Any]]) -> None:
        """These are the cells now."""
        for replica, values in cells.items():
            for name, value in values.items():
                self._values[name][replica] = value

    def now(self, replica: Replica) -> Usage | None:
        """The newest usage of a replica."""
        return self._usage.get(replica)


class Trace:
    """How the processor time of one replica went: what its node kept, then what comes."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.points: deque[float | None] = deque(maxlen=_POINTS)
        self._sum = self._count = 0.0
        self._began = time.monotonic()

    def load(self, histories: list[UsageHistory]) -> None:
        """What its node kept."""
        for history in histories:
            if (history.agent, history.replica) == self.replica:
                self.points.extend(point.cpu_percent for point in history.points)

    def note(self, usage: AgentUsage) -> None:
        """One more figure; a point is the mean of those of ten seconds."""
        if usage.cpu_percent is None:
            return
        self._sum += usage.cpu_percent
        self._count += 1
        now = time.monotonic()
        if now - self._began >= POINT_S:
            self.points.append(self._sum / self._count)
            self._sum = self._count = 0.0
            self._began = now


def usage_line(found: Usage, trace: Trace, width: int) -> Line:
    """What a replica takes and does, in a line; processor time with how it went."""
    usage, rate = found.now, found.rate
    spans: list[Span] = []

    def told(label: str, words: str, pen: str = "text") -> None:
        spans.extend((("dim", f"{label} " if not spans else f" · {label} "), (pen, words)))

    if usage.cpu_percent is not None:
        told("cpu", f"{usage.cpu_percent:.0f}%", "active" if usage.cpu_percent >= 1 else "dim")
        if width >= 100 and trace.points:
            room = min(30, width // 6)
            known = [point for point in trace.points if point is not None]
            top = max(10.0, *known) if known else 10.0
            drawn = figures.sparkline(list(trace.points), room, top).lstrip()
            spans.append(("active", f" {drawn}"))
    if usage.rss_bytes is not None:
        whole = figures.size(usage.rss_bytes).strip()
        shared = f", {usage.shared} agents in it" if usage.shared > 1 else ""
        if usage.pss_bytes is not None:
            told("mem", f"{figures.size(usage.pss_bytes).strip()} of {whole}{shared}")
        else:
            told("mem", f"{whole}{shared}")
    if usage.gpu_memory_bytes is not None:
        told("vram", figures.size(usage.gpu_memory_bytes).strip())
    if usage.gpu_percent is not None:
        told("sm", f"{usage.gpu_percent:.0f}%")
    if usage.latency_p50_ms is not None:
        told("p50", latency(usage.latency_p50_ms))
    if usage.latency_p95_ms is not None:
        told("p95", latency(usage.latency_p95_ms))
    if rate is not None:
        told("msg/s", f"{rate:g}")
    if usage.model_calls:
        told("tokens", f"{usage.tokens_in} in {usage.tokens_out} out")
        if usage.tokens_per_second:
            told("tok/s", f"{usage.tokens_per_second:g}", "active")
        if usage.model_cost:
            told("cost", f"{usage.model_cost:.3g}")
    return tuple(spans)
