"""Runs: a plan accepted, its steps as they go, and the journal entries that are the run."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.plan import Plan


class RunState(StrEnum):
    """How a run is. It ends done, failed with a reason, or cancelled."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """How a step is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


RUN_ENDED = frozenset({RunState.DONE, RunState.FAILED, RunState.CANCELLED})
STEP_ENDED = frozenset({StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED})


class JournalEntry(Record):
    """One line of a run's journal. Replaying the entries in order is the run."""

    run: str
    kind: Literal[
        "accepted",
        "started",
        "resumed",
        "step-started",
        "step-retried",
        "step-completed",
        "step-failed",
        "step-skipped",
        "cancel-asked",
        "completed",
        "failed",
        "cancelled",
    ]
    time: datetime = Field(default_factory=utc_now)
    step: str | None = None
    attempt: int = 0
    agent: str | None = None
    plan: Plan | None = None
    inputs: dict[str, Any] | None = None
    output: Any = None
    error: str | None = None
    interrupted: bool = Field(
        False, description="of step-retried: the attempt was cut short, which is no failure of it"
    )
    node: str | None = None
    actor: str = ""


class StepView(Record):
    """A step of a run, as replaying the journal gives it."""

    id: str
    state: StepState = StepState.PENDING
    agent: str | None = None
    depends_on: list[str] = Field(default_factory=list, description="what it waits for")
    attempts: int = 0
    interruptions: int = Field(0, description="attempts that were cut short, not failed")
    started: datetime | None = None
    finished: datetime | None = None
    output: Any = None
    error: str | None = None


class RunView(Record):
    """A run, as replaying its journal gives it: what `runs describe` prints."""

    id: str
    plan: str
    state: RunState = RunState.ACCEPTED
    created: datetime = Field(default_factory=utc_now)
    finished: datetime | None = None
    error: str | None = None
    output: Any = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    node: str | None = None
    steps: list[StepView] = Field(default_factory=list)


class SubmitRequest(Record):
    """Ask a planner to accept a run."""

    plan: Plan
    inputs: dict[str, Any] = Field(default_factory=dict)
    actor: str = ""


class SubmitReply(Record):
    """The run that was accepted."""

    run: str


class CancelRequest(Record):
    """Ask that a run be cancelled; it is, once the planner that holds it has stopped its steps."""

    run: str
    actor: str = ""
