"""What the tables of queues and of tasks show of each."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sparkplug.schema.text import one_line
from sparkplug.tui import symbols
from sparkplug.tui.cells import Span
from sparkplug.tui.widgets.table import Column

if TYPE_CHECKING:
    from sparkplug.schema.task import TaskRow
    from sparkplug.schema.task_services import QueueFigures

#: As the priorities are served: the most urgent first.
_PRIORITIES = ("urgent", "high", "normal", "low")
#: States in the order they are sorted in: trouble, what waits, what works, what is over.
_STATES = ("dead", "retrying", "running", "queued", "scheduled", "cancelled", "done")
_PLACES = {state: place for place, state in enumerate(_STATES)}


def _counted(pen: str) -> Callable[[Any], Span]:
    """A number that stands out in `pen` when it is not zero."""
    return lambda value: (pen, str(value)) if value else ("dim", "·")


def _of(priority: str) -> Callable[[QueueFigures], int]:
    return lambda queue: queue.queued.get(priority, 0)  # type: ignore[call-overload]


def queue_is_failing(queue: QueueFigures) -> bool:
    """Whether a queue is in trouble: dead letters, or tasks that nobody can do."""
    return bool(queue.dead) or (queue.waiting > 0 and not queue.workers)


def _workers(value: Any) -> Span:
    return ("text", str(value)) if value else ("warn", "none")


QUEUE_COLUMNS = (
    Column("capability", 12, attrgetter("capability"), grows=True, full=30),
    *(
        Column(name, 6, _of(name), kind="number", draw=_counted("text"), rank=rank)
        for name, rank in zip(_PRIORITIES, (3, 3, 2, 3), strict=True)
    ),
    Column(
        *("later", 5, lambda q: q.scheduled + q.retrying),
        kind="number",
        rank=4,
        draw=_counted("dim"),
    ),
    Column("running", 7, attrgetter("running"), kind="number", draw=_counted("active")),
    Column("dead", 5, attrgetter("dead"), kind="number", draw=_counted("bad")),
    Column("agents", 6, attrgetter("workers"), kind="number", rank=1, draw=_workers),
    Column(
        *("done/s", 7, lambda q: q.done_per_second),
        kind="number",
        rank=1,
        draw=lambda v: ("text", f"{v:.1f}") if v else ("dim", "·"),
    ),
    Column("oldest", 6, attrgetter("oldest_seconds"), kind="seconds", rank=5, pen="dim"),
    Column("done", 7, attrgetter("done"), kind="number", rank=6, pen="dim"),
    Column("failed", 6, attrgetter("failed"), kind="number", rank=6, draw=_counted("warn")),
    Column(
        *("refused", 7, attrgetter("refused")),
        kind="number",
        extra=True,
        rank=9,
        draw=_counted("warn"),
    ),
    Column("limit", 7, attrgetter("limit"), kind="number", extra=True, rank=9, pen="dim"),
    Column(
        *("start", 8, attrgetter("start_p50_ms"), "start ms"),
        kind="number",
        extra=True,
        rank=9,
        pen="dim",
    ),
)


def task_is_failing(task: TaskRow) -> bool:
    """Whether a task is in trouble."""
    return str(task.state) in ("dead", "retrying")


def _state(state: Any) -> Span:
    symbol, pen = symbols.of_task(str(state))
    return pen, f"{symbol} {state}"


def _priority(value: Any) -> Span:
    return {"urgent": "warn", "high": "focus", "low": "dim"}.get(str(value), "text"), str(value)


TASK_COLUMNS = (
    Column("id", 16, attrgetter("id"), pen="dim"),
    Column("capability", 10, attrgetter("capability"), rank=2, full=24),
    Column(
        *("priority", 8, attrgetter("priority")),
        rank=3,
        draw=_priority,
        order=lambda value: _PRIORITIES.index(str(value)),
    ),
    Column(
        *("state", 11, attrgetter("state")),
        draw=_state,
        order=lambda value: _PLACES.get(str(value), len(_PLACES)),
    ),
    Column("tries", 5, attrgetter("attempts"), kind="number", draw=_counted("text")),
    Column("agent", 12, attrgetter("agent"), rank=1, full=24, grows=True),
    Column("age", 4, attrgetter("submitted"), kind="age", pen="dim"),
    Column(
        *("error", 16, lambda t: one_line(t.error) if t.error else None),
        grows=True,
        rank=4,
        full=60,
        pen="warn",
    ),
    Column("by", 12, attrgetter("by"), extra=True, rank=9, pen="dim"),
    Column("key", 12, lambda t: t.key or None, extra=True, rank=9, pen="dim"),
    Column("requeued", 8, attrgetter("requeued"), kind="number", extra=True, rank=9, pen="dim"),
)
