"""Plan files: steps, what they depend on, and what happens when one fails."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from sparkplug.schema.agent import AgentName
from sparkplug.schema.base import Document
from sparkplug.schema.units import Seconds

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


#: The ways a step's attempt can fail: no answer in time, or an answer that says so.
Failure = Literal["timeout", "error"]


class Retry(Document):
    """How often a failed step is tried again, and how long each wait is (seconds)."""

    max: int = Field(0, ge=0, le=100, description="further attempts after the first")
    backoff: Seconds = 1.0
    factor: float = Field(2.0, ge=1.0, le=10.0)
    jitter: bool = True
    on: list[Failure] = Field(default_factory=lambda: list[Failure](("timeout", "error")))


class Step(Document):
    """One step: a prompt or a structured call to one agent."""

    id: StepId
    agent: AgentName | None = None
    capability: str | None = None
    action: str | None = Field(None, description="a typed action of the agent; else a prompt")
    prompt: str | None = Field(None, description="the text of a plain prompt; a template")
    input: dict[str, Any] = Field(default_factory=dict)
    depends_on: list[StepId] = Field(default_factory=list)
    when: str | None = Field(None, description="a template; false skips the step")
    retry: Retry = Field(default_factory=Retry)
    timeout: Seconds = 60.0

    @model_validator(mode="after")
    def _calls_one_thing(self) -> Step:
        if (self.agent is None) == (self.capability is None):
            raise ValueError("a step names an agent or a capability, and only one of them")
        if self.action is None and self.prompt is None:
            raise ValueError("a step has an action or a prompt")
        return self


class PlanInput(Document):
    """An input of a plan: asked for by name when it is run."""

    description: str = ""
    default: Any = None
    required: bool = False


class Plan(Document):
    """A plan file. `sparkplug schema plan` prints this."""

    name: AgentName
    description: str = ""
    strategy: Literal["sequential", "parallel", "graph"] = "graph"
    timeout: Seconds = 300.0
    inputs: dict[str, PlanInput] = Field(default_factory=dict)
    steps: list[Step] = Field(min_length=1)
    output: str | None = Field(None, description="a template; default: the last step's output")

    def dependencies(self) -> dict[str, list[str]]:
        """What each step waits for, by id: its `depends_on`, and under strategy `sequential`
        the step before it as well."""
        graph: dict[str, list[str]] = {}
        before: str | None = None
        for step in self.steps:
            waits = list(dict.fromkeys(step.depends_on))
            if self.strategy == "sequential" and before is not None and before not in waits:
                waits.append(before)
            graph[step.id] = waits
            before = step.id
        return graph
