"""Runs that are a step of another run: accepted once, waited for, cancelled with it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from sparkplug.bus.connection import Bus
from sparkplug.bus.results import Results
from sparkplug.plans.journal import accept, last_entry
from sparkplug.schema.errors import (
    CancelledRequestError,
    ConflictError,
    InvalidError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.journal_fold import LAST_WORDS
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_inputs import checked_inputs
from sparkplug.schema.run import JournalEntry, Parent, RunState

#: How deep runs may be in one another.
MOST_DEPTH = 8


class Endings:
    """Who waits for the end of which run. Fed with every entry of the journal."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[JournalEntry]]] = {}

    def heard(self, entry: JournalEntry) -> None:
        """An entry was stored."""
        if entry.kind in LAST_WORDS:
            for future in self._waiting.pop(entry.run, ()):
                if not future.done():
                    future.set_result(entry)

    async def of(self, bus: Bus, run: str) -> JournalEntry:
        """Wait for the entry that ends the run. Raises NotFoundError when there is none."""
        future: asyncio.Future[JournalEntry] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(run, set())
        waiting.add(future)
        try:
            last = await last_entry(bus, run)
            if last is None:
                raise NotFoundError(f"the run {run} is no longer kept")
            return last if last.kind in LAST_WORDS else await future
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(run) is waiting:
                self._waiting.pop(run)


def child_id(plan: str, parent: str, step: str, attempt: int) -> str:
    """The id of the run that an attempt at a step is: the same, whoever asks again."""
    mark = hashlib.sha256(f"{parent}\0{step}\0{attempt}".encode()).hexdigest()[:10]
    return f"{plan}-{mark}"


async def start_child(
    bus: Bus,
    child: str,
    plan: Plan,
    inputs: dict[str, Any],
    parent: Parent,
    *,
    node: str,
    actor: str,
) -> None:
    """Have the run accepted, unless it has been. Raises InvalidError when it cannot be run."""
    if parent.depth > MOST_DEPTH:
        raise InvalidError(f"plans run each other more than {MOST_DEPTH} deep")
    entry = JournalEntry(
        run=child,
        kind="accepted",
        plan=plan,
        inputs=checked_inputs(plan, inputs),
        parent=parent,
        node=node,
        actor=actor,
    )
    try:
        await accept(bus, entry)
    except ConflictError:
        return  # by an earlier planner of the parent


async def child_output(entry: JournalEntry, results: Results) -> Any:
    """What a run gave, from the entry that ended it.

    Raises SparkplugError with its reason when it failed, CancelledRequestError when it was
    cancelled.
    """
    view = entry.view
    state = str(view.state) if view is not None else entry.kind
    stored = view.stored if view is not None else entry.stored
    error = view.error if view is not None else entry.error
    if state in ("completed", RunState.DONE):
        output = view.output if view is not None else entry.output
        return await results.read(stored) if stored else output
    if state == "cancelled":
        raise CancelledRequestError(f"run {entry.run} was cancelled: {error or 'no reason given'}")
    raise SparkplugError(f"run {entry.run} failed: {error or 'it gave no reason'}")
