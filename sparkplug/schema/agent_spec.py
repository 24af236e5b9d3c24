"""The agent file: one agent, its runtime, its needs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from sparkplug.schema.base import Document
from sparkplug.schema.units import Bytes, Seconds

AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
#: In ASCII: what is a letter in Unicode takes the validator 300 KB each time it may stand.
_ENTRYPOINT = (
    r"^([A-Za-z0-9_.]+:[A-Za-z0-9_.]+"
    r"|[^ :]*langgraph\.json(:[A-Za-z0-9_.-]+)?|[^ :]+\.ya?ml)$"
)
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")]


class Resources(Document):
    """What one replica needs of its host."""

    gpus: int = Field(0, ge=0, description="GPUs, its own alone unless gpu_memory is given")
    gpu_memory: Bytes = Field(
        0, description="bytes reserved on each of its GPUs, which it then shares with others"
    )
    memory: Bytes | None = Field(None, gt=0, description="bytes of host memory it may use")
    cpus: float | None = Field(
        None, gt=0, le=4096, description="CPUs it may use; by control group, else whole ones"
    )

    @model_validator(mode="after")
    def _memory_is_of_a_gpu(self) -> Self:
        if self.gpu_memory and not self.gpus:
            raise ValueError("gpu_memory is reserved on GPUs: say how many with gpus, like gpus: 1")
        return self


class Placement(Document):
    """Where replicas may run: `any` moves with the mesh, a host's name pins."""

    hosts: str | list[str] = "any"
    labels: dict[str, str] = Field(default_factory=dict)
    partition: Literal["stop", "keep"] | None = Field(
        None,
        description="of a host cut off from the mesh: stop, and run elsewhere, or run on there; "
        "default: stop, and keep what one host's name pins",
    )

    @property
    def stops_when_cut_off(self) -> bool:
        """Whether replicas end with their node's lease, and may then be started elsewhere."""
        if self.partition is not None:
            return self.partition == "stop"
        return not self.pinned

    @property
    def pinned(self) -> bool:
        """Whether a single host is named: nowhere else may they run."""
        hosts = [self.hosts] if isinstance(self.hosts, str) else self.hosts
        return len(set(hosts)) == 1 and "any" not in hosts

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


#: A function `module:name`, or the name of a method of the agent's class.
ProbeName = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9_.]+:)?[A-Za-z_][A-Za-z0-9_.]*$")
]


class Health(Document):
    """How a replica tells that it lives and is ready, and how long silence is tolerated."""

    interval: Seconds = 2.0
    timeout: Seconds = 6.0
    stall: Seconds = Field(
        2.0,
        description="seconds without a turn of its event loop from which it is blocked; 0: never",
    )
    ready: ProbeName | None = Field(
        None, description="readiness probe: a method of its class, or module:name"
    )
    live: ProbeName | None = Field(
        None, description="liveness probe: a method of its class, or module:name"
    )
    probe_interval: Seconds = Field(5.0, gt=0, description="seconds between two probes")
    probe_timeout: Seconds = Field(2.0, gt=0, description="seconds a probe may take")
    failures: int = Field(3, ge=1, description="failed liveness probes in a row that count")
    restart_unhealthy: bool = Field(
        False, description="end a process whose liveness fails; `restart` decides about the next"
    )


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
    runtime: Literal["python", "langgraph", "crewai"] = "python"
    entrypoint: Annotated[str, StringConstraints(pattern=_ENTRYPOINT)] = Field(
        description="module:name, found on PYTHONPATH, beside the agent file, and in plugins; or "
        "a langgraph.json, with :name where it has several graphs; or a crew file (*.yaml)"
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
    isolation: Literal["process", "shared"] = Field(
        "process", description="a process for each replica, or one that many light agents share"
    )
    resources: Resources = Field(default_factory=Resources)
    placement: Placement = Field(default_factory=Placement)
    restart: Restart = Field(default_factory=Restart)
    rollout: RolloutPolicy = Field(default_factory=RolloutPolicy)
    health: Health = Field(default_factory=Health)
    memory: AgentMemory = Field(default_factory=AgentMemory)
    senders: Literal["any", "signed"] = Field(
        "any", description="`signed` takes prompts only from who proves to be who it says"
    )
    env: dict[str, str] = Field(default_factory=dict)
    pass_env: list[EnvName] = Field(
        default_factory=list, description="variables of the node's own environment it is given"
    )
    labels: dict[str, str] = Field(default_factory=dict)
    checkpoints: Literal["jetstream", "sqlite", "memory", "none"] | None = Field(
        None,
        description="where a LangGraph agent keeps its threads: on the mesh, in a file of its "
        "host, in its process or nowhere; default: jetstream, or what its graph was compiled with",
    )

    @model_validator(mode="after")
    def _graphs_are_langgraphs(self) -> Self:
        if "langgraph.json" in self.entrypoint and self.runtime != "langgraph":
            raise ValueError("a langgraph.json is run by LangGraph: runtime: langgraph")
        if self.checkpoints is not None and self.runtime != "langgraph":
            raise ValueError("checkpoints are a LangGraph agent's: runtime: langgraph")
        return self

    @property
    def crew_file(self) -> str:
        """The crew file that its entrypoint names; empty for none."""
        return self.entrypoint if self.entrypoint.endswith((".yaml", ".yml")) else ""

    @model_validator(mode="after")
    def _a_crew_has_a_process(self) -> Self:
        if self.crew_file and self.runtime != "crewai":
            raise ValueError(f"{self.crew_file} is a crew file: it needs runtime: crewai")
        if self.runtime == "crewai" and self.isolation == "shared":
            raise ValueError(
                "runtime: crewai takes isolation: process alone: a crew that does not stop is"
                " ended with its process"
            )
        return self

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

    @model_validator(mode="after")
    def _what_is_shared_is_nobodys_own(self) -> AgentSpec:
        """GPUs and limits are given to a process: they cannot be one agent's."""
        if self.isolation == "shared":
            for name in ("gpus", "memory", "cpus"):
                if getattr(self.resources, name):
                    raise ValueError(
                        f"isolation: shared takes no resources.{name}: they are a process's own"
                    )
        return self


#: What can change in a spec while its processes run on.
LIVE_FIELDS = frozenset({"replicas", "scale", "restart", "rollout", "labels"})
