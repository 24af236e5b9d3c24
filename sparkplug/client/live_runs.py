"""The runs that a face keeps in sight: all that go on, and the newest of those that have ended."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from sparkplug.bus import journal
from sparkplug.client.session import Client
from sparkplug.schema.journal_fold import advance, begin
from sparkplug.schema.run import RUN_ENDED, JournalEntry, RunView, StepView

#: Runs that have ended, at most, and steps of them; of the newest few whatever they have.
RUNS_KEPT = 100
_STEPS_KEPT = 5_000
_FEW = 20
#: The entries that end a step, and what of it is not done yet.
_LAST_OF_STEP = frozenset({"step-completed", "step-failed"})


class LiveRuns:
    """Follows the journal of all runs with one reader.

    A run that has changed is another record, and the one before stays as it was: whoever draws it
    sees what has changed.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._runs: dict[str, RunView] = {}
        #: The place of each run's last entry that is in it.
        self._last: dict[str, tuple[int, int]] = {}

    async def follow(self) -> AsyncGenerator[dict[str, RunView], None]:
        """The runs by id, the same dictionary each time, for ever. Outlives the server.

        Raises TimeoutError when the runs there are do not come within 30 s, NotFoundError when the
        mesh has no journal.
        """
        bus = self._client.bus
        kept = await journal.read_runs(bus, RUNS_KEPT)
        self._runs = {view.id: view for view in kept.runs}
        self._last = dict(kept.last)
        self._forget()
        yield self._runs
        async with contextlib.aclosing(journal.follow_after(bus, kept.after)) as entries:
            async for entry in entries:
                if self._take(entry):
                    yield self._runs

    def _take(self, entry: JournalEntry) -> bool:
        """Take in an entry; False when it is no news here."""
        run, place = entry.run, (entry.sequence, entry.part)
        if place <= self._last.get(run, (0, -1)):
            return False
        known = self._runs.get(run)
        if known is not None and entry.view is None:
            view = _another(known, entry)
            advance(view, entry)
        elif known is not None or entry.plan is not None:
            view = begin(entry)
        else:
            return False  # the last word on a run that is too old to be kept
        self._runs[run], self._last[run] = view, place
        if view.state in RUN_ENDED:
            self._forget()
        return True

    def _forget(self) -> None:
        """Let go of the oldest that have ended."""
        ended = [view for view in self._runs.values() if view.state in RUN_ENDED]
        ended.sort(key=lambda view: view.created, reverse=True)
        steps = 0
        for number, view in enumerate(ended):
            steps += len(view.steps) + sum(len(step.items) for step in view.steps)
            if number >= RUNS_KEPT or (number >= _FEW and steps > _STEPS_KEPT):
                del self._runs[view.id]
                self._last.pop(view.id, None)


def _another(view: RunView, entry: JournalEntry) -> RunView:
    """A record of the same run, with its own of all that the entry changes."""
    every = entry.step is None or entry.kind in _LAST_OF_STEP
    steps = [
        _another_step(step, None if every else entry.item)
        if step.id == entry.step or entry.step is None
        else step
        for step in view.steps
    ]
    found = view.model_copy(update={"steps": steps})
    found._by_id = None  # noqa: SLF001  of the steps that were
    return found


def _another_step(step: StepView, item: int | None) -> StepView:
    items = [
        one.model_copy() if item is None or number == item else one
        for number, one in enumerate(step.items)
    ]
    return step.model_copy(update={"items": items})
