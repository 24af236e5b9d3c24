"""The verbs that show runs, and a run's progress as it goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing, cell_text, table
from sparkplug.schema.base import utc_now
from sparkplug.schema.circuits import step_breaker_words
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.plain import plain
from sparkplug.schema.run import (
    RUN_ENDED,
    STEP_ENDED,
    RunQuestion,
    RunState,
    RunView,
    StepState,
    StepView,
)
from sparkplug.schema.run_stats import critical_path

if TYPE_CHECKING:
    from sparkplug.client.session import Client

_REDRAW_S = 0.25

_MARKS = {
    StepState.PENDING: "◌",
    StepState.RUNNING: "◐",
    StepState.WAITING: "?",
    StepState.DONE: "✔",
    StepState.FAILED: "✖",
    StepState.SKIPPED: "○",
    StepState.CANCELLED: "✖",
}


async def list_runs(cli: Cli) -> int:
    """The runs that go on, and the newest of those that have ended."""
    from sparkplug.client import runs as room

    older = 0
    async with cli.connect() as client:

        async def fetch() -> Iterable[RunView]:
            nonlocal older
            kept = await room.list_runs(client, max(0, cli.option("limit", 100)))
            older = kept.older
            return kept.runs

        code = await show(cli, fetch, RUNS)
    if older:
        cli.out.talk(f"{older} older ones have ended: --limit shows more")
    return code


async def describe(cli: Cli) -> int:
    """All about one run."""
    from sparkplug.client import runs as room

    async with cli.connect() as client:
        view = await room.whole(client, await room.describe(client, cli.args.run))
    if cli.out.structured:
        cli.out.data(run_data(view))
        return 0
    for title, value in (
        ("run", view.id),
        ("plan", view.plan),
        ("state", view.state_words),
        ("created", view.created.isoformat(timespec="seconds")),
        ("took", _took(view)),
        ("node", view.node),
        ("part of", _part_of(view)),
        ("shares", f"the past of {view.past.run}" if view.past else None),
        ("fallback", view.fallback),
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
    if guarded := [step for step in view.steps if step.breaker is not None]:
        cli.out.text("")
        for step in guarded:
            assert step.breaker is not None
            cli.out.text(f"{step.id}: {step_breaker_words(step.breaker, utc_now())}")
    for step, question in view.questions:
        cli.out.text("")
        cli.out.text(f"{step.id} waits for a person: {question.text}")
        if question.options:
            cli.out.text(f"  one of: {', '.join(question.options)}")
        if question.input is not None:
            cli.out.text(f"  would do: {json.dumps(question.input, ensure_ascii=False)}")
        cli.out.text(f"  {_how_to_answer(view, question)}")
    path = critical_path(view) if view.finished is not None else []
    if len(path) > 1:
        told = " → ".join(f"{one.step} {one.working_seconds:.1f}s" for one in path)
        cli.out.text("")
        cli.out.text(f"critical path: {told}")
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

    shown = draw_progress if sys.stderr.isatty() and not cli.out.structured else _show_steps
    view = await shown(cli, room.watch(client, run))
    if view.state is RunState.DONE:
        await room.whole(client, view)
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


async def draw_progress(cli: Cli, views: AsyncGenerator[RunView, None]) -> RunView:
    """The steps, drawn again in their place while they go, until the run has ended."""
    from sparkplug.cli.progress import Drawing

    drawing = Drawing(sys.stderr)
    view: RunView | None = None
    try:
        async with contextlib.aclosing(views):
            changes = views.__aiter__()
            coming = asyncio.ensure_future(anext(changes, None))
            try:
                while True:
                    done, _ = await asyncio.wait({coming}, timeout=_REDRAW_S)
                    if done:
                        found = coming.result()
                        if found is None:
                            break
                        view = found
                        if view.state in RUN_ENDED:
                            break
                        coming = asyncio.ensure_future(anext(changes, None))
                    if view is not None:
                        drawing.draw(view, step_line)
            finally:
                coming.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await coming
    finally:
        if view is not None:
            drawing.draw(view, step_line, last=True)
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
    if step.items:
        done = sum(one.state in STEP_ENDED for one in step.items)
        parts.append(f"{done}/{len(step.items)}")
    elif step.attempts > 1:
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
    step = dict.fromkeys(("since", "failures_at"), True)
    return plain(
        view,
        exclude={
            **dict.fromkeys(("ending", "slots", "paused", "worked_seconds"), True),
            "steps": {"__all__": {**step, "items": {"__all__": step}}},
        },
    )


def _part_of(view: RunView) -> str | None:
    parent = view.parent
    if parent is None:
        return None
    if parent.schedule:
        return f"schedule {parent.schedule}"
    return f"{parent.run} step {parent.step}" if parent.step else parent.run


def _how_to_answer(view: RunView, question: RunQuestion) -> str:
    if question.kind == "agent":
        return f"`sparkplug questions answer {question.questions[0]} TEXT` answers its agent"
    if question.kind == "approve":
        return f"`sparkplug runs approve {view.id}`, or `sparkplug runs reject {view.id}`"
    return f"`sparkplug runs answer {view.id} TEXT` answers it"


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


def _told(view: RunView) -> str | None:
    """Why it failed, or what it waits for."""
    if view.questions:
        return f"{view.questions[0][0].id} waits for a person"
    return view.error


RUNS: Listing[RunView] = Listing(
    columns=(
        Column("id", lambda r: r.id),
        Column("plan", lambda r: r.plan),
        Column("state", lambda r: r.state),
        Column("steps", _progress, right=True),
        Column("age", lambda r: figures.age(r.created), right=True),
        Column("took", _took, right=True),
        Column("node", lambda r: r.node, wide=True),
        Column("part of", _part_of, wide=True),
        Column("error", _told),
    ),
    name=lambda r: r.id,
    data=run_data,
    empty="no runs; `sparkplug run PLAN` starts one",
)
