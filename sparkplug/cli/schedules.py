"""The verb that lists schedules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.schedule import ScheduleView


async def list_schedules(cli: Cli) -> int:
    """What is run by the clock."""
    from sparkplug.client import schedules as room

    async with cli.connect() as client:

        async def fetch() -> Iterable[ScheduleView]:
            return await room.list_schedules(client)

        return await show(cli, fetch, SCHEDULES)


def _when(view: ScheduleView) -> str:
    schedule = view.schedule
    return schedule.cron or f"every {figures.span(schedule.every)}"


def _at(moment: datetime | None, view: ScheduleView) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(ZoneInfo(view.schedule.timezone)).strftime("%Y-%m-%d %H:%M:%S")


def _data(view: ScheduleView) -> dict[str, Any]:
    schedule = view.schedule
    return {
        "name": schedule.name,
        "plan": schedule.plan.name,
        "cron": schedule.cron or None,
        "every_seconds": schedule.every,
        "timezone": schedule.timezone,
        "missed": schedule.missed,
        "overlap": schedule.overlap,
        "paused": schedule.paused,
        "inputs": schedule.inputs,
        "next": view.next.isoformat() if view.next else None,
        "last_run": (view.fired.run or None) if view.fired else None,
    }


SCHEDULES: Listing[ScheduleView] = Listing(
    columns=(
        Column("name", lambda v: v.schedule.name),
        Column("plan", lambda v: v.schedule.plan.name),
        Column("when", _when),
        Column("zone", lambda v: v.schedule.timezone),
        Column("next", lambda v: "paused" if v.schedule.paused else _at(v.next, v)),
        Column("last run", lambda v: v.fired.run if v.fired else None),
        Column("missed", lambda v: v.schedule.missed, wide=True),
        Column("by", lambda v: v.schedule.changed_by, wide=True),
    ),
    name=lambda v: v.schedule.name,
    data=_data,
    empty="no schedules; `sparkplug schedules add` makes one",
)
