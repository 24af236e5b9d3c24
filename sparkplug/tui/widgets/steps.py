"""A run as a graph: its steps as boxes, what each waits for as edges; or a line for each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from sparkplug.schema.circuits import step_breaker_words
from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, fit
from sparkplug.tui.figures import duration

if TYPE_CHECKING:
    from sparkplug.schema.run import RunView, StepView
    from sparkplug.tui.widgets.canvas.model import Box, Graph

#: Room for a time (`1h03m`), and for what is in a box (` ◌ pending `), so that the graph stays
#: where it is while steps begin and end.
_TIME, _INSIDE = 5, 11


def took(start: datetime | None, end: datetime | None, now: datetime) -> str:
    """How long something took, or has been taking."""
    return "" if start is None else duration(((end or now) - start).total_seconds())


def run_graph(run: RunView, now: datetime) -> Graph:
    """The steps of a run and what each waits for."""
    from sparkplug.tui.widgets.canvas.model import Edge, Graph

    steps = {step.id: step for step in run.steps}
    edges = [
        Edge(before, step.id, pen=_edge_pen(str(step.state)))
        for step in run.steps
        for before in step.depends_on
        if before in steps
    ]
    return Graph(tuple(_box(step, now) for step in run.steps), tuple(edges))


def run_lines(run: RunView, width: int, height: int, now: datetime) -> list[Line]:
    """The graph where it fits in so many cells, else a line for each step."""
    from sparkplug.tui.widgets.canvas.picture import picture

    drawn = picture(run_graph(run, now), width, height)
    return drawn if drawn is not None else [step_line(step, width, now) for step in run.steps]


def step_line(step: StepView, width: int, now: datetime) -> Line:
    """A step in one line: symbol, name, time, agent, and why it failed."""
    symbol, pen = symbols.of_step(str(step.state))
    line = [
        (pen, f"{symbol} "),
        ("text", fit(step.id, max(6, min(18, width // 3)))),
        ("dim", f" {took(step.started, step.finished, now):>6} "),
        (pen, f"{step.state} "),
    ]
    if step.agent:
        line.append(("dim", f"{step.agent} "))
    if step.error:
        line.append(("bad", step.error))
    return tuple(line)


def breaker_lines(steps: Iterable[StepView], now: datetime) -> list[Line]:
    """Whom steps do not ask for now: a line for each circuit breaker that is not closed."""
    lines: list[Line] = []
    for step in steps:
        found = step.breaker
        if found is not None and (state := found.at(now)) != "closed":
            pen = "bad" if state == "open" else "warn"
            told = one_line(step_breaker_words(found, now))
            lines.append(((pen, f"{symbols.BREAKER} {step.id} "), ("text", told)))
    return lines


def _box(step: StepView, now: datetime) -> Box:
    from sparkplug.tui.widgets.canvas.model import Box

    symbol, pen = symbols.of_step(str(step.state))
    time = took(step.started, step.finished, now)
    inside: Line = ((pen, f"{symbol} {time or step.state}"),)
    return Box(step.id, step.id, (inside,), pen, symbol, _INSIDE, note=time, room=_TIME)


def _edge_pen(state: str) -> str:
    """What a step waits for is lit while it works."""
    return "active" if state == "running" else "line" if state == "pending" else "dim"
