"""Telling the events of runs: out of the journal, in its order, each once.

One teller at a time, under a lease. Where the last one stopped is seen from the events themselves:
each carries the sequence of the entry that it tells of. So nothing is told twice or left out,
whoever died in between.

What happens within a moment is told together, in one atomic batch with one sync: telling one by
one took as much of the server and of the planner as the runs themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.batches import MAX_BATCH, Write, can_batch, store_batch
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import follow_after
from sparkplug.bus.leases import Lease, while_held
from sparkplug.plans.away import AWAY
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import NoMeshError
from sparkplug.schema.event import Event
from sparkplug.schema.run import JournalEntry

log = logging.getLogger(__name__)

_LEASE = "plans.teller"
_LEASE_S = 3
_LOOK_S = 1.0
_PAUSE_S = 0.2
_WRITE_DEADLINE_S = 5.0
#: How long what happens is gathered before it is told of.
_MOMENT_S = 0.05
#: From so many events on, a batch is quicker than each by itself.
_WORTH_A_BATCH = 4
#: Where nothing was ever told, what is older than this is not news.
_NEWS = timedelta(minutes=10)

_NAMES = {
    "accepted": "plan:accepted",
    "started": "plan:started",
    "resumed": "plan:resumed",
    "pause-asked": "plan:paused",
    "resume-asked": "plan:resumed",
    "fallback": "plan:fallback",
    "completed": "plan:completed",
    "failed": "plan:failed",
    "cancelled": "plan:cancelled",
    "step-started": "step:started",
    "step-waiting": "step:waiting",
    "step-answered": "step:answered",
    "step-retried": "step:retried",
    "step-fallback": "step:fallback",
    "step-completed": "step:completed",
    "step-failed": "step:failed",
    "step-skipped": "step:skipped",
}


def event_of(entry: JournalEntry) -> Event | None:
    """The event that tells of an entry; None for those that are the planner's own business."""
    name = _NAMES.get(entry.kind)
    if name is None:
        return None
    data: dict[str, Any] = {"journal": entry.sequence}
    if entry.part:
        data["part"] = entry.part
    if entry.plan is not None:
        data["plan"] = entry.plan.name
    for key in ("attempt", "agent", "error", "child", "tokens"):
        value = getattr(entry, key)
        if value:
            data[key] = value
    if entry.question is not None:
        data |= {"question": entry.question.text, "reminder": entry.question.reminders}
    if entry.answer is not None:
        data |= {"verdict": entry.answer.verdict, "reason": entry.answer.reason}
    if entry.interrupted:
        data["interrupted"] = True
    step = entry.step or ""
    if entry.item is not None:
        step = f"{step}[{entry.item}]"
    return Event(
        id=f"journal.{entry.sequence}.{entry.part}" if entry.part else f"journal.{entry.sequence}",
        name=name,
        time=entry.time,
        host=entry.node,
        actor=entry.actor or (f"node {entry.node}" if entry.node else ""),
        subject=f"{entry.run}/{step}" if step else entry.run,
        data=data,
    )


class Teller:
    """The teller of one planner, which tells while it has the lease."""

    def __init__(self, bus: Bus, holder: str) -> None:
        self._bus = bus
        self._holder = holder

    async def run(self) -> None:
        """Tell for ever, whenever no other does."""
        while True:
            lease = Lease(self._bus, _LEASE, self._holder, _LEASE_S)
            if await lease.acquire():
                try:
                    await while_held(lease, self._tell())
                except AWAY as error:
                    log.info("the teller rests: %s", error)
                finally:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_S):
                            await lease.release()
            await asyncio.sleep(_LOOK_S)

    async def _tell(self) -> None:
        told = await self._told()
        oldest = utc_now() - _NEWS
        news: asyncio.Queue[Event | None] = asyncio.Queue(MAX_BATCH - 1)

        async def hear() -> None:
            try:
                # From the last message on: it may have been told in part.
                begin = max(0, told[0] - 1)
                async with contextlib.aclosing(follow_after(self._bus, begin)) as entries:
                    async for entry in entries:
                        event = event_of(entry)
                        fresh = (entry.sequence, entry.part) > told
                        if event is not None and fresh and (told[0] or entry.time >= oldest):
                            await news.put(event)
            finally:
                await news.put(None)

        hearing = asyncio.ensure_future(hear())
        try:
            going = True
            while going:
                found = [await news.get()]
                await asyncio.sleep(_MOMENT_S)
                while not news.empty():
                    found.append(news.get_nowait())
                going = None not in found
                await self._publish([event for event in found if event is not None])
            await hearing
        finally:
            await end(hearing)

    async def _told(self) -> tuple[int, int]:
        """The sequence of the last entry that was told of, and its part; 0: none was."""
        last = (0, 0)
        for kind in ("plan", "step"):
            try:
                found = await self._bus.js.get_last_msg(
                    subjects.STREAM_EVENTS, f"sparkplug.event.{kind}.>", direct=True
                )
            except nats.js.errors.NotFoundError:
                continue
            except (TimeoutError, nats.errors.Error) as error:
                raise NoMeshError(f"the events cannot be read: {error}") from error
            event = Event.model_validate_json(found.data or b"{}")
            told, part = event.data.get("journal"), event.data.get("part", 0)
            if isinstance(told, int) and isinstance(part, int):
                last = max(last, (told, part))
        return last

    async def _publish(self, events: Sequence[Event]) -> None:
        """Store them in their order. Raises NoMeshError once the connection is closed."""
        writes = [
            Write(
                subjects.event(event.name, event.subject),
                event.model_dump_json().encode(),
                {"Nats-Msg-Id": event.id},
            )
            for event in events
        ]
        if len(writes) >= _WORTH_A_BATCH and can_batch(self._bus):
            try:
                await store_batch(self._bus, writes, deadline=_WRITE_DEADLINE_S)
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                # Stored all the same, or partly told by an earlier teller: by its id each is
                # stored once, whoever sends it again.
                log.debug("%d events are told one by one: %s", len(events), error)
            else:
                return
        for write in writes:
            await self._store(write)

    async def _store(self, write: Write) -> None:
        while True:
            try:
                await self._bus.js.publish(write.subject, write.data, headers=dict(write.headers))
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                if self._bus.nc.is_closed:
                    raise NoMeshError("the connection is closed") from error
                log.debug("an event waits: %s", error)
                await asyncio.sleep(_PAUSE_S)
            else:
                return
