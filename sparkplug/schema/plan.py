"""Plan files: steps, what they depend on, and what happens when one fails."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from sparkplug.schema.agent_spec import AgentName
from sparkplug.schema.base import Document
from sparkplug.schema.plan_policies import (
    Approve,
    Branch,
    Breaker,
    Budget,
    Discover,
    Fallback,
    Human,
    Join,
    Loop,
    Map,
    PlanFallback,
    Retry,
    Slots,
    StepId,
    Switch,
    Team,
)
from sparkplug.schema.units import Seconds, parse_seconds

__all__ = ["Plan", "PlanInput", "Retry", "Step", "StepId", "StepKind"]

#: The most steps of a plan, those of the plans it brings with it included.
MOST_STEPS = 2_000
#: How long an agent has for one attempt, when nothing is said (seconds).
AGENT_TIMEOUT_S = 60.0

StepKind = Literal[
    "agent", "plan", "wait", "human", "branch", "switch", "value", "discover", "team"
]


def _duration(value: Any) -> Any:
    """A duration in seconds, or a template that gives one."""
    return value if isinstance(value, str) and "{" in value else parse_seconds(value)


Wait = Annotated[float | str, BeforeValidator(_duration)]


class Step(Document):
    """One step: it asks an agent, runs a plan, waits, asks a person, or chooses the way on."""

    id: StepId
    agent: str | None = Field(
        None, max_length=500, description="who is asked, by name; a template also"
    )
    capability: str | None = Field(
        None, max_length=500, description="who is asked: the least busy agent with it"
    )
    action: str | None = Field(None, description="a typed action of the agent; else a prompt")
    prompt: str | None = Field(None, description="the text of a plain prompt; a template")
    input: dict[str, Any] = Field(
        default_factory=dict, description="of the action, or the inputs of the plan; templates"
    )
    plan: AgentName | None = Field(None, description="a plan that is run as this step")
    wait: Wait | None = Field(None, description="a timer: 30s, or a template that gives seconds")
    human: Human | None = Field(None, description="a question to a person")
    branch: list[Branch] | None = Field(None, min_length=1, description="ways on, the first true")
    switch: Switch | None = Field(None, description="the way on by a value")
    value: Any = Field(None, description="templates, whose values are the output")
    discover: Discover | None = Field(None, description="the agents that are ready, by need")
    team: Team | None = Field(None, description="agents started or removed by the plan")
    depends_on: list[StepId] = Field(default_factory=list)
    join: Join = Field("all", description="how many of depends_on must have come through")
    when: str | None = Field(None, description="a template; false skips the step")
    map: Map | None = None
    loop: Loop | None = None
    approve: Approve | None = Field(None, description="human: a person approves it first")
    retry: Retry = Field(default_factory=Retry)
    timeout: Seconds | None = Field(
        None, gt=0, description="seconds of one attempt; 60 of an agent's, else none"
    )
    idle_timeout: Seconds | None = Field(
        None, gt=0, description="seconds of one attempt without a word from the agent"
    )
    fallback: Fallback | None = None
    breaker: Breaker | None = None
    concurrency: Slots | None = None
    budget: Budget | None = None
    optional: bool = Field(False, description="when it fails, the run goes on; its output is null")
    always: bool = Field(
        False, description="run whatever became of the others, also after a failure or a cancel"
    )

    @model_validator(mode="after")
    def _does_one_thing(self) -> Step:
        asks = self.agent is not None or self.capability is not None
        others = [
            name
            for name in ("plan", "wait", "human", "branch", "switch", "value", "discover", "team")
            if getattr(self, name) is not None
        ]
        if len(others) > 1 or (asks and others):
            found = [*(["agent"] if asks else []), *others]
            raise ValueError(f"a step does one thing, not {' and '.join(found)}")
        if not others:
            if (self.agent is None) == (self.capability is None):
                raise ValueError("a step names an agent or a capability, and only one of them")
            if (self.action is None) == (self.prompt is None):
                raise ValueError("a step has an action or a prompt, and only one of them")
        elif self.action is not None or self.prompt is not None:
            raise ValueError("action and prompt are of a step that asks an agent")
        if others in (["branch"], ["switch"]) and (self.map or self.loop or self.fallback):
            raise ValueError("a step that chooses the way on is not repeated and has no fallback")
        if self.map is not None and self.loop is not None:
            raise ValueError("a step has map or loop; a plan of its own can have the other")
        if self.fallback and self.fallback.step and (self.map or self.loop):
            raise ValueError("of a step that is repeated the fallback is an agent or a plan")
        if self.approve and self.kind not in ("agent", "plan", "team"):
            raise ValueError("what a person approves is a step that asks an agent or runs a plan")
        if self.join != "all" and not self.depends_on:
            raise ValueError("join says how many of depends_on, and there are none")
        if isinstance(self.join, int) and self.join > len(self.depends_on):
            raise ValueError(f"join: {self.join} of {len(self.depends_on)} can never be")
        if self.fallback and not asks and (self.fallback.agent or self.fallback.capability):
            raise ValueError("a fallback agent is of a step that asks an agent")
        return self

    @property
    def kind(self) -> StepKind:
        """What the step does."""
        kinds: tuple[StepKind, ...] = (
            "plan", "wait", "human", "branch", "switch", "value", "discover", "team",
        )  # fmt: skip
        return next((kind for kind in kinds if getattr(self, kind) is not None), "agent")

    @property
    def limit(self) -> float | None:
        """Seconds of one attempt; None: it may take for ever."""
        if self.timeout is None and self.kind in ("agent", "team"):
            return AGENT_TIMEOUT_S
        return self.timeout

    @property
    def ways(self) -> list[StepId]:
        """The steps that this one chooses among."""
        if self.branch is not None:
            return [name for way in self.branch for name in way.then]
        if self.switch is not None:
            return [n for names in self.switch.cases.values() for n in names] + self.switch.default
        return []


class PlanInput(Document):
    """An input of a plan: asked for by name when it is run."""

    description: str = ""
    default: Any = None
    required: bool = False
    type: Literal["any", "text", "number", "integer", "boolean", "list", "object"] = "any"


class Plan(Document):
    """A plan file. `sparkplug schema plan` prints this."""

    name: AgentName
    description: str = ""
    strategy: Literal["sequential", "parallel", "conditional", "graph"] = "graph"
    timeout: Seconds = Field(300.0, gt=0, description="seconds of work; waiting for people is none")
    idle_timeout: Seconds | None = Field(None, gt=0, description="of every step that gives none")
    inputs: dict[str, PlanInput] = Field(default_factory=dict)
    steps: list[Step] = Field(min_length=1, max_length=MOST_STEPS)
    output: Any = Field(None, description="templates; default: the last step's output")
    fallback: PlanFallback | None = Field(None, description="the plan that is run when it fails")
    budget: Budget | None = None
    concurrency: Slots | None = Field(None, description="at most so many runs at once")
    priority: int = Field(5, ge=0, le=9, description="of runs that wait for their turn; 9 is first")
    plans: dict[AgentName, Plan] = Field(
        default_factory=dict, description="plans that steps run, by name; others are found by name"
    )

    _graph: dict[str, list[str]] | None = PrivateAttr(None)
    _by_id: dict[str, Step] | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _is_no_bomb(self) -> Plan:
        if self.count_steps() > MOST_STEPS:
            raise ValueError(f"a plan and the plans in it have at most {MOST_STEPS} steps in all")
        return self

    def count_steps(self) -> int:
        """Its steps, and those of the plans in it however deep."""
        return len(self.steps) + sum(plan.count_steps() for plan in self.plans.values())

    def dependencies(self) -> dict[str, list[str]]:
        """What each step waits for, by id.

        Its `depends_on`; the step that chooses it; the step it stands in for; and under the
        strategies `sequential` and `conditional` the step before it. One that is run `always` waits
        for all that are not. Not to be changed.
        """
        if self._graph is None:
            graph = {step.id: list(dict.fromkeys(step.depends_on)) for step in self.steps}
            before: str | None = None
            for step in self.steps:
                spare = [step.fallback.step] if step.fallback and step.fallback.step else []
                for name in (*step.ways, *spare):
                    if name in graph and step.id not in graph[name]:
                        graph[name].append(step.id)
                if self.strategy in ("sequential", "conditional"):
                    if before is not None and before not in graph[step.id]:
                        graph[step.id].append(before)
                    before = None if step.always else step.id
            ordinary = [step.id for step in self.steps if not step.always]
            for step in self.steps:
                if step.always:
                    graph[step.id] = list(dict.fromkeys((*ordinary, *graph[step.id])))
            self._graph = graph
        return self._graph

    def called(self) -> list[str]:
        """The names of the plans that this one runs, as a step or as a fallback."""
        names = [step.plan for step in self.steps]
        names += [step.fallback.plan for step in self.steps if step.fallback]
        names += [self.fallback.plan] if self.fallback else []
        return list(dict.fromkeys(name for name in names if name is not None))

    def step(self, name: str) -> Step:
        """The step of that id. Raises KeyError."""
        if self._by_id is None:
            self._by_id = {step.id: step for step in self.steps}
        return self._by_id[name]
