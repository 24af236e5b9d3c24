"""The boxes of Overview in lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span, beside, clip, fit
from sparkplug.tui.figures import age, meter, number, percent, since, size, sparkline
from sparkplug.tui.panes.host_lines import (
    driver_words,
    gpu_memory_percent,
    memory_percent,
    throttle,
)
from sparkplug.tui.widgets.rows import Row

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.event import Event
    from sparkplug.schema.host import Gpu, HostSample
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.topology import Topology

_WIDE = 56
#: States of a node whose numbers are of now.
_ALIVE = frozenset({"starting", "ready", "degraded", "stopping"})


def strip_lines(
    hosts: Sequence[HostView],
    history: Mapping[str, Sequence[HostSample]],
    width: int,
    height: int,
) -> list[Line]:
    """Every host in two lines, and each of its GPUs in one; two in one where there is no room."""
    lines: list[Line] = []
    for view in hosts:
        lines += _host(view, width)
        sample = view.sample
        if sample is None or str(view.state) not in _ALIVE:
            continue
        gpus = sample.gpus
        if 2 * len(hosts) + sum(len(v.sample.gpus) for v in hosts if v.sample) > height:
            pairs = [gpus[index : index + 2] for index in range(0, len(gpus), 2)]
            lines += [tuple(s for gpu in pair for s in _small(gpu, width // 2)) for pair in pairs]
        else:
            past = history.get(view.node.host, ())
            lines += [_gpu(gpu, past, width) for gpu in gpus]
        if not sample.gpus or str(sample.driver.state) != "ok":
            pen, text = driver_words(sample.driver)
            lines.append(((pen, f"  {text}"),))
    return lines


def _host(view: HostView, width: int) -> list[Line]:
    symbol, pen = symbols.of_node(str(view.state))
    head: list[Span] = [(pen, f"{symbol} ")]
    if str(view.state) not in _ALIVE:
        silent = f" {age(view.age_seconds)}" if str(view.state) == "stale" else ""
        head += [("text", fit(view.name, 10)), (pen, f" {view.state}{silent}")]
        return [tuple(head)]
    sample = view.sample
    if sample is None:
        return [(*head, ("text", f"{view.name} "), ("dim", "no telemetry yet"))]
    memory = memory_percent(sample)
    bar = 8 if width >= _WIDE else 5
    line: list[Span] = [
        *head,
        ("text", fit(view.name, min(len(view.name), max(8, width - 2 * bar - 24))) + " "),
        ("dim", "cpu "),
        *meter(sample.cpu.percent, bar, fills=False),
        ("text", f"{percent(sample.cpu.percent)} "),
        ("dim", "mem "),
        *meter(memory, bar),
        ("text", percent(memory)),
    ]
    lines = [tuple(line)]
    total, free = sample.memory.total_bytes, sample.memory.available_bytes
    more: list[Span] = [("dim", f"  {size(free)} of {size(total)} free")]
    if sample.pressure:
        worst = max(value.some_avg10 for value in sample.pressure.values())
        more.append(("warn" if worst >= 20 else "dim", f" · psi {worst:.1f}"))
    if sample.network is not None:
        net = sample.network
        down, up = size(net.receive_bytes_per_second), size(net.transmit_bytes_per_second)
        more.append(("dim", f" · ↓{down} ↑{up}"))
    return [*lines, tuple(more)]


def _gpu(gpu: Gpu, history: Sequence[HostSample], width: int) -> Line:
    wide = width >= _WIDE
    share = gpu_memory_percent(gpu)
    memory = (
        f"{size(gpu.memory.used_bytes)}/{size(gpu.memory.total_bytes)}" if gpu.memory else "n/s"
    )
    why = throttle(gpu)
    line: list[Span] = [
        ("dim", f"{gpu.index:>2} "),
        *meter(gpu.utilization_percent, 8 if wide else 4, fills=False),
        ("text", f"{percent(gpu.utilization_percent)} "),
        ("text" if share is None or share < 95 else "warn", f"{memory:>9} "),
        ("warn" if why else "text", f"{number(gpu.temperature_celsius, '°')}{'▲' if why else ' '}"),
    ]
    if str(gpu.state) != "ok":
        return (*line[:1], ("bad", f"✖ {gpu.state}"))
    if wide:
        past = [
            old.utilization_percent
            for sample in list(history)[-8:]
            for old in sample.gpus
            if old.uuid == gpu.uuid
        ]
        line += [
            ("text", f"{number(gpu.power_watts, 'W'):>5} "),
            ("active", sparkline(past, 8) + " "),
        ]
    owners = [process.agent for process in gpu.processes if process.agent]
    if why:
        line.append(("warn", f" {why}"))
    elif owners:
        line.append(("focus", f" {', '.join(dict.fromkeys(owners))}"))
    return tuple(line)


def _small(gpu: Gpu, width: int) -> Line:
    """A GPU in half a line."""
    why = throttle(gpu)
    heat = f"{'▲' if why else ' '}{number(gpu.temperature_celsius, '°')}"
    if str(gpu.state) != "ok":
        return clip((("dim", f"{gpu.index:>2} "), ("bad", f"✖ {gpu.state}")), width)
    share = gpu_memory_percent(gpu)
    line: Line = (
        ("dim", f"{gpu.index:>2} "),
        *meter(gpu.utilization_percent, 3, fills=False),
        ("text", percent(gpu.utilization_percent)),
        ("dim", f" {percent(share).strip()}"),
        ("warn" if why else "text", heat),
    )
    return clip(line, width)


def agent_line(agent: ObservedAgent, width: int, now: datetime) -> Line:
    """A replica in a short line: state by symbol and word, why, and for how long."""
    symbol, pen = symbols.of_agent(str(agent.state))
    name = agent.name if agent.replica == "0" else f"{agent.name}/{agent.replica}"
    left: list[Span] = [(pen, f"{symbol} "), ("text", fit(name, max(10, width // 2 - 6)) + " ")]
    left.append((pen, str(agent.state)))
    if agent.foreign:
        left.append(("dim", " foreign"))
    if agent.inflight:
        left.append(("active", f" {agent.inflight} in flight"))
    if agent.reason and str(agent.state) in ("error", "degraded", "stale", "waiting-gpu"):
        left.append(("dim", f" {one_line(agent.reason)}"))
    right: list[Span] = []
    if agent.restarts:
        right.append(("warn", f" ↻{agent.restarts}"))
    right.append(("dim", f" {since(agent.state_since, now):>4}"))
    return beside(tuple(left), tuple(right), width)


def talk_lines(topology: Topology, width: int) -> list[Line]:
    """Who talks to whom: the busiest pairs first."""
    edges = sorted(topology.edges, key=lambda e: (-e.rate_per_second, -e.messages, e.from_, e.to))
    name = max(6, min(16, (width - 22) // 2))
    lines: list[Line] = []
    for edge in edges:
        busy = edge.rate_per_second > 0 or edge.inflight > 0
        arrow = "━━▶" if edge.rate_per_second >= 1 else "──▶"
        line: list[Span] = [
            ("text", fit(edge.from_, name, "right")),
            ("active" if busy else "dim", f" {arrow} "),
            ("text", fit(edge.to, name)),
            ("active" if busy else "dim", f" {edge.rate_per_second:5.1f}/s "),
            ("dim", f"{edge.messages}"),
        ]
        if edge.errors:
            line.append(("bad", f" ✖{edge.errors}"))
        if edge.latency_p50_ms is not None and width > 60:
            line.append(("dim", f" p50 {edge.latency_p50_ms:.0f} ms"))
        lines.append(tuple(line))
    return lines


def event_row(event: Event) -> Row:
    """An event in a line."""
    text = str(event.data.get("reason") or event.data.get("error") or event.data.get("what") or "")
    line: Line = (
        ("dim", f"{event.time.astimezone():%H:%M:%S} "),
        (symbols.of_event(event.name), event.name),
        ("text", f" {one_line(event.subject)}"),
        ("dim", f" {one_line(text)}"),
    )
    return Row(str(event.sequence), line, event)


def needs_rows(agents: Sequence[ObservedAgent], hosts: Sequence[HostView]) -> list[Row]:
    """What waits for a person: questions, agents that gave up, what is silent."""
    now = datetime.now(UTC)
    rows: list[Row] = []
    for agent in agents:
        state = str(agent.state)
        if state not in ("waiting-human", "error"):
            continue
        symbol, pen = symbols.of_agent(state)
        what = agent.reason or ("asks you something" if state == "waiting-human" else "gave up")
        line: Line = (
            (pen, f"{symbol} "),
            ("text", f"{agent.name} "),
            ("dim", f"{since(agent.state_since, now)} "),
            ("text", one_line(what)),
        )
        rows.append(Row(f"agent/{agent.name}/{agent.replica}/{agent.owner}", line, agent))
    for view in hosts:
        if str(view.state) == "stale":
            text = f"host {view.name} silent for {age(view.age_seconds)}"
            rows.append(Row(f"host/{view.name}", (("warn", "~ "), ("text", text)), view))
        elif view.sample is not None and str(view.sample.driver.state) in (
            "not_responding",
            "error",
        ):
            pen, text = driver_words(view.sample.driver)
            line = ((pen, "✖ "), ("text", f"{view.name}: {text}"))
            rows.append(Row(f"driver/{view.name}", line, view))
    return rows
