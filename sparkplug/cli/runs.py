"""The verbs that show runs, and a run's progress as it goes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing, cell_text, table
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.run import RUN_ENDED, RunState, RunView, StepState, StepView

if TYPE_CHECKING:
    from sparkplug.client.session import Client

_MARKS = {
    StepState.PENDING: "◌",
    StepState.RUNNING: "◐",
    StepState.DONE: "✔",
    StepState.FAILED: "✖",
    StepState.SKIPPED: "○",
    StepState.CANCELLED: "✖",
}


async def list_runs(cli: Cli) -> int:
    """The runs that are kept, newest first."""
    from sparkplug.client import runs as room

    async with cli.connect() as client:

        async def fetch() -> Iterable[RunView]:
            return await room.list_runs(client)

        return await show(cli, fetch, RUNS)


async def describe(cli: Cli) -> int:
    """All about one run."""
    from sparkplug.client import runs as room

    async with cli.connect() as client:
        view = await room.describe(client, cli.args.run)
    if cli.out.structured:
        cli.out.data(run_data(view))
        return 0
    for title, value in (
        ("run", view.id),
        ("plan", view.plan),
        ("state", view.state),
        ("created", view.created.isoformat(timespec="seconds")),
        ("took", _took(view)),
        ("node", view.node),
        ("inputs", json.dumps(view.inputs) if view.inputs else None),
        ("error", view.error),
    ):
        if value is not None:
            cli.out.text(f"{title:<8} {value}")
    titles = ["step", "state", "agent", "tries", "took", "error"]
    rows = [
        [cell_text(cell) for cell in (s.id, s.state, s.agent, s.attempts, _step_took(s), s.error)]
        for s in view.steps
    ]
    cli.out.text("")
    cli.out.piece(table(titles, rows, [False, False, False, True, True, False]))
    if view.output is not None:
        cli.out.text("")
        print_output(cli, view.output)
    return 0


async def watch(cli: Cli) -> int:
    """Follow a run to its end."""
    from sparkplug.client import runs as room

    async with cli.connect() as client:
        view = await room.describe(client, cli.args.run)
        return await follow(cli, client, view.id)


async def follow(cli: Cli, client: Client, run: str) -> int:
    """Show a run's steps on stderr as they go, then its output on stdout.

    0 when it is done. Raises SparkplugError with the reason when it is not.
    """
    from sparkplug.client import runs as room

    view = await _show_steps(cli, room.watch(client, run))
    if view.state is RunState.DONE:
        if cli.out.structured:
            cli.out.data(run_data(view))
        else:
            print_output(cli, view.output)
        return 0
    reason = view.error or "it gave no reason"
    raise SparkplugError(
        f"run {run} {view.state}: {reason}",
        hint=f"`sparkplug runs describe {run}` shows its steps",
    )


async def _show_steps(cli: Cli, views: AsyncGenerator[RunView, None]) -> RunView:
    """One line for every change of a step, until the run has ended."""
    shown: dict[str, tuple[StepState, int]] = {}
    view: RunView | None = None
    async with contextlib.aclosing(views):
        async for view in views:
            for step in view.steps:
                now = (step.state, step.attempts)
                if shown.get(step.id, (StepState.PENDING, 0)) != now:
                    cli.out.talk(step_line(step))
                    shown[step.id] = now
            if view.state in RUN_ENDED:
                break
    if view is None:
        raise SparkplugError("the run could not be followed: the connection was closed")
    return view


def step_line(step: StepView) -> str:
    """A step in a line: its mark, id, agent, state, how long it took, and why it failed."""
    parts = [_MARKS[step.state], step.id]
    if step.agent:
        parts.append(f"({step.agent})")
    parts.append(str(step.state))
    if step.state in (StepState.DONE, StepState.FAILED) and step.started and step.finished:
        parts.append(f"in {(step.finished - step.started).total_seconds():.1f} s")
    if step.attempts > 1:
        parts.append(f"attempt {step.attempts}")
    if step.error:
        parts.append(f"— {step.error}")
    return " ".join(parts)


def print_output(cli: Cli, output: Any) -> None:
    """A run's output: text as it is, anything else as JSON."""
    if isinstance(output, str):
        cli.out.piece(output if output.endswith("\n") else output + "\n")
    elif output is not None:
        cli.out.data(output)


def run_data(view: RunView) -> dict[str, Any]:
    """A run as `runs describe --json` has it."""
    return view.model_dump(mode="json", exclude={"v": True, "steps": {"__all__": {"v"}}})


def _took(view: RunView) -> str | None:
    if view.finished is None:
        return f"{figures.age(view.created)} so far"
    return figures.span((view.finished - view.created).total_seconds())


def _step_took(step: StepView) -> str | None:
    if step.started is None or step.finished is None:
        return None
    return f"{(step.finished - step.started).total_seconds():.1f}s"


def _progress(view: RunView) -> str:
    done = sum(step.state in (StepState.DONE, StepState.SKIPPED) for step in view.steps)
    return f"{done}/{len(view.steps)}"


RUNS: Listing[RunView] = Listing(
    columns=(
        Column("id", lambda r: r.id),
        Column("plan", lambda r: r.plan),
        Column("state", lambda r: r.state),
        Column("steps", _progress, right=True),
        Column("age", lambda r: figures.age(r.created), right=True),
        Column("took", _took, right=True),
        Column("node", lambda r: r.node, wide=True),
        Column("error", lambda r: r.error),
    ),
    name=lambda r: r.id,
    data=run_data,
    empty="no runs; `sparkplug run PLAN` starts one",
)
