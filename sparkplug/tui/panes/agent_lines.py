"""What stands below the table of replicas about the one under the cursor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.cells import cell_len

from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span
from sparkplug.tui.panes.agent_usage import Trace, Usage, usage_line

if TYPE_CHECKING:
    from sparkplug.schema.agent import DesiredAgent, ObservedAgent

#: The id of the key of what shows a log, by the id that has among what helps.
_LOGS = {"agents.logs": "logs", "agents.logs.previous": "previous-logs"}


def detail_lines(
    agent: ObservedAgent,
    wanted: DesiredAgent | None,
    usage: Usage | None,
    trace: Trace,
    key: Callable[[str], str],
    width: int,
) -> list[Line]:
    """How it is and why, what helps, what it takes, what it is; `key` is the key of an id."""
    symbol, pen = symbols.of_agent(str(agent.state))
    helps = remedy_line(agent, None if agent.foreign else wanted, key, width)
    lines: list[Line] = [
        (
            (pen, f"{symbol} {agent.state}"),
            ("text", f"  {one_line(agent.reason or '')}"),
        )
    ]
    if helps:
        lines.append(helps)
    taken = usage_line(usage, trace, width) if usage is not None else ()
    if taken:
        lines.append(taken)
    if agent.description:
        lines.append((("dim", one_line(agent.description)),))
    lines.append(_belongings(agent))
    return lines


def _belongings(agent: ObservedAgent) -> Line:
    served = f"{agent.served} served" if agent.served or agent.failed else ""
    parts = [
        f"{agent.inflight} in flight" if agent.inflight else "",
        f"{served}, {agent.failed} failed" if served and agent.failed else served,
        f"{agent.restarts} restarts" if agent.restarts else "",
        f"pid {agent.pid}" if agent.pid is not None else "",
        f"owner {agent.owner}" + (" (foreign: it can be prompted)" if agent.foreign else ""),
        agent.sdk or "",
        _kind(agent.type) if agent.type not in ("", "agent") else "",
        f"can {', '.join(agent.capabilities)}" if agent.capabilities else "",
        f"gpu {', '.join(agent.gpus)}" if agent.gpus else "",
    ]
    return (("dim", one_line(" · ".join(part for part in parts if part))),)


def remedy_line(
    agent: ObservedAgent, wanted: DesiredAgent | None, key: Callable[[str], str], width: int
) -> Line:
    """What helps, each with its key, in a word each where there is little room.

    Empty where nothing is wrong.
    """
    from sparkplug.actions.recovery import remedies

    helps = [(key(_LOGS.get(name, name)), name, words) for name, words in remedies(agent, wanted)]
    helps = [one for one in helps if one[0]]
    roomy = sum(cell_len(f"{found} {words}  ") for found, _, words in helps) <= width
    spans: list[Span] = []
    for found, name, words in helps:
        spans += [("focus", f"{'' if not spans else '  '}{found} ")]
        spans += [("text", words if roomy else name.rpartition(".")[2])]
    return tuple(spans)


def _kind(word: str) -> str:
    """An analyst, a writer."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
