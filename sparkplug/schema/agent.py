"""Agents: the file that describes one, what is wanted of it, where it was put, how it is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from sparkplug.schema.base import Document, Record, utc_now
from sparkplug.schema.units import Bytes, Seconds

AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Resources(Document):
    """What one replica needs of its host."""

    gpus: int = Field(0, ge=0, description="GPUs, its own alone unless gpu_memory is given")
    gpu_memory: Bytes = Field(
        0, description="bytes reserved on each of its GPUs, which it then shares with others"
    )
    memory: Bytes | None = Field(None, description="bytes of host memory it may use")

    @model_validator(mode="after")
    def _memory_is_of_a_gpu(self) -> Self:
        if self.gpu_memory and not self.gpus:
            raise ValueError("gpu_memory is reserved on GPUs: say how many with gpus, like gpus: 1")
        return self


class Placement(Document):
    """Where replicas may run: `any` moves with the mesh, a host's name pins."""

    hosts: str | list[str] = "any"
    labels: dict[str, str] = Field(default_factory=dict)
    strategy: Literal["spread", "pack"] = Field(
        "spread", description="replicas on as many hosts as there are, or on as few as hold them"
    )

    @property
    def named(self) -> frozenset[str]:
        """The hosts it may run on; empty: on any."""
        hosts = {self.hosts} if isinstance(self.hosts, str) else set(self.hosts)
        return frozenset() if "any" in hosts else frozenset(hosts)

    def pinned_to(self, host: str) -> bool:
        """Whether this host alone may run it, so that it is not moved off."""
        return self.named == {host}


class Scale(Document):
    """How many replicas there are by load, see `sparkplug.node.scaling`."""

    min: int = Field(1, ge=1, le=1000, description="never fewer")
    max: int = Field(ge=1, le=1000, description="never more")
    queue: float | None = Field(
        None, gt=0, le=1000, description="requests in hand, for each replica"
    )
    utilization: float | None = Field(
        None, gt=0, le=1, description="share of its concurrency that is in use"
    )
    up_after: Seconds = Field(10.0, description="seconds of more load before there are more")
    down_after: Seconds = Field(60.0, description="seconds of less load before there are fewer")

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max is {self.max}: min is at most max")
        if self.queue is not None and self.utilization is not None:
            raise ValueError("queue and utilization both say when to scale: give one of them")
        return self

    def clamp(self, replicas: int) -> int:
        """So many replicas, or the nearest number that is allowed."""
        return max(self.min, min(self.max, replicas))


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
    scale: Scale | None = Field(
        None, description="how many replicas by load; `replicas` is how many to begin with"
    )
    concurrency: int = Field(8, ge=1, le=1000)
    isolation: Literal["process"] = "process"
    resources: Resources = Field(default_factory=Resources)
    placement: Placement = Field(default_factory=Placement)
    restart: Restart = Field(default_factory=Restart)
    health: Health = Field(default_factory=Health)
    memory: AgentMemory = Field(default_factory=AgentMemory)
    env: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _scale_can_be_met(self) -> Self:
        queue = self.scale.queue if self.scale else None
        if queue is not None and queue > self.concurrency:
            raise ValueError(
                f"scale.queue is {queue:g}, and a replica has {self.concurrency} in hand at most"
                " (concurrency)"
            )
        return self

    @property
    def least(self) -> int:
        """The replicas there are at least, whatever the load."""
        return self.scale.min if self.scale else self.replicas

    @property
    def first(self) -> int:
        """The replicas to begin with."""
        return self.scale.clamp(self.replicas) if self.scale else self.replicas

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


class DesiredAgent(Record):
    """Desired state of one agent, in the `specs` bucket: the spec and whether it should run."""

    spec: AgentSpec
    folder: str = Field("", description="folder of the agent file, where its modules are found")
    run: bool = True
    generation: int = Field(1, description="raised by every change that replaces the processes")
    changed_by: str = ""
    changed: datetime = Field(default_factory=utc_now, description="when it was wanted so")
    reason: str = ""


class Assignment(Record):
    """One replica given to one node by the placer, in the `assignments` bucket."""

    agent: str
    replica: int
    node: str
    gpus: list[str] = Field(default_factory=list, description="GPU UUIDs")
    gpu_memory: int = Field(0, description="bytes reserved on each of them; 0: they are its own")
    generation: int = 1
    leaving: str = Field(
        "", description="why it is to stop there; once it has, it may be placed elsewhere"
    )


class ScaledAgent(Record):
    """How many replicas the load calls for, in the `scale` bucket: written by the placer."""

    agent: str
    replicas: int
    why: str = ""
    changed: datetime = Field(default_factory=utc_now)

    def of(self, spec: AgentSpec) -> int:
        """The replicas of the agent, within the bounds its spec has now."""
        return spec.scale.clamp(self.replicas) if spec.scale else spec.replicas


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
    scale: str | None = Field(None, description="bounds between which load scales it, as in 1..5")


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
