"""Old runs: what is over is made small after a while, and forgotten after a longer one.

One planner of the mesh does it, under a lease. A compacted run is its view, in one entry in the
place of all: it is listed and described as before, and can no longer be replayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import last_entries, read_journal
from sparkplug.bus.leases import Lease, while_held
from sparkplug.bus.results import Results
from sparkplug.plans.away import AWAY
from sparkplug.plans.journal import MAX_ENTRY_BYTES, append_after
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import NoMeshError
from sparkplug.schema.journal_fold import LAST_WORDS, fold
from sparkplug.schema.run import JournalEntry, RunView

log = logging.getLogger(__name__)

_LEASE = "plans.keeping"
_LEASE_S = 3
_LOOK_S = 5.0
_EVERY_S = 600.0


class Keeping:
    """Looks after old runs. `compact` and `keep` in seconds after a run has ended."""

    def __init__(self, bus: Bus, holder: str, *, compact: float, keep: float) -> None:
        self._bus = bus
        self._holder = holder
        self._compact = timedelta(seconds=compact)
        self._keep = timedelta(seconds=keep)
        self._results = Results(bus)

    async def run(self) -> None:
        """Look for ever, now and then."""
        while True:
            lease = Lease(self._bus, _LEASE, self._holder, _LEASE_S)
            if await lease.acquire():
                try:
                    await while_held(lease, self._rounds())
                except AWAY as error:
                    log.info("old runs: %s", error)
                finally:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1.0):
                            await lease.release()
            await asyncio.sleep(_LOOK_S)

    async def _rounds(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> tuple[int, int]:
        """Compact and forget what is old enough; how many of each. Raises NoMeshError."""
        compacted = forgotten = 0
        now = utc_now()
        try:
            for entry in await last_entries(self._bus):
                if entry.kind not in LAST_WORDS:
                    continue
                ended = entry.time
                if entry.view is not None and entry.view.finished is not None:
                    ended = entry.view.finished
                if now - ended >= self._keep:
                    await self._forget(entry.run)
                    forgotten += 1
                elif entry.kind != "compacted" and now - ended >= self._compact:
                    compacted += await self._make_small(entry)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            raise NoMeshError(f"the journal cannot be looked after: {error}") from error
        return compacted, forgotten

    async def _make_small(self, last: JournalEntry) -> bool:
        view = fold(await read_journal(self._bus, last.run))
        entry = JournalEntry(run=view.id, kind="compacted", view=view)
        if len(entry.model_dump_json(exclude_defaults=True)) > MAX_ENTRY_BYTES:
            return False
        if not await append_after(self._bus, entry, last.sequence):
            return False
        await self._bus.js.purge_stream(
            subjects.STREAM_JOURNAL, subject=subjects.journal(view.id), keep=1
        )
        await self._bus.js.purge_stream(
            subjects.STREAM_JOURNAL, subject=subjects.journal_fence(view.id)
        )
        return True

    async def _forget(self, run: str) -> None:
        entries = await read_journal(self._bus, run)
        stored = [entry.stored for entry in entries if entry.stored is not None]
        stored += _stored_in(entries[-1].view) if entries and entries[-1].view else []
        for name in stored:
            await self._results.forget(name)
        # The entries last: should this be cut off, what is left is found again.
        await self._bus.js.purge_stream(
            subjects.STREAM_JOURNAL, subject=subjects.journal_fence(run)
        )
        await self._bus.js.purge_stream(subjects.STREAM_JOURNAL, subject=subjects.journal(run))


def _stored_in(view: RunView | None) -> list[str]:
    if view is None:
        return []
    every = [view.stored, *(o.stored for step in view.steps for o in (step, *step.items))]
    return [name for name in every if name is not None]
