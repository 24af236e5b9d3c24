"""Agents: what is wanted of one, where it was put, how it is, how it is addressed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sparkplug.schema.agent_spec import LIVE_FIELDS, AgentSpec
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
from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.usage import AgentCounts

#: Characters of a reason, and of the reason of a state that is past.
_LONGEST_REASON = 2000
_LONGEST_KEPT_REASON = 300

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


class ModelLeftAlone(Record):
    """A model that an agent does not ask for a while, for it failed."""

    model: str = Field(max_length=1000, description="`identity` of its view")
    until: datetime
    why: str = Field("", max_length=300)


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
    models_left_alone: list[ModelLeftAlone] = Field(
        default_factory=list, description="models it does not ask now, for they failed of late"
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
    models_left_alone: list[ModelLeftAlone] = Field(default_factory=list)


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
