"""What is told of a run, and of a plan's runs together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sparkplug.client.live_runs import RUNS_KEPT
from sparkplug.schema.run import STEP_ENDED, RunView
from sparkplug.schema.run_stats import critical_path, plan_stats
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, Span, beside
from sparkplug.tui.figures import duration
from sparkplug.tui.widgets.steps import breaker_lines

_BARS = "▁▂▃▄▅▆▇█"


def run_told(view: RunView, step: str) -> list[Line]:
    """What a person wants to know of a run: what it waits for, what was slow, why it failed."""
    lines: list[Line] = []
    for one, question in view.questions:
        lines.append((("warn", f"? {one.id} "), ("text", one_line(question.text))))
    now = datetime.now(UTC)
    lines += breaker_lines(view.steps, now)
    found = view.step(step) if step else None
    if found is not None:
        parts: list[Span] = [("focus", f"{found.id} "), ("text", f"{found.state} ")]
        if found.attempts > 1:
            parts.append(("warn", f"{found.attempts} attempts "))
        if found.fallback:
            parts.append(("warn", f"stood in for by {found.fallback} "))
        if found.items:
            done = sum(item.state in STEP_ENDED for item in found.items)
            parts.append(("text", f"{done}/{len(found.items)} "))
        if found.waited_seconds:
            parts.append(("dim", f"waited {duration(found.waited_seconds)} "))
        if found.tokens:
            parts.append(("dim", f"{found.tokens} tokens "))
        if found.breaker is not None and found.breaker.at(now) == "closed":
            parts.append(("dim", "breaker closed "))
        if found.error:
            parts.append(("bad", one_line(found.error)))
        lines.append(tuple(parts))
    path = critical_path(view)
    if path:
        told = " → ".join(f"{one.step} {duration(one.working_seconds)}" for one in path)
        waited = sum(one.waiting_seconds for one in path)
        lines.append(
            (
                ("dim", "critical path "),
                ("text", told),
                ("dim", f", waiting {duration(waited)}" if waited >= 1 else ""),
            )
        )
    if view.past is not None:
        lines.append((("dim", f"shares the past of {view.past.run}"),))
    if view.error:
        lines.append((("bad", f"✖ {one_line(view.error)}"),))
    return lines


def plan_line(name: str, runs: Sequence[RunView], width: int) -> Line:
    """A plan in so many cells: how many of its runs came through, what they took, how that went."""
    stats = plan_stats(name, runs)
    if not stats.runs:
        # There may be older ones that are not in sight.
        none = "never run" if len(runs) < RUNS_KEPT else "no run"
        return beside((("text", f"{name} "),), (("dim", none),), width)
    good = f"{stats.success_share * 100:.0f}% " if stats.success_share is not None else ""
    pen = "ok" if stats.success_share == 1 else "warn"
    took = f"{duration(stats.took.p50)} " if stats.took.p50 is not None else ""
    top = max(stats.trend, default=0.0)
    bars = "".join(_BARS[min(7, int(v / top * 7.99))] for v in stats.trend[-8:]) if top else ""
    told: Line = ((pen, good), ("dim", f"{stats.runs}× {took}"), ("focus", bars))
    return beside((("text", f"{name} "),), told, width)
