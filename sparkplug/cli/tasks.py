"""The verbs that show tasks: the queues, what is in them, one of them, the dead letters."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing, cell_text, table
from sparkplug.schema.plain import plain
from sparkplug.schema.task import Priority, Task, TaskRow, TaskState
from sparkplug.schema.task_services import QueueFigures


async def list_tasks(cli: Cli) -> int:
    """The newest tasks that wait, are worked on, or ended not long ago."""
    state = cli.option("state")
    return await _list(cli, [TaskState(state)] if state else [], TASKS)


async def dead(cli: Cli) -> int:
    """The dead letters."""
    return await _list(cli, [TaskState.DEAD], DEAD)


async def _list(cli: Cli, states: list[TaskState], listing: Listing[TaskRow]) -> int:
    from sparkplug.client import tasks as room

    limit = max(1, cli.option("limit", 500))
    async with cli.connect() as client:

        async def fetch() -> Iterable[TaskRow]:
            found = await room.list_tasks(
                client, states=states, capability=cli.option("capability"), limit=limit
            )
            if found.total > len(found.tasks) and not cli.out.structured:
                cli.out.talk(f"the newest {len(found.tasks)} of {found.total}")
            return found.tasks

        return await show(cli, fetch, listing)


async def queues(cli: Cli) -> int:
    """Every queue and how it goes."""
    from sparkplug.client import tasks as room

    async with cli.connect() as client:

        async def fetch() -> Iterable[QueueFigures]:
            return (await room.read_figures(client)).queues

        return await show(cli, fetch, QUEUES)


async def describe(cli: Cli) -> int:
    """All about one task."""
    from sparkplug.client import tasks as room

    async with cli.connect() as client:
        task = await room.describe(client, cli.args.task)
    if cli.out.structured:
        cli.out.data(task_data(task))
        return 0
    for title, value in describing(task):
        cli.out.text(f"{title:<10} {value}")
    if task.attempts:
        rows = [
            [
                cell_text(cell)
                for cell in (
                    one.number,
                    f"{one.agent}/{one.replica}",
                    one.outcome or "in hand",
                    one.started.isoformat(timespec="milliseconds"),
                    None if one.ended is None else f"{_seconds(one):.2f}s",
                    one.error,
                )
            ]
            for one in task.attempts
        ]
        titles = ["try", "agent", "outcome", "started", "took", "error"]
        cli.out.text("")
        cli.out.piece(table(titles, rows, [True, False, False, False, True, False]))
    if task.result is not None:
        cli.out.text("")
        if isinstance(task.result, str):
            cli.out.text(task.result)
        else:
            cli.out.data(task.result)
    return 0


def describing(task: Task) -> list[tuple[str, str]]:
    """What there is to say of a task, but its tries and its answer: title and text each."""
    found: list[tuple[str, object]] = [
        ("task", task.id),
        ("capability", task.capability),
        ("priority", task.priority),
        ("state", task.state),
        ("submitted", f"{task.submitted.isoformat(timespec='seconds')} by {task.by or '?'}"),
        ("key", task.key),
        ("begins", task.not_before.isoformat(timespec="seconds") if task.not_before else None),
        ("ended", task.finished.isoformat(timespec="seconds") if task.finished else None),
        ("tries", f"{task.spent} of {task.tries} spent, {task.timeout:g} s each"),
        ("requeued", task.requeued or None),
        ("text", task.text),
        ("action", task.action),
        ("input", json.dumps(task.input, ensure_ascii=False) if task.input else None),
        ("error", task.error),
    ]
    return [(title, str(value)) for title, value in found if value not in (None, "")]


def _seconds(attempt: Any) -> float:
    return float((attempt.ended - attempt.started).total_seconds())


def task_data(task: Task) -> dict[str, Any]:
    """A task as `tasks describe --json` has it."""
    data = plain(task)
    return {**data, "agent": task.agent}


def row_data(row: TaskRow) -> dict[str, Any]:
    """A task as `tasks list --json` has it."""
    return plain(row)


def _waits(queue: QueueFigures, priority: Priority) -> int | None:
    return queue.queued.get(priority) or None


TASKS: Listing[TaskRow] = Listing(
    columns=(
        Column("id", lambda t: t.id),
        Column("capability", lambda t: t.capability),
        Column("priority", lambda t: t.priority),
        Column("state", lambda t: t.state),
        Column("tries", lambda t: t.attempts or None, right=True),
        Column("agent", lambda t: t.agent),
        Column("age", lambda t: figures.age(t.submitted), right=True),
        Column("by", lambda t: t.by, wide=True),
        Column("key", lambda t: t.key, wide=True),
        Column("error", lambda t: t.error),
    ),
    name=lambda t: t.id,
    data=row_data,
    empty="no tasks; `sparkplug tasks submit CAPABILITY TEXT` queues one",
)

DEAD: Listing[TaskRow] = Listing(
    columns=TASKS.columns, name=TASKS.name, data=row_data, empty="no dead letters"
)

QUEUES: Listing[QueueFigures] = Listing(
    columns=(
        Column("capability", lambda q: q.capability),
        *(
            Column(str(priority), lambda q, p=priority: _waits(q, p), right=True)  # type: ignore[misc]
            for priority in Priority
        ),
        Column("later", lambda q: q.scheduled + q.retrying or None, right=True),
        Column("running", lambda q: q.running or None, right=True),
        Column("dead", lambda q: q.dead or None, right=True),
        Column("agents", lambda q: q.workers, right=True),
        Column("done", lambda q: f"{q.done_per_second:.1f}/s", right=True),
        Column("refused", lambda q: q.refused or None, wide=True, right=True),
        Column("limit", lambda q: q.limit, wide=True, right=True),
    ),
    name=lambda q: q.capability,
    data=lambda q: plain(q),
    empty="no queues yet",
)
