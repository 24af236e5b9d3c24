"""Runs: a plan accepted, its steps as they go, and the journal entries that are the run."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_policies import Slots
from sparkplug.schema.topology import BreakerState

#: Characters of why something was answered so.
LONGEST_REASON = 2000


class RunState(StrEnum):
    """How a run is. It ends done, failed with a reason, or cancelled."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """How a step is."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


RUN_ENDED = frozenset({RunState.DONE, RunState.FAILED, RunState.CANCELLED})
STEP_ENDED = frozenset({StepState.DONE, StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED})


class RunQuestion(Record):
    """What a step asks a person. It is open until an answer to its `id` is in the journal."""

    id: str
    kind: Literal["approve", "answer", "agent"] = Field(
        description="approve or reject what the step would do, answer; or an agent's own question"
    )
    text: str
    options: list[str] = Field(default_factory=list)
    input: Any = Field(None, description="of an approval: what would be asked, to be edited")
    asked: datetime = Field(default_factory=utc_now)
    deadline: datetime | None = None
    default: Any = None
    remind_seconds: float = 4 * 3600.0
    reminders: int = Field(0, description="how often it was told of again")
    questions: list[str] = Field(
        default_factory=list, description="the agent's questions, by their ids in the mesh"
    )


class RunAnswer(Record):
    """What was answered to a step's question."""

    question: str
    verdict: Literal["approve", "reject", "answer"]
    value: Any = Field(None, description="the answer; of an approval, the input as it was edited")
    edited: bool = False
    reason: str = Field("", max_length=LONGEST_REASON)
    by: str = ""
    how: Literal["person", "default"] = "person"


class Parent(Record):
    """The step of another run, or the schedule, that a run is part of."""

    run: str = ""
    step: str = ""
    schedule: str = ""
    depth: int = 0
    holds: dict[str, str] = Field(
        default_factory=dict,
        description="the places that it stands in, by key, and what lends each to one run at once",
    )


class Shared(Record):
    """The past that a run has in common with an earlier one."""

    run: str = Field(description="the earlier run")
    steps: list[str] = Field(description="whose outputs are taken from it")
    start: str = Field("", description="the step that it was begun again from")
    edit: dict[str, Any] = Field(
        default_factory=dict, description="what is laid over the input of that step"
    )


class StepBreaker(Record):
    """How the circuit breaker of whom a step asks was, when its planner last looked at it."""

    state: BreakerState
    whom: str = Field("", description="`agent NAME` or `capability NAME`")
    failures: int = Field(0, description="that are counted: those within the breaker's time")
    until: datetime | None = Field(None, description="of an open one: till when nobody is asked")

    def at(self, moment: datetime) -> BreakerState:
        """How it is then, if nothing happens: an open one lets the next attempt decide at last."""
        over = self.state == "open" and self.until is not None and moment >= self.until
        return "half-open" if over else self.state


class JournalEntry(Record):
    """One line of a run's journal. Replaying the entries in order is the run."""

    run: str
    kind: Literal[
        "accepted",
        "started",
        "resumed",
        "step-started",
        "step-items",
        "step-waiting",
        "step-answered",
        "step-retried",
        "step-fallback",
        "step-completed",
        "step-failed",
        "step-skipped",
        "pause-asked",
        "resume-asked",
        "cancel-asked",
        "ending",
        "fallback",
        "completed",
        "failed",
        "cancelled",
        "compacted",
    ]
    time: datetime = Field(default_factory=utc_now)
    step: str | None = None
    item: int | None = Field(None, description="which value of a map, or round of a loop, from 0")
    attempt: int = 0
    agent: str | None = None
    plan: Plan | None = None
    inputs: dict[str, Any] | None = None
    output: Any = None
    stored: str | None = Field(
        None, description="of an output too large for an entry: its name in the object store"
    )
    error: str | None = None
    interrupted: bool = Field(
        False, description="of step-retried: the attempt was cut short, which is no failure of it"
    )
    unchosen: bool = Field(False, description="of step-skipped: another way was taken")
    shared: bool = Field(False, description="of step-completed: it was done in an earlier run")
    tokens: int = Field(0, description="that the agent says it used for the attempt")
    child: str | None = Field(None, description="the run of the plan that the step runs")
    breaker: StepBreaker | None = Field(None, description="of the step, as it is with this entry")
    question: RunQuestion | None = None
    answer: RunAnswer | None = None
    parent: Parent | None = None
    past: Shared | None = None
    priority: int | None = None
    view: RunView | None = Field(None, description="of compacted: the run, instead of its entries")
    node: str | None = None
    actor: str = ""
    then: list[JournalEntry] = Field(
        default_factory=list,
        description="what happened with it, stored in the same message: one write, one sync",
    )
    #: Of the stream, given when the entry is read; it orders the journal of all runs.
    sequence: int = Field(0, exclude=True)
    #: Which of the entries of its message it is, from 0; given when it is read.
    part: int = Field(0, exclude=True)


class StepView(Record):
    """A step of a run, as replaying the journal gives it; or one value or round of a step."""

    id: str
    state: StepState = StepState.PENDING
    kind: str = "agent"
    agent: str | None = None
    depends_on: list[str] = Field(default_factory=list, description="what it waits for")
    attempts: int = 0
    interruptions: int = Field(0, description="attempts that were cut short, not failed")
    started: datetime | None = None
    finished: datetime | None = None
    output: Any = None
    stored: str | None = Field(None, description="where an output too large to be here is kept")
    error: str | None = None
    unchosen: bool = False
    shared: bool = Field(False, description="taken over from an earlier run")
    fallback: str | None = Field(None, description="what stood in when it had failed")
    failures_at: int = Field(0, description="attempts that had failed by then")
    child: str | None = Field(None, description="the run of the plan that it runs")
    breaker: StepBreaker | None = Field(
        None, description="its circuit breaker, once it has asked or was kept from it"
    )
    tokens: int = 0
    waited_seconds: float = Field(0.0, description="for a person")
    worked_seconds: float = Field(0.0, description="attempts added up")
    question: RunQuestion | None = None
    answer: RunAnswer | None = None
    items: list[StepView] = Field(default_factory=list, description="of a map or a loop")
    value: Any = Field(None, description="of one of a map: the value it is done for")
    since: datetime | None = Field(None, description="when what it does now began")


class RunView(Record):
    """A run, as replaying its journal gives it: what `runs describe` prints."""

    id: str
    plan: str
    state: RunState = RunState.ACCEPTED
    created: datetime = Field(default_factory=utc_now)
    started: datetime | None = None
    finished: datetime | None = None
    error: str | None = None
    output: Any = None
    stored: str | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    node: str | None = None
    actor: str = ""
    parent: Parent | None = None
    past: Shared | None = None
    fallback: str | None = Field(None, description="the run that stood in for this one")
    ending: RunState | None = Field(None, description="how it will end, once it has cleaned up")
    priority: int = 5
    slots: Slots | None = Field(None, description="how many such runs may go at once")
    paused: bool = False
    worked_seconds: float = Field(0.0, description="of the plan's timeout that are used")
    steps: list[StepView] = Field(default_factory=list)

    _by_id: dict[str, StepView] | None = PrivateAttr(None)
    _last: datetime | None = PrivateAttr(None)
    #: How many steps, or values of steps, run and wait; None: to be counted.
    _active: tuple[int, int] | None = PrivateAttr(None)

    @property
    def state_words(self) -> str:
        """How it is, in words: one that is to pause goes on with what it has in hand."""
        ends = self.paused and self.state is RunState.RUNNING
        return f"{self.state}, pauses when what it has in hand has ended" if ends else self.state

    def step(self, name: str, item: int | None = None) -> StepView | None:
        """A step, or one value or round of it; None when there is none."""
        if self._by_id is None or len(self._by_id) != len(self.steps):
            self._by_id = {step.id: step for step in self.steps}
        found = self._by_id.get(name)
        if found is None or item is None:
            return found
        return found.items[item] if item < len(found.items) else None

    @property
    def questions(self) -> list[tuple[StepView, RunQuestion]]:
        """The open questions to people, each with its step (or value or round)."""
        every = [one for step in self.steps for one in (step, *step.items)]
        return [
            (one, one.question)
            for one in every
            if one.state is StepState.WAITING and one.question is not None
        ]


JournalEntry.model_rebuild()


class SubmitRequest(Record):
    """Ask a planner to accept a run."""

    plan: Plan
    inputs: dict[str, Any] = Field(default_factory=dict)
    actor: str = ""
    priority: int | None = Field(None, ge=0, le=9)


class SubmitReply(Record):
    """The run that was accepted."""

    run: str


class CancelRequest(Record):
    """Ask that a run be cancelled; it is, once the planner that holds it has stopped its steps."""

    run: str
    actor: str = ""


class PauseRequest(Record):
    """Ask that nothing more is begun in a run, or that it goes on."""

    run: str
    resume: bool = False
    actor: str = ""


class AnswerRequest(Record):
    """Answer the question of a step that waits for a person."""

    run: str
    step: str = Field("", description="which step; empty: the one that waits")
    verdict: Literal["approve", "reject", "answer"]
    value: Any = None
    edited: bool = False
    reason: str = Field("", max_length=LONGEST_REASON)
    actor: str = ""


class ReplayRequest(Record):
    """Ask for a new run that shares the past of another.

    From the step `start`; without it, from what had failed or was never done.
    """

    run: str
    start: str = ""
    inputs: dict[str, Any] = Field(default_factory=dict, description="of the plan, changed")
    edit: dict[str, Any] = Field(default_factory=dict, description="of the step's input, changed")
    actor: str = ""
