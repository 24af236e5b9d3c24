"""Why something is slow or failed: what is known of it that would tell, and nothing guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sparkplug.schema.shares import memory_percent
from sparkplug.schema.text import strip_controls
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, wrap
from sparkplug.tui.figures import age, percent, since
from sparkplug.tui.panes.gpu_lines import state_words, throttle
from sparkplug.tui.panes.host_lines import driver_words
from sparkplug.tui.panes.words import event_words
from sparkplug.tui.widgets.steps import took

if TYPE_CHECKING:
    from sparkplug.schema.agent import DesiredAgent, ObservedAgent
    from sparkplug.schema.event import Event
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.run import RunView

#: Events of trouble shown, the newest first.
_EVENTS = 5
#: Lines shown of the log of a process that failed; describing it shows all that were kept.
_LAST_LINES = 10
_TROUBLE = frozenset({"error", "failed", "left", "lost", "stale", "stopped", "throttled", "xid"})
#: What a state says of itself, where that is a reason.
_WAITS = {
    "deploying": "it is being put on a host",
    "starting": "its process was started and is not on the bus yet",
    "waiting-human": "it waits for a person's answer",
    "waiting-agent": "it waits for another agent's answer",
    "waiting-gpu": "it waits for GPUs to be free",
    "stopping": "it finishes what is in flight, then ends",
    "stopped": "it was stopped",
    "stale": "it says nothing, or its host does not: how it is now is not known",
}
_FULL_PERCENT = 95.0
#: Share of the last ten seconds in which something had to wait, from which it is felt.
_PRESSED_PERCENT = 20.0
#: Cells of a label.
_LABEL = 14


def pair(label: str, value: object, width: int, pen: str = "text") -> list[Line]:
    """A label and its value, wrapped below itself."""
    found = wrap(str(value), max(10, width - _LABEL))
    lines: list[Line] = [(("dim", f"{label:<{_LABEL}}"), (pen, found[0]))]
    return lines + [(("dim", " " * _LABEL), (pen, line)) for line in found[1:]]


def agent_why(
    name: str,
    agents: Sequence[ObservedAgent],
    wanted: DesiredAgent | None,
    hosts: Sequence[HostView],
    events: Iterable[Event],
    width: int,
) -> list[Line]:
    """What keeps an agent's replicas, each with the trouble of its host and GPUs."""
    now = datetime.now(UTC)
    lines: list[Line] = []
    for agent in agents:
        state = str(agent.state)
        symbol, pen = symbols.of_agent(state)
        lines.append(
            (
                ("title", f"{name}/{agent.replica}  "),
                (pen, f"{symbol} {state}"),
                ("dim", f" for {since(agent.state_since, now)}"),
            )
        )
        found: list[Line] = []
        if agent.reason:
            found += pair("reason", agent.reason, width, "warn")
        if state in _WAITS:
            found += pair("waits", _WAITS[state], width)
        if wanted is not None and not wanted.run and state != "stopped":
            found += pair("wanted", "it is to be stopped", width)
        if wanted is not None and agent.inflight >= wanted.spec.concurrency:
            text = f"{agent.inflight} in flight, no more at once: further prompts wait"
            found += pair("busy", text, width, "warn")
        if agent.restarts:
            text = f"{agent.restarts}{_limit(wanted)}"
            found += pair("restarts", text, width, "warn")
        if agent.failed:
            text = f"{agent.failed} of {agent.served + agent.failed} prompts"
            found += pair("failed", text, width, "warn")
        host = next((view for view in hosts if view.name == (agent.host or agent.node)), None)
        found += _beneath(agent, host, width)
        if agent.limits and str(agent.reason_kind) in ("out-of-memory", "blocked"):
            found += pair("limits", agent.limits, width)
        for place, said in enumerate(agent.last_lines.splitlines()[-_LAST_LINES:]):
            found += pair("" if place else "last lines", strip_controls(said), width, "dim")
        lines += found or [(("dim", "nothing is known to be wrong with it"),)]
        lines.append(())
    if not agents:
        lines += [(("dim", "it has no replica"),), ()]
        if wanted is not None and not wanted.run:
            lines[:1] = [(("text", "it was stopped, and stays so until it is started"),)]
    about = [e for e in events if e.subject == name or e.subject.startswith(f"{name}/")]
    return lines + _events(about, width)


def _limit(wanted: DesiredAgent | None) -> str:
    if wanted is None:
        return ""
    restart = wanted.spec.restart
    most = f"{restart.max} within {age(restart.within)}" if restart.max else "without limit"
    return f"; policy {restart.policy}, {most}"


def _beneath(agent: ObservedAgent, host: HostView | None, width: int) -> list[Line]:
    """Trouble of the host it runs on, and of the GPUs it has there."""
    if host is None:
        return []
    found = []
    if str(host.state) == "stale":
        text = f"{host.name} was last heard {age(host.age_seconds)} ago"
        found += pair("host", text, width, "warn")
    sample = host.sample
    for gpu in sample.gpus if sample is not None else ():
        if gpu.uuid not in agent.gpus:
            continue
        if str(gpu.state) != "ok":
            found += pair(f"gpu {gpu.index}", state_words(gpu), width, "bad")
        elif reasons := throttle(gpu):
            found += pair(f"gpu {gpu.index}", f"clocks are low: {reasons}", width, "warn")
    return found


def host_why(view: HostView | None, events: Iterable[Event], width: int) -> list[Line]:
    """What is wrong with a host, and what of it is full, pressed or held back."""
    if view is None:
        return [(("dim", "it is gone"),)]
    symbol, pen = symbols.of_node(str(view.state))
    lines: list[Line] = [(("title", f"{view.name}  "), (pen, f"{symbol} {view.state}"))]
    found: list[Line] = []
    if str(view.state) == "stale":
        found += pair("silent", f"last heard {age(view.age_seconds)} ago", width, "warn")
    if view.node.reason:
        found += pair("reason", view.node.reason, width, "warn")
    sample = view.sample
    if sample is not None:
        driver_pen, words = driver_words(sample.driver)
        if str(sample.driver.state) in ("not_responding", "error"):
            found += pair("driver", words, width, driver_pen)
        memory = memory_percent(sample)
        if memory >= _FULL_PERCENT:
            found += pair("memory", f"{percent(memory).strip()} used", width, "warn")
        for name, pressure in sample.pressure.items():
            if pressure.some_avg10 >= _PRESSED_PERCENT:
                text = f"something waited for it {pressure.some_avg10:.0f}% of the last 10 s"
                found += pair(name, text, width, "warn")
        for mount in sample.mounts_not_answering:
            found += pair("disk", f"{mount} does not answer", width, "bad")
        for gpu in sample.gpus:
            told: list[tuple[str, str]] = []
            if str(gpu.state) != "ok":
                told.append(("bad", state_words(gpu)))
            if reasons := throttle(gpu):
                told.append(("warn", f"clocks are low: {reasons}"))
            if gpu.ecc_uncorrected_volatile:
                told.append(("bad", f"{gpu.ecc_uncorrected_volatile} uncorrected memory errors"))
            if gpu.remapped_rows_pending:
                told.append(("warn", "rows of its memory wait to be remapped at the next reset"))
            for told_pen, text in told:
                found += pair(f"gpu {gpu.index}", text, width, told_pen)
        for xid in sample.xids[-_EVENTS:]:
            text = f"XID {xid.xid} {since(xid.time)} ago: {xid.meaning}"
            found += pair(f"gpu {xid.gpu}", text, width, "bad")
            found += pair("", f"→ {xid.remedy}", width, "warn") if xid.remedy else []
        for event in sample.gpu_events[-_EVENTS:]:
            text = f"{event.kind.replace('_', ' ')} {since(event.time)} ago: {event.meaning}"
            found += pair(f"gpu {event.gpu}", text, width, "bad" if event.remedy else "text")
            found += pair("", f"→ {event.remedy}", width, "warn") if event.remedy else []
    nothing = "nothing is known to be wrong with it" if sample else "no telemetry was heard from it"
    lines += found or [(("dim", nothing),)]
    lines.append(())
    names = {view.name, view.node.host}
    return lines + _events([e for e in events if e.subject.split("/")[0] in names], width)


def run_why(run: RunView | None, events: Iterable[Event], width: int) -> list[Line]:
    """Why a run failed, or which step it has been waiting for the longest."""
    if run is None:
        return [(("dim", "its journal is not here"),)]
    now = datetime.now(UTC)
    symbol, pen = symbols.of_step(str(run.state))
    time = took(run.created, run.finished, now)
    lines: list[Line] = [
        (("title", f"{run.id}  "), (pen, f"{symbol} {run.state}"), ("dim", f"  {time}"))
    ]
    found: list[Line] = []
    if run.error:
        found += pair("reason", run.error, width, "bad")
    for step in run.steps:
        mark, step_pen = symbols.of_step(str(step.state))
        going = step.started is not None and step.finished is None
        if not (step.error or going or step.attempts > 1 or step.interruptions):
            continue
        text = f"{mark} {step.state} {took(step.started, step.finished, now)}".rstrip()
        text += f", by {step.agent}" if step.agent else ""
        text += f", attempt {step.attempts}" if step.attempts > 1 else ""
        text += f", cut short {step.interruptions} times" if step.interruptions else ""
        found += pair(step.id, text, width, step_pen)
        if step.error:
            found += pair("", step.error, width, "bad")
    done = [step for step in run.steps if step.started and step.finished]
    if run.finished is not None and not found and done:
        slowest = max(done, key=lambda s: (s.finished or now) - (s.started or now))
        text = f"{slowest.id}, {took(slowest.started, slowest.finished, now)}"
        found += pair("slowest step", text, width)
    lines += found or [(("dim", "nothing is known to be wrong with it"),)]
    lines.append(())
    return lines + _events([event for event in events if event.subject == run.id], width)


def _events(about: Sequence[Event], width: int) -> list[Line]:
    """The newest events that tell of trouble."""
    bad = [event for event in about if event.name.partition(":")[2] in _TROUBLE]
    if not bad:
        return [(("dim", line),) for line in wrap("no event of trouble is kept here", width)]
    lines: list[Line] = [(("title", "events"),)]
    for event in reversed(bad[-_EVENTS:]):
        text = event_words(event)
        when = f"{event.time.astimezone():%H:%M:%S}"
        lines += pair(when, f"{event.name} {text}".strip(), width, symbols.of_event(event.name))
    return lines
