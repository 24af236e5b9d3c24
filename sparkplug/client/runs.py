"""Runs of plans: submitting, following and cancelling them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from sparkplug.bus import journal, subjects
from sparkplug.bus.service import call
from sparkplug.client.session import Client
from sparkplug.schema.errors import ConflictError, NotFoundError
from sparkplug.schema.journal_fold import advance, begin, fold
from sparkplug.schema.node import Nothing
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import CancelRequest, RunView, SubmitReply, SubmitRequest

_SUBMIT_DEADLINE_S = 10.0
_CANCEL_DEADLINE_S = 5.0


async def submit(client: Client, plan: Plan, inputs: Mapping[str, Any]) -> str:
    """Have a planner accept a run of the plan; its id. It runs whether or not anybody watches."""
    request = SubmitRequest(plan=plan, inputs=dict(inputs), actor=client.actor)
    reply = await call(
        client.bus, subjects.RUNS_SUBMIT, request, SubmitReply, deadline=_SUBMIT_DEADLINE_S
    )
    return reply.run


async def list_runs(client: Client, limit: int = 100) -> list[RunView]:
    """The newest `limit` runs, newest first."""
    return await journal.list_runs(client.bus, limit)


async def describe(client: Client, run: str) -> RunView:
    """One run, by its id or the beginning of it. Raises NotFoundError, ConflictError."""
    entries = await journal.read_journal(client.bus, run) if _is_token(run) else []
    if entries:
        return fold(entries)
    near = [view for view in await list_runs(client) if run and view.id.startswith(run)]
    if len(near) > 1:
        ids = ", ".join(view.id for view in near[:5])
        raise ConflictError(f"{run} begins the id of {len(near)} runs: {ids}")
    if not near:
        raise NotFoundError(
            f"no run {run}", hint="`sparkplug runs list` shows the runs that are kept"
        )
    return near[0]


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


async def cancel(client: Client, run: str) -> None:
    """Ask that the run be cancelled; it is, once its planner has stopped its steps."""
    request = CancelRequest(run=run, actor=client.actor)
    await call(client.bus, subjects.RUNS_CANCEL, request, Nothing, deadline=_CANCEL_DEADLINE_S)


def _is_token(run: str) -> bool:
    return bool(run) and run == subjects.token(run)
