"""Everything known of one agent, host or event, as lines to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span, wrap
from sparkplug.tui.figures import UNSUPPORTED, since, size
from sparkplug.tui.widgets.columns import Column, Columns

if TYPE_CHECKING:
    from sparkplug.schema.agent import DesiredAgent, ObservedAgent
    from sparkplug.schema.event import Event
    from sparkplug.schema.host import Process
    from sparkplug.schema.node_services import ProcessesReply

_LABEL = 14
_PROCESSES = 200


def pair(label: str, value: object, width: int, pen: str = "text") -> list[Line]:
    """A label and its value, wrapped below itself."""
    found = wrap(str(value), max(10, width - _LABEL))
    lines: list[Line] = [(("dim", f"{label:<{_LABEL}}"), (pen, found[0]))]
    return lines + [(("dim", " " * _LABEL), (pen, line)) for line in found[1:]]


def tree(value: Any, indent: int = 0) -> list[Line]:
    """A nested value as YAML shows it."""
    pad = " " * indent
    lines: list[Line] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list) and inner:
                lines.append((("focus", f"{pad}{key}:"),))
                lines += tree(inner, indent + 2)
            else:
                lines.append((("focus", f"{pad}{key}: "), ("text", _scalar(inner))))
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                lines.append((("dim", f"{pad}-"),))
                lines += tree(inner, indent + 2)
            else:
                lines.append((("dim", f"{pad}- "), ("text", _scalar(inner))))
    else:
        lines.append((("text", pad + _scalar(value)),))
    return lines


def _scalar(value: Any) -> str:
    if value is None:
        return "~"
    return str(value).lower() if isinstance(value, bool) else str(value)


def agent_lines(
    name: str, agents: Sequence[ObservedAgent], wanted: DesiredAgent | None, width: int
) -> list[Line]:
    """An agent: each replica as it is, then what is wanted."""
    now = datetime.now(UTC)
    lines: list[Line] = []
    for agent in agents:
        symbol, pen = symbols.of_agent(str(agent.state))
        lines.append(
            (
                ("title", f"{name}/{agent.replica}  "),
                (pen, f"{symbol} {agent.state}"),
                ("dim", f" for {since(agent.state_since, now)}"),
            )
        )
        facts: list[tuple[str, object]] = [
            ("reason", agent.reason),
            ("description", agent.description),
            ("capabilities", ", ".join(agent.capabilities)),
            ("runtime", f"{agent.runtime}{' (foreign)' if agent.foreign else ''}"),
            ("runs on", agent.sdk),
            ("owner", agent.owner),
            ("host", agent.host),
            ("pid", agent.pid),
            ("gpus", ", ".join(agent.gpus)),
            ("started", f"{since(agent.started, now)} ago" if agent.started else None),
            ("restarts", agent.restarts),
            ("in flight", agent.inflight),
            ("served", f"{agent.served}, failed {agent.failed}"),
            ("actions", ", ".join(agent.actions)),
            ("subject", agent.subject),
        ]
        for label, value in facts:
            if value not in (None, ""):
                lines += pair(label, value, width, "warn" if label == "reason" else "text")
        lines.append(())
    if wanted is not None:
        by = f"  generation {wanted.generation}, {wanted.reason} by {wanted.changed_by}"
        lines.append((("title", "wanted"), ("dim", by if wanted.changed_by else "")))
        lines += pair("runs", "yes" if wanted.run else "no, it was stopped", width)
        lines += pair("folder", wanted.folder, width)
        lines += tree(wanted.spec.model_dump(mode="json", exclude_defaults=True))
    return lines


def process_lines(reply: ProcessesReply, width: int) -> list[Line]:
    """The processes of a host: agents first, then by processor time and memory."""
    columns = Columns(
        [
            Column("pid", 7, align="right"),
            Column("agent", 14, rank=1),
            Column("user", 9, rank=3),
            Column("s", 1, rank=2),
            Column("cpu", 5, align="right"),
            Column("memory", 6, align="right"),
            Column("command", 16, grows=True),
        ],
        width,
    )
    ordered = sorted(
        reply.processes, key=lambda p: (p.agent is None, -p.cpu_percent, -p.rss_bytes, p.pid)
    )
    lines = [columns.header()]
    lines += [columns.line(_process(process)) for process in ordered[:_PROCESSES]]
    if (more := len(ordered) - _PROCESSES) > 0:
        lines.append((("dim", f"and {more} more"),))
    return lines


def _process(process: Process) -> dict[str, Span]:
    return {
        "pid": ("dim", str(process.pid)),
        "agent": ("focus", process.agent or ""),
        "user": ("dim", process.user or UNSUPPORTED),
        "s": ("bad" if process.state in "DZ" else "text", process.state),
        "cpu": ("text", f"{process.cpu_percent:.0f}%"),
        "memory": ("text", size(process.rss_bytes)),
        "command": ("text", process.command or process.name),
    }


def event_lines(event: Event, width: int) -> list[Line]:
    """An event with all it carries."""
    lines = pair("event", event.name, width, symbols.of_event(event.name))
    lines += pair("subject", event.subject, width)
    lines += pair("time", f"{event.time.astimezone():%Y-%m-%d %H:%M:%S %Z}", width)
    lines += pair("sequence", event.sequence, width)
    lines += pair("host", event.host or "", width)
    lines += pair("by", event.actor, width)
    return [*lines, (), *tree(event.data)]
