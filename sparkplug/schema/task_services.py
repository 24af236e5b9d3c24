"""What is asked of the task service, and what it publishes: requests, replies, figures."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.task import NewTask, Outcome, Priority, Task, TaskRow, TaskState

#: Tasks one request may name, hand in or be answered with.
MAX_AT_ONCE = 1000


class SubmitTasks(Record):
    """Hand in tasks; they are kept before this is answered."""

    tasks: list[NewTask] = Field(min_length=1, max_length=MAX_AT_ONCE)
    actor: str = ""


class SubmittedTask(Record):
    """What became of one task that was handed in."""

    id: str
    duplicate: bool = Field(False, description="a task of that key, or that id, was there already")
    refused: str = Field("", description="why it was not taken; empty: it was")


class SubmitTasksReply(Record):
    """In the order they were handed in."""

    tasks: list[SubmittedTask]


class ListTasks(Record):
    """Ask for tasks: of some states, of a capability, the newest first."""

    states: list[TaskState] = Field(default_factory=list, description="empty: all but dead")
    capability: str | None = None
    limit: int = Field(500, ge=1, le=MAX_AT_ONCE)
    ids: list[str] = Field(default_factory=list, max_length=MAX_AT_ONCE)


class ListTasksReply(Record):
    """Rows, and how many there are in all."""

    tasks: list[TaskRow]
    total: int


class OneTask(Record):
    """Name a task by its id or the beginning of it; with `seconds` wait so long for its end."""

    task: str = Field(min_length=1, max_length=32)
    seconds: float = Field(0.0, ge=0, le=30.0)


class TaskReply(Record):
    """A task as it is."""

    task: Task


class ChangeTasks(Record):
    """Cancel, requeue or drop the tasks that are named, or all dead letters of a capability."""

    ids: list[str] = Field(default_factory=list, max_length=MAX_AT_ONCE)
    every: bool = Field(False, description="all there are, of `capability` if that is given")
    capability: str | None = None
    actor: str = ""
    text: str | None = Field(None, description="of requeue: what it says from now on")
    input: dict[str, Any] | None = Field(None, description="of requeue: its input from now on")


class ChangedTasks(Record):
    """Which were changed, and why others were not, by id."""

    ids: list[str]
    not_changed: dict[str, str] = Field(default_factory=dict)


class QueueFigures(Record):
    """One capability's queue."""

    capability: str
    queued: dict[Priority, int] = Field(default_factory=dict)
    scheduled: int = 0
    retrying: int = 0
    running: int = 0
    dead: int = 0
    workers: int = Field(0, description="replicas that take tasks of it")
    limit: int = Field(0, description="tasks that may wait; more are refused")
    done: int = Field(0, description="since this service took over")
    failed: int = Field(0, description="tries that failed since then")
    refused: int = 0
    oldest_seconds: float | None = Field(None, description="how long the oldest has waited")
    done_per_second: float = 0.0
    start_p50_ms: float | None = Field(None, description="from being due to being begun")

    @property
    def waiting(self) -> int:
        """Tasks that could begin now."""
        return sum(self.queued.values())


class TaskFigures(Record):
    """All queues, published once a second while they change."""

    queues: list[QueueFigures] = Field(default_factory=list)
    node: str = Field("", description="which node keeps the queues")
    done_per_second: float = 0.0
    queued_per_second: float = 0.0
    failed_per_second: float = 0.0
    kept: int = Field(0, description="tasks that have ended and are still kept")

    @property
    def waiting(self) -> int:
        """Tasks that could begin now, of all queues."""
        return sum(queue.waiting for queue in self.queues)

    @property
    def running(self) -> int:
        """Tasks in hand."""
        return sum(queue.running for queue in self.queues)

    @property
    def dead(self) -> int:
        """Dead letters."""
        return sum(queue.dead for queue in self.queues)


# Between the service and the process of an agent.


class GivenTask(Record):
    """A task handed to an agent: try `attempt` of it."""

    id: str
    attempt: int
    capability: str
    priority: Priority = Priority.NORMAL
    text: str = ""
    action: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    timeout: float
    key: str = ""
    context: dict[str, Any] = Field(default_factory=dict)


class ToWorker(Record):
    """What the service tells one replica."""

    instance: str = Field(description="the process it is meant for; another ignores it")
    give: list[GivenTask] = Field(default_factory=list)
    heard: list[str] = Field(default_factory=list, description="id#attempt whose end is kept now")
    cancel: dict[str, str] = Field(default_factory=dict, description="id#attempt to why")


class Finished(Record):
    """How a try ended, as the process says that made it."""

    id: str
    attempt: int
    outcome: Outcome
    error: str | None = None
    result: Any = None
    retry: bool = Field(True, description="false: another try would fail the same way")


class FromWorker(Record):
    """What one replica tells the service: how much it takes, what it holds, what has ended."""

    instance: str
    capacity: int = Field(0, ge=0, le=1000, description="tasks it works on at once; 0: none now")
    holding: list[str] = Field(default_factory=list, description="id#attempt it works on")
    finished: list[Finished] = Field(default_factory=list)
    whole: bool = Field(True, description="false: only `finished` is told")
