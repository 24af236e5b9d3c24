"""Schedules: plans that are run again and again, by the clock or at an interval."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from sparkplug.schema.agent_spec import AgentName
from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.plan import Plan

#: A run that is at most so late is not one that was missed.
GRACE = timedelta(seconds=60)
#: The most missed runs that are made good at once.
MOST_MISSED = 100
_LEAST_S = 1.0


class Schedule(Record):
    """When a plan is run. `cron` in the time zone, or `every` so many seconds from `since`."""

    name: AgentName
    plan: Plan
    inputs: dict[str, Any] = Field(default_factory=dict)
    cron: str = Field("", max_length=200)
    every: float | None = Field(None, ge=_LEAST_S, le=366 * 86400.0)
    timezone: str = Field("UTC", max_length=100)
    missed: Literal["skip", "once", "all"] = Field(
        "once", description="of the times that passed while nobody was there: none, one, or each"
    )
    overlap: bool = Field(True, description="also while the last run of it is still going")
    paused: bool = False
    priority: int | None = Field(None, ge=0, le=9)
    since: datetime = Field(default_factory=utc_now)
    changed_by: str = ""

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no time zone {value}; it is like Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _has_times(self) -> Self:
        if bool(self.cron) == (self.every is not None):
            raise ValueError("a schedule has a cron expression or an interval, and only one")
        if self.cron:
            from cronsim import CronSimError

            try:
                next(self.times(self.since))
            except CronSimError as error:
                raise ValueError(f"cron {self.cron!r}: {error}") from error
            except StopIteration as error:
                raise ValueError(f"cron {self.cron!r}: that never is") from error
        return self

    def times(self, after: datetime) -> Iterator[datetime]:
        """The times that come after one, in UTC; those of `cron` by the wall clock of its zone."""
        if self.every is not None:
            rounds = max(0, int((after - self.since).total_seconds() // self.every))
            while True:
                rounds += 1
                yield self.since + timedelta(seconds=rounds * self.every)
        from cronsim import CronSim

        zone = ZoneInfo(self.timezone)
        for found in CronSim(self.cron, after.astimezone(zone)):
            yield found.astimezone(UTC)

    def due(self, after: datetime, now: datetime) -> list[datetime]:
        """The times after `after` and until `now` for which a run is to be begun now."""
        passed: list[datetime] = []
        for found in self.times(after):
            if found > now:
                break
            passed.append(found)
            if self.missed != "all":
                passed = passed[-1:]
            elif len(passed) > MOST_MISSED:
                passed = passed[-MOST_MISSED:]
        if self.missed == "skip":
            return [found for found in passed if now - found <= GRACE]
        return passed


class Fired(Record):
    """Until when a schedule has been seen to, and the run that it made last."""

    until: datetime
    run: str = ""


class ScheduleView(Record):
    """A schedule, and where it stands."""

    schedule: Schedule
    fired: Fired | None = None
    next: datetime | None = None

    @property
    def name(self) -> str:
        """The schedule's."""
        return self.schedule.name

    def coming(self, now: datetime, count: int) -> list[datetime]:
        """The times after `now` at which it is run, at most `count`; none while it is paused."""
        times = () if self.schedule.paused else self.schedule.times(now)
        return list(islice(times, count))


class SetSchedule(Record):
    """Ask for a schedule to be kept; with `replace` in the place of one of the same name."""

    schedule: Schedule
    replace: bool = False
    actor: str = ""


class ChangeSchedule(Record):
    """Ask that a schedule be removed, paused or resumed."""

    name: str = Field(max_length=200)
    change: Literal["remove", "pause", "resume"]
    actor: str = ""


class RunSchedule(Record):
    """Ask for a run of a schedule now, whatever its times are."""

    name: str = Field(max_length=200)
    actor: str = ""
