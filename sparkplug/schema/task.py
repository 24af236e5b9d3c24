"""Tasks: work that is queued by capability until an agent has done it, and what became of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.units import Seconds

#: Bytes of a task's text and input together, and of its answer, as JSON.
MAX_TASK_BYTES = 256 << 10
#: Seconds a try may take when nobody says otherwise.
DEFAULT_TIMEOUT_S = 600.0
DEFAULT_TRIES = 5

TaskId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{8,32}$")]
Capability = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Priority(StrEnum):
    """How urgent a task is. Of four that wait, each gets its share: see `WEIGHTS`."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


#: Of fifteen tasks that begin while all four wait, so many are of each: a low one has its turn.
WEIGHTS: dict[Priority, int] = {
    Priority.URGENT: 8,
    Priority.HIGH: 4,
    Priority.NORMAL: 2,
    Priority.LOW: 1,
}


class TaskState(StrEnum):
    """How a task is. It ends done, dead (see the dead letters) or cancelled."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


TASK_ENDED = frozenset({TaskState.DONE, TaskState.DEAD, TaskState.CANCELLED})
#: The states in which a task waits for its turn or its time.
TASK_WAITS = frozenset({TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RETRYING})


class Outcome(StrEnum):
    """How a try ended. One that was `released` does not count: the agent gave it back."""

    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"
    TIMEOUT = "timeout"
    RELEASED = "released"
    CANCELLED = "cancelled"


class Attempt(Record):
    """One try at a task: by whom, and how it ended."""

    number: int
    agent: str
    replica: str
    instance: str = Field("", description="which process of the replica")
    started: datetime = Field(default_factory=utc_now)
    ended: datetime | None = None
    outcome: Outcome | None = None
    error: str | None = None


class Task(Record):
    """A task and all that happened to it, as it is kept."""

    id: TaskId
    capability: Capability
    priority: Priority = Priority.NORMAL
    state: TaskState = TaskState.QUEUED
    text: str = ""
    action: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    key: str = Field("", description="another task of this key is refused while this one lives")
    submitted: datetime = Field(default_factory=utc_now)
    by: str = Field("", description="who submitted it")
    not_before: datetime | None = Field(None, description="when it may begin, at the earliest")
    timeout: float = Field(DEFAULT_TIMEOUT_S, description="seconds one try may take")
    tries: int = Field(DEFAULT_TRIES, description="tries before it is a dead letter")
    backoff: float = Field(1.0, description="seconds before the second try, then doubled")
    attempts: list[Attempt] = Field(default_factory=list)
    spent: int = Field(0, description="tries that count, since it was last queued by somebody")
    requeued: int = Field(0, description="how often it was taken out of the dead letters")
    error: str | None = None
    result: Any = None
    finished: datetime | None = None
    context: dict[str, Any] = Field(
        default_factory=dict, description="ids of the run, step and trace it belongs to"
    )

    @property
    def agent(self) -> str | None:
        """Who works on it, or was the last to; None while nobody has."""
        if not self.attempts:
            return None
        last = self.attempts[-1]
        return f"{last.agent}/{last.replica}"

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in TASK_ENDED


class TaskRow(Record):
    """A task in a list: what `tasks list` and `tasks dead` print."""

    id: str
    capability: str
    priority: Priority
    state: TaskState
    attempts: int
    agent: str | None
    submitted: datetime
    error: str | None
    key: str = ""
    by: str = ""
    not_before: datetime | None = None
    finished: datetime | None = None
    requeued: int = 0

    @classmethod
    def of(cls, task: Task) -> TaskRow:
        """The row of a task."""
        return cls.model_construct(
            id=task.id,
            capability=task.capability,
            priority=task.priority,
            state=task.state,
            attempts=len(task.attempts),
            agent=task.agent,
            submitted=task.submitted,
            error=task.error,
            key=task.key,
            by=task.by,
            not_before=task.not_before,
            finished=task.finished,
            requeued=task.requeued,
        )


class NewTask(Record):
    """What is asked to be done. `delay` and `at` exclude each other."""

    id: TaskId | None = Field(None, description="chosen by who asks, so that asking twice is once")
    capability: Capability
    priority: Priority = Priority.NORMAL
    text: str = ""
    action: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    key: str = Field("", max_length=200)
    delay: Seconds = Field(0.0, description="seconds before it may begin")
    at: datetime | None = Field(None, description="when it may begin")
    timeout: Seconds = Field(DEFAULT_TIMEOUT_S, gt=0, le=86400.0)
    tries: int = Field(DEFAULT_TRIES, ge=1, le=100)
    backoff: Seconds = Field(1.0, le=3600.0)
    context: dict[str, Any] = Field(default_factory=dict)


TaskEvent = Literal[
    "task:queued",
    "task:claimed",
    "task:completed",
    "task:failed",
    "task:dead",
    "task:requeued",
]
