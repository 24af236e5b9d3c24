"""Schedules of plans: which there are, and changing them."""

from __future__ import annotations

from typing import Literal

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.service import call
from sparkplug.client.deadline import READ_S, within
from sparkplug.client.session import Client
from sparkplug.schema.base import utc_now
from sparkplug.schema.node import Nothing
from sparkplug.schema.schedule import ChangeSchedule, Fired, Schedule, ScheduleView, SetSchedule

_DEADLINE_S = 10.0


async def list_schedules(client: Client) -> list[ScheduleView]:
    """Every schedule by name, with when it is run next."""
    bucket = Bucket(client.bus, subjects.BUCKET_SCHEDULES)
    async with within(READ_S, "the schedules"):
        schedules = await bucket.read_all(Schedule, "s.>")
        fired = await bucket.read_all(Fired, "t.>")
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
