"""Agents: the file that describes one, what is wanted of it, where it was put, how it is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from sparkplug.schema.base import Document, Record, utc_now
from sparkplug.schema.units import Bytes, Seconds

AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Resources(Document):
    """What one replica needs of its host."""

    gpus: int = Field(0, ge=0, description="whole GPUs")
    gpu_memory: Bytes = Field(0, description="bytes of GPU memory, on each of them")
    memory: Bytes | None = Field(None, description="bytes of host memory it may use")


class Placement(Document):
    """Where replicas may run: `any` moves with the mesh, a host's name pins."""

    hosts: str | list[str] = "any"
    labels: dict[str, str] = Field(default_factory=dict)


class Restart(Document):
    """What happens when a replica's process ends without being asked to."""

    policy: Literal["always", "on-failure", "never"] = "on-failure"
    max: int = Field(5, ge=0, description="restarts allowed inside the window; 0 lifts the limit")
    within: Seconds = Field(600.0, description="the window, in seconds")
    backoff: Seconds = Field(1.0, description="seconds before the first restart, then doubled")


class Health(Document):
    """How often a replica tells that it lives, and how long silence is tolerated."""

    interval: Seconds = 2.0
    timeout: Seconds = 6.0


class RolloutPolicy(Document):
    """How a change that needs new processes reaches the replicas."""

    max_unavailable: int = Field(
        1, ge=1, le=1000, description="replicas that may be without service at once meanwhile"
    )


class AgentMemory(Document):
    """What the agent may remember."""

    enabled: bool = True
    scope: Literal["agent", "run", "owner", "group", "mesh"] = "agent"


class AgentSpec(Document):
    """An agent file: one agent, its runtime, its needs. `sparkplug schema agent` prints this."""

    name: AgentName
    runtime: Literal["python", "langgraph"] = "python"
    entrypoint: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")] = Field(
        description="module:name, found on PYTHONPATH, beside the agent file, and in plugins"
    )
    python: str | None = Field(
        None, description="the interpreter that has the module; default: SparkPlug's own"
    )
    description: str = Field("", max_length=500)
    type: str = "agent"
    capabilities: list[str] = Field(default_factory=list)
    model: str = "auto"
    replicas: int = Field(1, ge=0, le=1000)
    concurrency: int = Field(8, ge=1, le=1000)
    isolation: Literal["process"] = "process"
    resources: Resources = Field(default_factory=Resources)
    placement: Placement = Field(default_factory=Placement)
    restart: Restart = Field(default_factory=Restart)
    rollout: RolloutPolicy = Field(default_factory=RolloutPolicy)
    health: Health = Field(default_factory=Health)
    memory: AgentMemory = Field(default_factory=AgentMemory)
    env: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("env", mode="before")
    @classmethod
    def _env_values_are_text(cls, value: Any) -> Any:
        """YAML reads `PORT: 8080` as a number; an environment holds text."""
        if isinstance(value, dict):
            return {k: str(v) if isinstance(v, int | float) else v for k, v in value.items()}
        return value


class AgentState(StrEnum):
    """The states an agent can be shown in. None of them is inferred from a timer alone."""

    DEPLOYING = "deploying"
    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    THINKING = "thinking"
    WAITING_HUMAN = "waiting-human"
    WAITING_AGENT = "waiting-agent"
    WAITING_GPU = "waiting-gpu"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"
    STALE = "stale"


#: The states in which a replica answers prompts.
SERVING = frozenset(
    {
        AgentState.IDLE,
        AgentState.RUNNING,
        AgentState.THINKING,
        AgentState.WAITING_HUMAN,
        AgentState.WAITING_AGENT,
        AgentState.DEGRADED,
    }
)


#: What can change in a spec while its processes run on.
LIVE_FIELDS = frozenset({"replicas", "restart", "rollout", "labels"})
#: How many earlier generations a record carries for replicas that still run them.
_MOST_FORMER = 3


class Former(Record):
    """A generation before the present one: what replicas run until their turn comes."""

    generation: int
    spec: AgentSpec
    folder: str = ""


class DesiredAgent(Record):
    """Desired state of one agent, in the `specs` bucket: the spec and whether it should run."""

    spec: AgentSpec
    folder: str = Field("", description="folder of the agent file, where its modules are found")
    run: bool = True
    generation: int = Field(1, description="raised by every change that replaces the processes")
    changed_by: str = ""
    changed: datetime = Field(default_factory=utc_now, description="when it was wanted so")
    what: str = Field("", description="the change in words: deploy, scale to 3, undo to 17")
    reason: str = Field("", description="why, as who changed it said; else the change in words")
    drain: float | None = Field(
        None, description="seconds to finish what is in hand; None: as the node's settings say"
    )
    all_at_once: bool = Field(False, description="this generation waits for no replica's turn")
    former: list[Former] = Field(default_factory=list, description="the newest last")

    def succeed(self, before: DesiredAgent) -> None:
        """Make this the generation after `before`, which its replicas run until their turn."""
        self.generation = before.generation + 1
        here = Former(generation=before.generation, spec=before.spec, folder=before.folder)
        self.former = [*before.former, here][-_MOST_FORMER:]

    def at(self, generation: int) -> DesiredAgent:
        """What a replica of that generation is to run: its own spec, but what can change live.

        The present one when no record of that generation is kept.
        """
        former = next((one for one in self.former if one.generation == generation), None)
        if former is None or generation == self.generation:
            return self
        live = {name: getattr(self.spec, name) for name in LIVE_FIELDS}
        update = {
            "spec": former.spec.model_copy(update=live),
            "folder": former.folder,
            "generation": generation,
        }
        return self.model_copy(update=update)


class Assignment(Record):
    """One replica given to one node by the placer, in the `assignments` bucket."""

    agent: str
    replica: int
    node: str
    gpus: list[str] = Field(default_factory=list, description="GPU UUIDs")
    generation: int = 1


class ObservedAgent(Record):
    """How one replica is, in the `observed` bucket: written by the node that runs it."""

    name: str
    replica: str
    runtime: str
    type: str = "agent"
    description: str = ""
    capabilities: list[str] = Field(default_factory=list)
    owner: str
    host: str | None = None
    node: str | None = None
    pid: int | None = None
    state: AgentState
    state_since: datetime = Field(default_factory=utc_now)
    reason: str | None = Field(None, description="why it is in this state, in words")
    gpus: list[str] = Field(default_factory=list)
    restarts: int = 0
    started: datetime | None = None
    generation: int = 1
    instance: str | None = Field(None, description="id of the micro service instance")
    subject: str = Field("", description="where it takes prompts")
    max_payload: int | None = Field(None, description="bytes of the largest prompt it takes")
    actions: dict[str, Any] = Field(
        default_factory=dict, description="its typed actions: name to JSON Schema of the input"
    )
    inflight: int = 0
    served: int = 0
    failed: int = 0
    foreign: bool = False
    sdk: str | None = Field(None, description="what a foreign agent says it runs on")


class AgentReport(Record):
    """What a replica says of itself when its state changes, and with every heartbeat."""

    agent: str
    replica: str
    pid: int
    instance: str = ""
    state: AgentState
    reason: str | None = None
    inflight: int = 0
    served: int = 0
    failed: int = 0
    actions: dict[str, Any] | None = None


class ResolveRequest(Record):
    """Ask which replicas could take a prompt, by name or by capability."""

    name: str | None = None
    capability: str | None = None
    any_state: bool = Field(False, description="include those that take no prompts now")


class Target(Record):
    """A replica that takes prompts: enough to address it without discovering it again."""

    name: str
    replica: str
    owner: str
    subject: str
    max_payload: int | None = None
    inflight: int = 0
    foreign: bool = False
    instance: str | None = Field(None, description="the micro service instance behind it now")
    state: AgentState = AgentState.IDLE
    reason: str | None = None


class ResolveReply(Record):
    """The replicas that could take a prompt now, the least busy first."""

    targets: list[Target]
