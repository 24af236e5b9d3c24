"""The boxes of Overview in lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparkplug.schema.host_needs import host_needs
from sparkplug.schema.shares import gpu_memory_percent, memory_percent
from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span, clip, fit, length
from sparkplug.tui.figures import (
    UNSUPPORTED,
    age,
    meter,
    number,
    percent,
    rate,
    since,
    size,
    sparkline,
)
from sparkplug.tui.panes.gpu_lines import state_words, throttle, throttle_brief
from sparkplug.tui.panes.host_lines import driver_words, has_none
from sparkplug.tui.panes.words import event_words
from sparkplug.tui.widgets.rows import Row

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.event import Event
    from sparkplug.schema.host import Gpu, HostSample
    from sparkplug.schema.host_needs import HostNeed
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.past import PastGpu, PastSample
    from sparkplug.schema.task_services import TaskFigures

#: From so many columns on a GPU has its power and its last seconds, and then its caps too.
_WIDE = 56
#: Columns of what stands in a host's line beside its name and its bars.
_FIGURES = 22
_WIDER = 88
#: Columns of the last seconds, and of what is said at the end of the line, at least.
_PAST = 8
_NOTE = 12
#: States of a node whose numbers are of now.
_ALIVE = frozenset({"starting", "joining", "ready", "degraded", "stopping"})


def strip_lines(
    hosts: Sequence[HostView],
    history: Mapping[str, Sequence[HostSample | PastSample]],
    width: int,
    height: int,
) -> list[Line]:
    """Every host in two lines, and each of its GPUs in one; two in one where there is no room."""
    lines: list[Line] = []
    small = strip_rows(hosts) > height
    for view in hosts:
        lines += _host(view, width)
        sample = view.sample
        if sample is None or str(view.state) not in _ALIVE:
            continue
        gpus = sample.gpus
        if small:
            pairs = [gpus[index : index + 2] for index in range(0, len(gpus), 2)]
            lines += [tuple(s for gpu in pair for s in _small(gpu, width // 2)) for pair in pairs]
        else:
            past = list(history.get(view.node.host, ()))
            lines += [_gpu(gpu, place, past, width) for place, gpu in enumerate(gpus)]
        if _driver_line(sample):
            pen, text = driver_words(sample.driver)
            none = ", no GPU" if has_none(sample) else ""
            lines.append(((pen, f"  {text}{none}"),))
    return lines


def strip_rows(hosts: Sequence[HostView]) -> int:
    """The lines of `strip_lines` where there is room for all."""
    count = 0
    for view in hosts:
        sample = view.sample if str(view.state) in _ALIVE else None
        count += 1 if sample is None else 2 + len(sample.gpus) + _driver_line(sample)
    return count


def _driver_line(sample: HostSample) -> bool:
    """Whether the driver has something to say that its GPUs do not."""
    return not sample.gpus or str(sample.driver.state) != "ok"


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
    name = fit(view.name, min(len(view.name), max(8, width - _FIGURES)))
    # What the figures and the name leave: a name is worth more than a bar.
    bar = max(0, min(8 if width >= _WIDE else 5, (width - _FIGURES - length((("", name),))) // 2))
    line: list[Span] = [
        *head,
        ("text", f"{name} "),
        ("dim", "cpu "),
        *meter(sample.cpu.percent, bar, fills=False),
        ("text", f"{percent(sample.cpu.percent):>{5 if bar else 4}} "),
        ("dim", "mem "),
        *meter(memory, bar),
        ("text", f"{percent(memory):>{5 if bar else 4}}"),
    ]
    lines = [tuple(line)]
    total, free = sample.memory.total_bytes, sample.memory.available_bytes
    more: list[Span] = [("dim", f"  {size(free)} of {size(total)} free")]
    if sample.pressure:
        worst = max(value.some_avg10 for value in sample.pressure.values())
        more.append(("warn" if worst >= 20 else "dim", f" · pressure {worst:.0f}%"))
    if sample.network is not None:
        net = sample.network
        down, up = rate(net.receive_bytes_per_second), rate(net.transmit_bytes_per_second)
        more.append(("dim", f" · ↓{down} ↑{up}"))
    # What does not fit whole is left to Hosts: half a figure tells a wrong one.
    while len(more) > 1 and length(tuple(more)) > width:
        more.pop(1 if more[1][0] == "dim" and len(more) > 2 else -1)
    return [*lines, tuple(more)]


def _gpu(gpu: Gpu, place: int, history: Sequence[HostSample | PastSample], width: int) -> Line:
    """A GPU in a line: the wider it is, the more is told, and the further back.

    `place` is where it stands among the GPUs of its host.
    """
    index: Span = ("dim", f"{gpu.index:>2} ")
    if str(gpu.state) != "ok":
        return (index, ("bad", f"✖ {state_words(gpu)}"))
    share = gpu_memory_percent(gpu)
    memory = _memory(gpu)
    why = throttle(gpu)
    power = number(gpu.power_watts, "W")
    line: list[Span] = [
        index,
        *meter(gpu.utilization_percent, 8 if width >= _WIDE else 4, fills=False),
        ("text", f" {percent(gpu.utilization_percent)} "),
    ]
    if width >= _WIDER:
        line += [("dim", " "), *meter(share, 6)]
    line += [
        ("text" if share is None or share < 95 else "warn", f"{memory:>9} "),
        ("warn" if why else "text", f"{number(gpu.temperature_celsius, '°')}{'▲' if why else ' '}"),
    ]
    if width >= _WIDER and gpu.power_limit_watts is not None:
        line += [("text", f"{power:>5}"), ("dim", f"/{number(gpu.power_limit_watts, 'W'):<5} ")]
    elif width >= _WIDE:
        line.append(("text", f"{power:>5} "))
    owners = ", ".join(dict.fromkeys(p.agent for p in gpu.processes if p.agent))
    most = width // 4 if width >= _WIDE else width - length(tuple(line)) - 1
    words = why if len(why) <= most else throttle_brief(gpu)
    note: Line = (("warn", words),) if why else (("focus", owners),) if owners else ()
    if width >= _WIDE:
        room = width - length(tuple(line)) - max(_NOTE, min(length(note), width // 4)) - 2
        olds = [_as_it_was(gpu, place, sample) for sample in history[-max(_PAST, room) :]]
        past = [old.utilization_percent for old in olds if old is not None]
        # A full block would touch the one of the GPU above.
        line.append(("past", sparkline(past, max(_PAST, room)).replace("█", "▇") + " "))
    return (*line, ("text", " "), *note)


def _memory(gpu: Gpu) -> str:
    """What is used of how much; of memory that is the host's, what its processes hold of it."""
    if gpu.memory is not None:
        return f"{size(gpu.memory.used_bytes)}/{size(gpu.memory.total_bytes)}"
    held = [one.used_bytes for one in gpu.processes if one.used_bytes is not None]
    return f"{size(sum(held))} held" if gpu.unified_memory and held else UNSUPPORTED


def _as_it_was(gpu: Gpu, place: int, sample: HostSample | PastSample) -> Gpu | PastGpu | None:
    """The same GPU in an earlier sample, where it mostly stood in the same place."""
    gpus = sample.gpus
    if place < len(gpus) and gpus[place].uuid == gpu.uuid:
        return gpus[place]
    return next((old for old in gpus if old.uuid == gpu.uuid), None)


def _small(gpu: Gpu, width: int) -> Line:
    """A GPU in half a line."""
    why = throttle(gpu)
    heat = f"{'▲' if why else ' '}{number(gpu.temperature_celsius, '°')}"
    if str(gpu.state) != "ok":
        return clip((("dim", f"{gpu.index:>2} "), ("bad", f"✖ {state_words(gpu)}")), width)
    share = gpu_memory_percent(gpu)
    line: Line = (
        ("dim", f"{gpu.index:>2} "),
        # With a gap to the one beside it, where that is to fit.
        *meter(gpu.utilization_percent, 3 if width >= 20 else 2, fills=False),
        ("text", percent(gpu.utilization_percent)),
        ("dim", f"{percent(share):>{5 if width >= 19 else 4}}"),
        ("warn" if why else "text", heat),
    )
    return clip(line, width)


def event_row(event: Event) -> Row:
    """An event in a line."""
    line: Line = (
        ("dim", f"{event.time.astimezone():%H:%M:%S} "),
        (symbols.of_event(event.name), event.name),
        ("text", f" {one_line(event.subject)}"),
        ("dim", f" {event_words(event)}"),
    )
    return Row(str(event.sequence), line, event)


def needs_rows(agents: Sequence[ObservedAgent], hosts: Sequence[HostView]) -> list[Row]:
    """What waits for a person: agents that ask or gave up, and what ails hosts and their GPUs."""
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
    return rows + [_host_row(view, need, now) for view in hosts for need in host_needs(view)]


def _host_row(view: HostView, need: HostNeed, now: datetime) -> Row:
    """A thing to see to of a host, and what helps."""
    silent = str(view.state) == "stale"
    symbol: Span = ("warn", "~ ") if silent else ("bad", "✖ ")
    place = f" {need.place}" if need.place.startswith("gpu") else ""
    when = age(view.age_seconds) if silent else since(need.since, now) if need.since else ""
    line: Line = (
        symbol,
        ("text", f"{one_line(view.name)}{place} "),
        ("dim", f"{when} " if when else ""),
        ("text", one_line(need.what)),
        ("warn", f" → {one_line(need.remedy)}" if need.remedy else ""),
        ("dim", f"  {one_line(need.detail)}" if need.detail else ""),
    )
    return Row(f"host/{view.name}/{need.place}/{need.what}", line, view)


def queue_words(figures: TaskFigures | None) -> str:
    """The queues of tasks in a few words; empty while there never was one."""
    if figures is None or not figures.queues:
        return ""
    return f"queue {figures.waiting} · running {figures.running} · dead {figures.dead}"
