"""Background runs: one node of the mesh at a time looks after the schedules.

A run's id is made of its schedule and its time, and the journal takes an id once: whoever looks
after them when, a time makes one run.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.leases import Lease, while_held
from sparkplug.bus.service import Services
from sparkplug.plans.away import AWAY
from sparkplug.plans.journal import accept, last_entry
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.journal_fold import LAST_WORDS
from sparkplug.schema.node import Nothing
from sparkplug.schema.plan_check import check_plan
from sparkplug.schema.plan_inputs import checked_inputs
from sparkplug.schema.problems import did_you_mean, invalid
from sparkplug.schema.run import JournalEntry, Parent, SubmitReply
from sparkplug.schema.schedule import (
    ChangeSchedule,
    Fired,
    RunSchedule,
    Schedule,
    SetSchedule,
)

log = logging.getLogger(__name__)

_LEASE = "plans.schedules"
_LEASE_S = 3
_LOOK_S = 1.0
_LONGEST_S = 30.0
_QUEUE = "planner"


class Schedules:
    """The schedules of the mesh, as one planner sees to them."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        holder: str,
        known_agents: Callable[[], Awaitable[set[str]]],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._bus = bus
        self._node = node
        self._holder = holder
        self._known_agents = known_agents
        self._now = now
        self._bucket = Bucket(bus, subjects.BUCKET_SCHEDULES)
        self._changed = asyncio.Event()

    async def serve(self, services: Services) -> None:
        """Answer what is asked of schedules."""
        await services.serve(subjects.SCHEDULES_SET, SetSchedule, self._set, queue=_QUEUE)
        await services.serve(subjects.SCHEDULES_CHANGE, ChangeSchedule, self._change, queue=_QUEUE)
        await services.serve(subjects.SCHEDULES_RUN, RunSchedule, self._run_now, queue=_QUEUE)

    async def run(self) -> None:
        """See to them for ever, whenever no other does."""
        while True:
            lease = Lease(self._bus, _LEASE, self._holder, _LEASE_S)
            if await lease.acquire():
                try:
                    await while_held(lease, self._see_to_all())
                except AWAY as error:
                    log.info("schedules: %s", error)
                finally:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_S):
                            await lease.release()
            await asyncio.sleep(_LOOK_S)

    async def _set(self, request: SetSchedule) -> Nothing:
        """Keep a schedule. Raises InvalidError for a plan or inputs that do not hold,
        ConflictError when there is one of that name."""
        schedule = request.schedule
        problems = check_plan(schedule.plan, await self._known_agents())
        if problems:
            raise invalid(problems)
        checked_inputs(schedule.plan, schedule.inputs)
        key = f"s.{schedule.name}"
        before = await self._bucket.get(key)
        if before is not None and not request.replace:
            raise ConflictError(
                f"there is a schedule {schedule.name} already", hint="--replace takes its place"
            )
        kept = schedule.model_copy(update={"changed_by": request.actor, "since": self._now()})
        await self._bucket.put(f"t.{schedule.name}", Fired(until=kept.since))
        await self._bucket.put(key, kept)
        return Nothing()

    async def _change(self, request: ChangeSchedule) -> Nothing:
        """Remove, pause or resume one. Raises NotFoundError, ConflictError."""
        key = f"s.{request.name}"
        schedule, revision = await self._known(request.name)
        if request.change == "remove":
            await self._bucket.delete(key, revision=revision)
            await self._bucket.delete(f"t.{request.name}")
            return Nothing()
        paused = request.change == "pause"
        if schedule.paused is paused:
            told = "paused already" if paused else "not paused"
            raise ConflictError(f"schedule {request.name} is {told}")
        if not paused:
            # What passed meanwhile was meant to pass.
            await self._bucket.put(f"t.{request.name}", Fired(until=self._now()))
        changed = schedule.model_copy(update={"paused": paused, "changed_by": request.actor})
        await self._bucket.put(key, changed, revision=revision)
        return Nothing()

    async def _run_now(self, request: RunSchedule) -> SubmitReply:
        """Begin a run of one; its times stay as they are. Raises NotFoundError, and InvalidError
        when its plan no longer holds."""
        schedule, _ = await self._known(request.name)
        problems = check_plan(schedule.plan, await self._known_agents())
        if problems:
            raise invalid(problems)
        run = f"{schedule.plan.name}-{secrets.token_hex(4)}"
        await accept(self._bus, self._accepted(run, schedule, request.actor))
        return SubmitReply(run=run)

    async def _known(self, name: str) -> tuple[Schedule, int]:
        """A schedule and its revision. Raises NotFoundError."""
        entry = await self._bucket.get(f"s.{name}") if name == subjects.token(name) else None
        schedule = decode(Schedule, entry) if entry is not None else None
        if entry is None or schedule is None:
            names = [one.name for one in (await self._bucket.read_all(Schedule, "s.>")).values()]
            raise NotFoundError(
                f"no schedule {name}{did_you_mean(name, names)}",
                hint="`sparkplug schedules list` shows them",
            )
        return schedule, entry.revision

    def _accepted(self, run: str, schedule: Schedule, actor: str) -> JournalEntry:
        """The entry that begins a run of a schedule. Raises InvalidError."""
        return JournalEntry(
            run=run,
            kind="accepted",
            plan=schedule.plan,
            inputs=checked_inputs(schedule.plan, schedule.inputs),
            node=self._node,
            actor=actor,
            parent=Parent(schedule=schedule.name),
            priority=schedule.priority,
        )

    async def _see_to_all(self) -> None:
        following = asyncio.ensure_future(self._follow())
        try:
            while not following.done():
                self._changed.clear()
                pause = await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def _follow(self) -> None:
        async with contextlib.aclosing(self._bucket.watch("s.>")) as changes:
            async for _ in changes:
                self._changed.set()

    async def _look(self) -> float:
        """Begin what is due; seconds until something else is."""
        schedules = await self._bucket.read_all(Schedule, "s.>")
        fired = await self._bucket.read_all(Fired, "t.>")
        pause = _LONGEST_S
        for schedule in schedules.values():
            if schedule.paused:
                continue
            state = fired.get(f"t.{schedule.name}")
            after = state.until if state is not None else schedule.since
            now = self._now()
            run = state.run if state is not None else ""
            due = schedule.due(after, now)
            for time in due:
                run = await self._fire(schedule, time, run)
            coming = next(schedule.times(max(now, after)), None)
            if due or (coming is not None and next(schedule.times(after), coming) <= now):
                kept = Fired(until=now, run=run)
                await self._bucket.put(f"t.{schedule.name}", kept)
            if coming is not None:
                pause = min(pause, max(0.02, (coming - now).total_seconds()))
        return pause

    async def _fire(self, schedule: Schedule, time: datetime, last: str) -> str:
        """Begin the run of that time, unless the last one goes on and none is to overlap."""
        if last and not schedule.overlap:
            entry = await last_entry(self._bus, last)
            if entry is not None and entry.kind not in LAST_WORDS:
                log.info("schedule %s: %s is still going", schedule.name, last)
                return last
        mark = hashlib.sha256(f"{schedule.name}\0{time.isoformat()}".encode()).hexdigest()[:8]
        run = f"{schedule.plan.name}-{mark}"
        try:
            await accept(self._bus, self._accepted(run, schedule, schedule.changed_by))
        except ConflictError:
            log.debug("schedule %s: %s was begun already", schedule.name, run)
        except InvalidError as error:
            log.error("schedule %s: %s", schedule.name, error)
            return last
        return run
