"""Agents: the file that describes one, what is wanted of it, where it was put, how it is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from sparkplug.schema.agent_state import SERVING as SERVING
from sparkplug.schema.agent_state import AgentState as AgentState
from sparkplug.schema.agent_state import (
    ReasonKind,
    Recovery,
    StateSource,
    Transition,
    is_allowed,
    recovery,
    remember,
)
from sparkplug.schema.base import Document, Record, utc_now
from sparkplug.schema.units import Bytes, Seconds
from sparkplug.schema.usage import AgentCounts

AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
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


#: Characters of a reason, and of the reason of a state that is past.
_LONGEST_REASON = 2000
_LONGEST_KEPT_REASON = 300

#: A function `module:name`, or the name of a method of the agent's class.
ProbeName = Annotated[str, StringConstraints(pattern=r"^([\w.]+:)?[A-Za-z_][\w.]*$")]


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
    entrypoint: Annotated[
        str,
        StringConstraints(
            pattern=r"^([\w.]+:[\w.]+|[\w./-]*langgraph\.json(:[\w.-]+)?|[\w./-]+\.ya?ml)$"
        ),
    ] = Field(
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
    gpu_memory: int = Field(0, description="bytes reserved on each of them; 0: they are its own")
    generation: int = 1
    epoch: int = Field(0, description="the node's epoch under which it was given")
    leave: str = Field("", description="set: the node is to end it, and say so with this word")
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


class BreakerView(Record):
    """A circuit breaker that is not closed: whom its holder does not ask now."""

    target: str = Field(description="where the target takes prompts")
    state: Literal["open", "half-open"]
    failures: int = 0


class ObservedAgent(Record):
    """How one replica is, in the `observed` bucket: written by the node that runs it."""

    name: str
    replica: str
    runtime: str
    type: str = "agent"
    description: str = ""
    capabilities: list[str] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    breakers: list[BreakerView] = Field(
        default_factory=list, description="whom it does not ask now, for they failed of late"
    )
    owner: str
    host: str | None = None
    node: str | None = None
    pid: int | None = None
    state: AgentState
    state_since: datetime = Field(default_factory=utc_now)
    state_source: StateSource = StateSource.NODE
    reason: str | None = Field(None, description="why it is in this state, in words")
    reason_kind: ReasonKind | None = None
    accepting: bool = Field(True, description="false: up, and takes no prompts (not ready)")
    history: list[Transition] = Field(
        default_factory=list, description="its last states, oldest first"
    )
    limits: str = Field("", description="which limits are in force, and by what")
    last_lines: str = Field("", description="the end of the log of a process that failed")
    gpus: list[str] = Field(default_factory=list)
    restarts: int = 0
    started: datetime | None = None
    generation: int = 1
    instance: str | None = Field(None, description="id of the micro service instance")
    subject: str = Field("", description="where it takes prompts")
    max_payload: int | None = Field(None, description="bytes of the largest prompt it takes")
    senders: Literal["any", "signed"] = "any"
    user: str = Field("", description="public key of its process's own NATS user")
    actions: dict[str, Any] = Field(
        default_factory=dict, description="its typed actions: name to JSON Schema of the input"
    )
    inflight: int = 0
    served: int = 0
    failed: int = 0
    foreign: bool = False
    left: str = Field("", description="the `leave` of an assignment that has been followed")
    sdk: str | None = Field(None, description="what a foreign agent says it runs on")
    scale: str | None = Field(None, description="bounds between which load scales it, as in 1..5")

    @property
    def takes_prompts(self) -> bool:
        """Whether it can be asked now."""
        return self.accepting and self.state in SERVING

    @property
    def recovery(self) -> tuple[Recovery, ...]:
        """What can be done about it, best first; empty where nothing is wrong."""
        return () if self.foreign else recovery(self.state, self.reason_kind)

    def enter(
        self,
        state: AgentState,
        source: StateSource,
        reason: str | None = None,
        kind: ReasonKind | None = None,
    ) -> bool:
        """Move to a state, as `source` says. False, and nothing changed, when it may not."""
        if not is_allowed(self.state, state, source):
            return False
        # Reasons come from agents, too: a record must fit into a message.
        reason = reason[:_LONGEST_REASON] if reason else None
        short = reason[:_LONGEST_KEPT_REASON] if reason else None
        if self.state is not state or not self.history:
            if self.state is not state:
                self.state_since = utc_now()
            self.state, self.state_source = state, source
            made = Transition(state=state, since=self.state_since, source=source, reason=short)
            self.history = remember(self.history, made)
        elif reason != self.reason:
            told = self.history[-1].model_copy(update={"reason": short})
            self.history = [*self.history[:-1], told]
        self.reason, self.reason_kind = reason, kind
        return True


class AgentReport(Record):
    """What a replica says of itself when its state changes, and with every heartbeat."""

    agent: str
    replica: str
    pid: int
    process: str = Field("", description="pid and kernel start time: names the process for ever")
    sequence: int = Field(0, description="counts its reports from 1; 0: it does not count")
    incarnation: str = Field("", description="which start of it, in a shared process")
    counts: AgentCounts | None = None
    instance: str = ""
    state: AgentState
    reason: str | None = None
    reason_kind: ReasonKind | None = None
    accepting: bool = True
    unhealthy: bool = Field(False, description="its liveness fails: it should be ended")
    inflight: int = 0
    served: int = 0
    failed: int = 0
    actions: dict[str, Any] | None = None
    breakers: list[BreakerView] = Field(default_factory=list)


class ResolveRequest(Record):
    """Ask which replicas could take a prompt: those that are all of what is given."""

    name: str | None = None
    capability: str | None = None
    type: str | None = None
    labels: list[str] = Field(default_factory=list, description="`key=value`, or a key")
    user: str | None = Field(None, description="the replica whose process is this NATS user")
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
    senders: Literal["any", "signed"] = Field("any", description="who may prompt it")
    user: str = Field("", description="public key of its process's own NATS user")
    state: AgentState = AgentState.IDLE
    reason: str | None = None
    host: str | None = None

    @classmethod
    def of(cls, agent: ObservedAgent) -> Target:
        """How to address a replica, from what is observed of it."""
        return cls(
            name=agent.name,
            replica=agent.replica,
            owner=agent.owner,
            subject=agent.subject,
            max_payload=agent.max_payload,
            inflight=agent.inflight,
            foreign=agent.foreign,
            instance=agent.instance,
            senders=agent.senders,
            user=agent.user,
            state=agent.state,
            reason=agent.reason,
            host=agent.host,
        )


class ResolveReply(Record):
    """The replicas that could take a prompt now, the least busy first."""

    targets: list[Target]
