"""Everything known of one agent, host or event: nodes of a tree, or lines to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparkplug.schema.agent_state import RECOVERY_WORDS
from sparkplug.schema.plain import plain
from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line
from sparkplug.tui.figures import since
from sparkplug.tui.widgets.data_tree import data_node, data_nodes
from sparkplug.tui.widgets.tree_nodes import Node

if TYPE_CHECKING:
    from sparkplug.schema.agent import DesiredAgent, ObservedAgent
    from sparkplug.schema.event import Event

_LABEL = 14
#: Characters of a value that are looked at for its row.
_LOOKED_AT = 1000


def agent_nodes(
    name: str, agents: Sequence[ObservedAgent], wanted: DesiredAgent | None
) -> list[Node]:
    """An agent: each replica as it is, then what is wanted."""
    now = datetime.now(UTC)
    found: list[Node] = []
    for agent in agents:
        symbol, pen = symbols.of_agent(str(agent.state))
        line: Line = (
            ("title", one_line(f"{name}/{agent.replica}")),
            ("text", "  "),
            (pen, f"{symbol} {agent.state}"),
            ("dim", f" for {since(agent.state_since, now)}"),
        )
        key = f"{agent.name}/{agent.replica}/{agent.owner}"
        values = plain(agent)
        found.append(Node(key, line, values, _facts(agent, now)))
    if wanted is not None:
        by = f"  generation {wanted.generation}, {wanted.reason} by {wanted.changed_by}"
        line = (("title", "wanted  "), ("dim", one_line(by).strip() if wanted.changed_by else ""))
        spec = wanted.spec.model_dump(mode="json", exclude_defaults=True)
        below = [
            fact("runs", "yes" if wanted.run else "no, it was stopped"),
            fact("folder", wanted.folder),
            *data_nodes(spec),
        ]
        found.append(Node("wanted", line, spec, below))
    return found


def _facts(agent: ObservedAgent, now: datetime) -> list[Node]:
    facts: list[tuple[str, object]] = [
        ("reason", agent.reason),
        ("you can", ", ".join(RECOVERY_WORDS[one] for one in agent.recovery)),
        ("description", agent.description),
        ("capabilities", ", ".join(agent.capabilities)),
        ("runtime", f"{agent.runtime}{' (foreign)' if agent.foreign else ''}"),
        ("runs on", agent.sdk),
        ("owner", agent.owner),
        ("host", agent.host),
        ("pid", agent.pid),
        ("gpus", ", ".join(agent.gpus)),
        ("limits", agent.limits),
        ("started", f"{since(agent.started, now)} ago" if agent.started else None),
        ("restarts", agent.restarts),
        ("in flight", agent.inflight),
        ("served", f"{agent.served}, failed {agent.failed}"),
        ("subject", agent.subject),
    ]
    found = [
        fact(label, value, "warn" if label == "reason" else "text")
        for label, value in facts
        if value not in (None, "")
    ]
    if agent.history:
        found.append(_history(agent))
    if agent.last_lines:
        lines = agent.last_lines.splitlines()
        found.append(data_node("last lines", lines, "last lines of its log"))
    if agent.actions:
        found.append(data_node("actions", agent.actions, "actions"))
    return found


def _history(agent: ObservedAgent) -> Node:
    """Its last states, the newest first."""
    below = []
    for one in reversed(agent.history):
        symbol, pen = symbols.of_agent(str(one.state))
        when = f"{one.since.astimezone():%H:%M:%S}"
        line: Line = (
            ("dim", f"{when}  "),
            (pen, f"{symbol} {one.state}"),
            ("dim", f" by the {one.source}"),
            ("text", f"  {one_line(one.reason[:_LOOKED_AT])}" if one.reason else ""),
        )
        below.append(Node(one.since.isoformat(), line, plain(one)))
    count: Line = (("focus", "history:"), ("dim", f"  {len(below)}"))
    values = [node.value for node in below]
    return Node("history", count, values, lambda: below)


def fact(label: str, value: object, pen: str = "text") -> Node:
    text = str(value)
    return Node(label, (("dim", f"{label:<{_LABEL}}"), (pen, one_line(text[:_LOOKED_AT]))), text)


def event_nodes(event: Event) -> list[Node]:
    """An event with all it carries."""
    facts: list[tuple[str, object, str]] = [
        ("event", event.name, symbols.of_event(event.name)),
        ("subject", event.subject, "text"),
        ("time", f"{event.time.astimezone():%Y-%m-%d %H:%M:%S %Z}", "text"),
        ("sequence", event.sequence, "text"),
        ("host", event.host or "", "text"),
        ("by", event.actor, "text"),
    ]
    found = [fact(label, value, pen) for label, value, pen in facts]
    return [*found, *data_nodes(event.data)]
