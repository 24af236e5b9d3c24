"""Runs of plans: submitting, following, steering, answering and comparing them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

from sparkplug.bus import journal, subjects
from sparkplug.bus.journal import KeptRuns
from sparkplug.bus.results import Results
from sparkplug.bus.service import call
from sparkplug.client.session import Client
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.journal_fold import advance, begin, fold
from sparkplug.schema.node import Nothing
from sparkplug.schema.plan import Plan
from sparkplug.schema.problems import did_you_mean
from sparkplug.schema.run import (
    LONGEST_REASON,
    AnswerRequest,
    CancelRequest,
    PauseRequest,
    ReplayRequest,
    RunView,
    SubmitReply,
    SubmitRequest,
)
from sparkplug.schema.run_stats import PlanStats, plan_stats

_SUBMIT_DEADLINE_S = 10.0
_CANCEL_DEADLINE_S = 5.0
_HIGHEST = 9


async def submit(
    client: Client, plan: Plan, inputs: Mapping[str, Any], priority: int | None = None
) -> str:
    """Have a planner accept a run of the plan; its id. It runs whether or not anybody watches."""
    if priority is not None and not 0 <= priority <= _HIGHEST:
        raise InvalidError(f"a priority is 0 to {_HIGHEST}, not {priority}")
    request = SubmitRequest(plan=plan, inputs=dict(inputs), actor=client.actor, priority=priority)
    reply = await call(
        client.bus, subjects.RUNS_SUBMIT, request, SubmitReply, deadline=_SUBMIT_DEADLINE_S
    )
    return reply.run


async def list_runs(client: Client, limit: int = 100) -> KeptRuns:
    """All runs that go on and the newest `limit` of those that have ended, newest first."""
    return await journal.read_runs(client.bus, limit)


async def describe(client: Client, run: str) -> RunView:
    """One run, by its id or the beginning of it. Raises NotFoundError, ConflictError."""
    entries = await journal.read_journal(client.bus, run) if _is_token(run) else []
    if entries:
        return fold(entries)
    last = await journal.last_entries(client.bus)
    near = sorted({one.run for one in last if run and one.run.startswith(run)})
    if len(near) > 1:
        ids = ", ".join(near[:5])
        raise ConflictError(f"{run} begins the id of {len(near)} runs: {ids}")
    entries = await journal.read_journal(client.bus, near[0]) if near else []
    if not entries:
        raise NotFoundError(
            f"no run {run}", hint="`sparkplug runs list` shows the runs that are kept"
        )
    return fold(entries)


async def watch(client: Client, run: str) -> AsyncGenerator[RunView, None]:
    """The run as it is, again after every entry of its journal, until it has ended.

    The same record is yielded each time, changed. Raises NotFoundError.
    """
    view: RunView | None = None
    stream = journal.follow_journal(client.bus, run)
    async with contextlib.aclosing(stream) as entries:
        async for entry in entries:
            if view is None:
                view = begin(entry) if entry.plan is not None else None
                if view is None:
                    raise NotFoundError(f"the beginning of the run {run} is no longer kept")
            else:
                advance(view, entry)
            yield view


async def whole(client: Client, view: RunView) -> RunView:
    """The run with its outputs that are stored apart. Raises NotFoundError, NoMeshError."""
    results = Results(client.bus)
    if view.stored is not None:
        view.output = await results.read(view.stored)
    for one in (item for step in view.steps for item in (step, *step.items)):
        if one.stored is not None:
            one.output = await results.read(one.stored)
    return view


async def pause(client: Client, run: str, *, resume: bool = False) -> None:
    """Have nothing more begun in the run, or have it go on. Raises NotFoundError, ConflictError."""
    request = PauseRequest(run=run, resume=resume, actor=client.actor)
    await call(client.bus, subjects.RUNS_PAUSE, request, Nothing, deadline=_CANCEL_DEADLINE_S)


async def replay(
    client: Client,
    run: str,
    start: str = "",
    inputs: Mapping[str, Any] | None = None,
    edit: Mapping[str, Any] | None = None,
) -> str:
    """A new run that shares the past of this one: from the step `start`, or from what failed.

    Raises NotFoundError, ConflictError when the run has not ended, InvalidError.
    """
    request = ReplayRequest(
        run=run,
        start=start,
        inputs=dict(inputs or {}),
        edit=dict(edit or {}),
        actor=client.actor,
    )
    reply = await call(
        client.bus, subjects.RUNS_REPLAY, request, SubmitReply, deadline=_SUBMIT_DEADLINE_S
    )
    return reply.run


async def answer(
    client: Client,
    run: str,
    verdict: Literal["approve", "reject", "answer"],
    *,
    step: str = "",
    value: Any = None,
    edited: bool = False,
    reason: str = "",
) -> None:
    """Answer a step that waits for a person. It counts once.

    Raises NotFoundError, ConflictError when it was answered already or it is not clear which
    step is meant, InvalidError for what is no answer to it.
    """
    if len(reason) > LONGEST_REASON:
        raise InvalidError(f"a note is at most {LONGEST_REASON} characters")
    request = AnswerRequest(
        run=run,
        step=step,
        verdict=verdict,
        value=value,
        edited=edited,
        reason=reason,
        actor=client.actor,
    )
    await call(client.bus, subjects.RUNS_ANSWER, request, Nothing, deadline=_CANCEL_DEADLINE_S)


async def stats(client: Client, plan: str = "", limit: int = 200) -> list[PlanStats]:
    """The figures of one plan, or of each, over its newest `limit` runs that are kept.

    Raises NotFoundError when no run of that plan is.
    """
    runs = await journal.list_runs(client.bus, limit, plan)
    names = sorted({view.plan for view in runs})
    if plan and not runs:
        known = {view.plan for view in await journal.list_runs(client.bus, limit)}
        raise NotFoundError(
            f"no run of a plan {plan} is kept{did_you_mean(plan, known)}",
            hint="`sparkplug runs list` shows those that are",
        )
    return [plan_stats(name, runs) for name in names if plan in ("", name)]


async def cancel(client: Client, run: str) -> None:
    """Ask that the run be cancelled; it is, once its planner has stopped its steps."""
    request = CancelRequest(run=run, actor=client.actor)
    await call(client.bus, subjects.RUNS_CANCEL, request, Nothing, deadline=_CANCEL_DEADLINE_S)


def _is_token(run: str) -> bool:
    return bool(run) and run == subjects.token(run)
