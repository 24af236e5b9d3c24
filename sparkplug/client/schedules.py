"""Schedules of plans: which there are, and changing them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Literal, TypeVar

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, Entry, decode
from sparkplug.bus.service import call
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.session import Client
from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.node import Nothing
from sparkplug.schema.run import SubmitReply
from sparkplug.schema.schedule import (
    ChangeSchedule,
    Fired,
    RunSchedule,
    Schedule,
    ScheduleView,
    SetSchedule,
)

RecordT = TypeVar("RecordT", bound=Record)

_DEADLINE_S = 10.0


async def list_schedules(client: Client) -> list[ScheduleView]:
    """Every schedule by name, with when it is run next."""
    bucket = Bucket(client.bus, subjects.BUCKET_SCHEDULES)
    async with within(READ_S, "the schedules"):
        schedules = await bucket.read_all(Schedule, "s.>")
        fired = await bucket.read_all(Fired, "t.>")
    return _views(schedules, fired)


async def follow(client: Client) -> AsyncGenerator[list[ScheduleView], None]:
    """Every schedule, again whenever one has changed or was seen to, for ever."""
    bucket = Bucket(client.bus, subjects.BUCKET_SCHEDULES)
    schedules: dict[str, Schedule] = {}
    fired: dict[str, Fired] = {}
    read = False
    async with contextlib.aclosing(bucket.watch()) as changes:
        async for change in changes:
            if change.reset:
                schedules, fired, read = {}, {}, False
                continue
            if change.entry is None:
                read = True
            elif change.entry.key.startswith("s."):
                _take(schedules, change.entry, decode(Schedule, change.entry))
            else:
                _take(fired, change.entry, decode(Fired, change.entry))
            if read:
                yield _views(schedules, fired)


def _take(known: dict[str, RecordT], entry: Entry, found: RecordT | None) -> None:
    if found is None:
        known.pop(entry.key, None)
    else:
        known[entry.key] = found


def _views(schedules: Mapping[str, Schedule], fired: Mapping[str, Fired]) -> list[ScheduleView]:
    now = utc_now()
    return [
        ScheduleView(
            schedule=one,
            fired=fired.get(f"t.{one.name}"),
            next=None if one.paused else next(one.times(now), None),
        )
        for one in sorted(schedules.values(), key=lambda one: one.name)
    ]


async def put(client: Client, schedule: Schedule, *, replace: bool = False) -> None:
    """Keep a schedule. Raises InvalidError, and ConflictError when there is one of its name."""
    request = SetSchedule(schedule=schedule, replace=replace, actor=client.actor)
    await call(client.bus, subjects.SCHEDULES_SET, request, Nothing, deadline=_DEADLINE_S)


async def change(client: Client, name: str, what: Literal["remove", "pause", "resume"]) -> None:
    """Remove, pause or resume one. Raises NotFoundError, ConflictError when it is so already."""
    request = ChangeSchedule(name=name, change=what, actor=client.actor)
    await call(client.bus, subjects.SCHEDULES_CHANGE, request, Nothing, deadline=_DEADLINE_S)


async def run_now(client: Client, name: str) -> str:
    """Begin a run of one now; its id. Raises NotFoundError, and InvalidError when its plan no
    longer holds."""
    request = RunSchedule(name=name, actor=client.actor)
    reply = await call(
        client.bus, subjects.SCHEDULES_RUN, request, SubmitReply, deadline=_DEADLINE_S
    )
    return reply.run
