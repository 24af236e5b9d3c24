"""A run drawn as boxes in a row, its steps from left to right."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len

from sparkplug.tui import symbols
from sparkplug.tui.cells import Line, Span, fit
from sparkplug.tui.figures import duration

if TYPE_CHECKING:
    from sparkplug.schema.run import RunView, StepView

_ARROW = "─▶"


def took(start: datetime | None, end: datetime | None, now: datetime) -> str:
    """How long something took, or has been taking."""
    return "" if start is None else duration(((end or now) - start).total_seconds())


def step_boxes(run: RunView, width: int, now: datetime) -> list[Line]:
    """Three lines of boxes where they fit, else a line for each step."""
    sizes = [max(cell_len(s.id) + 2, cell_len(_inside(s, now)) + 1, 8) for s in run.steps]
    total = sum(size + 2 for size in sizes) + len(_ARROW) * (len(sizes) - 1)
    if total > width:
        return [step_line(step, width, now) for step in run.steps]
    top: list[Span] = []
    middle: list[Span] = []
    bottom: list[Span] = []
    for index, (step, size) in enumerate(zip(run.steps, sizes, strict=True)):
        pen = symbols.of_step(str(step.state))[1]
        if index:
            gap = " " * len(_ARROW)
            top.append(("line", gap))
            middle.append(("dim", _ARROW))
            bottom.append(("line", gap))
        name = f" {step.id} "
        top += [("line", "╭"), ("text", name), ("line", "─" * (size - cell_len(name)) + "╮")]
        middle += [("line", "│"), (pen, fit(f" {_inside(step, now)}", size)), ("line", "│")]
        bottom.append(("line", "╰" + "─" * size + "╯"))
    return [tuple(top), tuple(middle), tuple(bottom)]


def step_line(step: StepView, width: int, now: datetime) -> Line:
    """A step in one line: symbol, name, time, agent, and why it failed."""
    symbol, pen = symbols.of_step(str(step.state))
    line: list[Span] = [
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


def _inside(step: StepView, now: datetime) -> str:
    symbol, _ = symbols.of_step(str(step.state))
    time = took(step.started, step.finished, now)
    return f"{symbol} {time or step.state}"
