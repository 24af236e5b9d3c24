"""Schedules: the columns of their table, what is told of one, and all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, Span
from sparkplug.tui.figures import duration, since
from sparkplug.tui.widgets.data_tree import data_nodes
from sparkplug.tui.widgets.table import Column
from sparkplug.tui.widgets.tree_nodes import Node

if TYPE_CHECKING:
    from sparkplug.schema.run import RunView
    from sparkplug.schema.schedule import ScheduleView

#: Coming times that are told, in a line and on the page.
_COMING, _COMING_ALL = 4, 10
_MISSED = {"skip": "none is made good", "once": "one is made good", "all": "each is made good"}


def when(view: ScheduleView) -> str:
    """Its times: the cron expression, or the interval."""
    schedule = view.schedule
    return schedule.cron or f"every {duration(schedule.every or 0)}"


def _next(view: ScheduleView) -> float | None:
    if view.next is None:
        return None
    return max(0.0, (view.next - datetime.now(UTC)).total_seconds())


def _draw_next(value: Any) -> Span:
    return ("warn", "paused") if value is None else ("text", f"in {duration(value)}")


SCHEDULE_COLUMNS = (
    Column("schedule", 10, lambda v: v.name, grows=True, full=24),
    Column("when", 10, when, rank=1, pen="dim", full=18),
    Column("next", 10, _next, draw=_draw_next),
    Column("plan", 12, lambda v: v.schedule.plan.name, rank=3, pen="dim", full=24),
    Column("zone", 8, lambda v: v.schedule.timezone, rank=4, pen="dim", full=18),
    Column("missed", 6, lambda v: v.schedule.missed, rank=5, pen="dim"),
    Column("last run", 16, lambda v: (v.fired and v.fired.run) or None, rank=2, full=30),
)


def schedule_told(view: ScheduleView, runs: Sequence[RunView]) -> list[Line]:
    """What a person wants to know of one: when it is run, and how that went."""
    schedule, now = view.schedule, datetime.now(UTC)
    zone = ZoneInfo(schedule.timezone)
    paused: Line = (("warn", "paused, no run is begun"),)
    times = [f"{at.astimezone(zone):%a %d %b %H:%M:%S}" for at in view.coming(now, _COMING)]
    lines: list[Line] = [
        (
            ("focus", f"{one_line(schedule.name)} "),
            ("text", f"runs {one_line(schedule.plan.name)} {when(view)} "),
            ("dim", f"{schedule.timezone}"),
        ),
        (("dim", "next "), ("text", " · ".join(times))) if times else paused,
        (
            ("dim", "of times missed "),
            ("text", _MISSED[schedule.missed]),
            ("dim", "" if schedule.overlap else ", one at a time"),
        ),
    ]
    last = view.fired.run if view.fired is not None else ""
    if last:
        found = next((run for run in runs if run.id == last), None)
        state = f" {found.state}, {since(found.created, now)} ago" if found is not None else ""
        lines.append((("dim", "last run "), ("text", last), ("dim", state)))
    return lines


def schedule_run(view: ScheduleView, runs: Sequence[RunView]) -> RunView:
    """Its last run; one that has not begun while there is none."""
    from sparkplug.schema.journal_fold import begin
    from sparkplug.schema.run import JournalEntry

    last = view.fired.run if view.fired is not None else ""
    found = next((run for run in runs if run.id == last), None)
    plan = view.schedule.plan
    return found or begin(JournalEntry(run=view.name, kind="accepted", plan=plan))


def schedule_nodes(view: ScheduleView) -> list[Node]:
    """All that is known of one, as a tree."""
    from sparkplug.tui.dialogs.describe import fact

    schedule = view.schedule
    zone = ZoneInfo(schedule.timezone)
    facts: list[tuple[str, object, str]] = [
        ("schedule", schedule.name, "text"),
        ("plan", schedule.plan.name, "text"),
        ("when", when(view), "text"),
        ("timezone", schedule.timezone, "text"),
        ("state", "paused" if schedule.paused else "on", "warn" if schedule.paused else "ok"),
        ("missed", _MISSED[schedule.missed], "text"),
        ("overlap", "" if schedule.overlap else "one at a time", "text"),
        ("priority", schedule.priority if schedule.priority is not None else "", "text"),
        ("last run", view.fired.run if view.fired is not None else "", "text"),
        ("changed by", schedule.changed_by, "text"),
    ]
    found = [fact(label, value, pen) for label, value, pen in facts if value not in ("", None)]
    coming = view.coming(datetime.now(UTC), _COMING_ALL)
    more: dict[str, Any] = {}
    if coming:
        more["coming"] = [f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" for at in coming]
    if schedule.inputs:
        more["inputs"] = schedule.inputs
    more["steps"] = [f"{step.id} ({step.kind})" for step in schedule.plan.steps]
    return [*found, *data_nodes(more)]
