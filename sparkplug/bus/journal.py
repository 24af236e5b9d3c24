"""Reading the journal of runs: whole, as a list of runs, and as it grows.

The time of an entry that was read is the server's, given when the entry was stored: all times
of a run are of one clock, whichever hosts its planners and readers run on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.reading import Mark, follow
from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.journal_fold import LAST_WORDS, fold
from sparkplug.schema.run import JournalEntry, RunView

log = logging.getLogger(__name__)

_READ_DEADLINE_S = 30.0
#: Subjects of one consumer; its making has to fit into a message.
_RUNS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Line:
    """An entry and the stream sequence it is stored under, which orders the journal."""

    sequence: int
    entry: JournalEntry


async def read_journal(bus: Bus, run: str) -> list[JournalEntry]:
    """The entries of a run in stream order; empty when there is no such run.

    Raises TimeoutError when the server does not give them all within 30 s.
    """
    lines = await _read_now(bus, [subjects.journal(run)], DeliverPolicy.ALL)
    return [line.entry for line in lines]


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """Runs that were read, newest accepted first.

    `last` is the place of each one's last entry that was read, `after` the sequence of the newest
    entry of any run: whoever follows goes on there. `older` is how many runs were left out.
    """

    runs: list[RunView]
    last: dict[str, tuple[int, int]]
    after: int
    older: int


async def read_runs(bus: Bus, limit: int = 100, plan: str = "") -> KeptRuns:
    """Every run that has not ended, and of the others the newest `limit` by their last entry.

    With `plan` only the runs of that plan. Raises TimeoutError when the server does not give them
    within 30 s.
    """
    newest = await _read_now(bus, [subjects.journal("*")], DeliverPolicy.LAST_PER_SUBJECT)
    after = max((line.sequence for line in newest), default=0)
    last = {line.entry.run: line.entry for line in newest}
    names = [run for run in last if not plan or run.startswith(f"{plan}-")]
    ended = [run for run in names if last[run].kind in LAST_WORDS]
    ended.sort(key=lambda run: last[run].sequence, reverse=True)
    chosen = [run for run in names if last[run].kind not in LAST_WORDS] + ended[:limit]
    entries: dict[str, list[JournalEntry]] = {}
    for start in range(0, len(chosen), _RUNS_AT_ONCE):
        filters = [subjects.journal(run) for run in chosen[start : start + _RUNS_AT_ONCE]]
        for line in await _read_now(bus, filters, DeliverPolicy.ALL):
            entries.setdefault(line.entry.run, []).append(line.entry)
    runs = [fold(found) for found in entries.values() if _has_beginning(found)]
    runs = [view for view in runs if plan in ("", view.plan)]
    runs.sort(key=lambda view: view.created, reverse=True)
    places = {view.id: (entries[view.id][-1].sequence, entries[view.id][-1].part) for view in runs}
    return KeptRuns(runs, places, after, max(0, len(ended) - limit))


async def list_runs(bus: Bus, limit: int = 100, plan: str = "") -> list[RunView]:
    """The runs of `read_runs`."""
    return (await read_runs(bus, limit, plan)).runs


async def last_entries(bus: Bus) -> list[JournalEntry]:
    """The last entry of every run. Raises TimeoutError when they do not come within 30 s."""
    filters = [subjects.journal("*")]
    lines = await _read_now(bus, filters, DeliverPolicy.LAST_PER_SUBJECT)
    return [line.entry for line in lines]


async def follow_journal(bus: Bus, run: str) -> AsyncGenerator[JournalEntry, None]:
    """Yield the entries of a run from its beginning, then as they come; end after its last.

    Outlives the server. Raises NotFoundError when there is no such run.
    """
    seen = False
    stream = _follow(bus, [subjects.journal(run)], DeliverPolicy.ALL)
    async with contextlib.aclosing(stream) as lines:
        async for line in lines:
            if line is None:
                if not seen:
                    raise NotFoundError(
                        f"no run {run}", hint="`sparkplug runs list` shows the runs that are kept"
                    )
                continue
            seen = True
            yield line.entry
            if line.entry.kind in LAST_WORDS:
                return


async def follow_runs(bus: Bus) -> AsyncGenerator[JournalEntry, None]:
    """Yield the last entry of every run there is, then each new entry of any, for ever."""
    stream = _follow(bus, [subjects.journal("*")], DeliverPolicy.LAST_PER_SUBJECT)
    async with contextlib.aclosing(stream) as lines:
        async for line in lines:
            if line is not None:
                yield line.entry


async def follow_after(bus: Bus, after: int) -> AsyncGenerator[JournalEntry, None]:
    """Yield every entry of every run that was stored after that sequence, in order, for ever."""
    stream = _follow(bus, [subjects.journal("*")], DeliverPolicy.ALL, after)
    async with contextlib.aclosing(stream) as lines:
        async for line in lines:
            if line is not None:
                yield line.entry


async def _read_now(bus: Bus, filters: list[str], policy: DeliverPolicy) -> list[Line]:
    """All that is there now."""
    found: list[Line] = []
    async with (
        asyncio.timeout(_READ_DEADLINE_S),
        contextlib.aclosing(_follow(bus, filters, policy)) as lines,
    ):
        async for line in lines:
            if line is None:
                break
            found.append(line)
    return found


async def _follow(
    bus: Bus, filters: list[str], policy: DeliverPolicy, begin_after: int = 0
) -> AsyncGenerator[Line | None, None]:
    """What is there, None, then what comes; goes on after the last line when the server is back.

    None comes again each time everything that was missed has been given.
    """

    def start(after: int) -> ConsumerConfig:
        after = max(after, begin_after)
        return ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if after else policy,
            opt_start_seq=after + 1 if after else None,
            filter_subject=filters[0] if len(filters) == 1 else None,
            filter_subjects=filters if len(filters) > 1 else None,
        )

    reading = follow(bus, subjects.STREAM_JOURNAL, start)
    async with contextlib.aclosing(reading) as items:
        async for item in items:
            if item is Mark.READY:
                yield None
            elif isinstance(item, Msg):
                for entry in _decode(item):
                    yield Line(entry.sequence, entry)


def _decode(message: Msg) -> list[JournalEntry]:
    """The entries of a message: one, or those that were stored together."""
    try:
        entry = JournalEntry.model_validate_json(message.data)
    except ValidationError as error:
        log.warning("%s holds no entry: %s", message.subject, error.errors()[:1])
        return []
    metadata = message.metadata
    entries = [entry, *entry.then]
    for part, one in enumerate(entries):
        one.time = metadata.timestamp
        one.sequence = metadata.sequence.stream
        one.part = part
        one.then = []
    return entries


def _has_beginning(entries: list[JournalEntry]) -> bool:
    return entries[0].plan is not None or any(entry.view is not None for entry in entries)
