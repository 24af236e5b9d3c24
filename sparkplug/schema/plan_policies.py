"""What a step or a plan may say about how it is run: tried again, repeated, joined, asked about."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from sparkplug.schema.agent_spec import AgentName
from sparkplug.schema.base import Document
from sparkplug.schema.units import Seconds

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
#: A name that templates of the step can use.
Variable = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,30}$")]

#: The most values a `map` goes over, and the most rounds of a `loop`.
MOST_ITEMS = 10_000
MOST_ROUNDS = 1_000

#: The ways a step's attempt can fail: no answer in time, an answer that says so, silence, and an
#: agent or planner that was lost more often than is simply made good.
Failure = Literal["timeout", "error", "idle", "lost"]

#: How many of what a step waits for must have come through: all, one, or a number.
Join = Literal["all", "any"] | Annotated[int, Field(ge=1, le=MOST_ITEMS)]


class Retry(Document):
    """How often a failed step is tried again, and how long each wait is (seconds)."""

    max: int = Field(0, ge=0, le=100, description="further attempts after the first")
    backoff: Seconds = 1.0
    factor: float = Field(2.0, ge=1.0, le=10.0)
    jitter: bool = True
    on: list[Failure] = Field(
        default_factory=lambda: list[Failure](("timeout", "error", "idle", "lost"))
    )
    match: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="of errors, only those that say one of these, in any case",
    )


class Fallback(Document):
    """What is done instead when all attempts have failed."""

    agent: AgentName | None = Field(None, description="this agent is asked the same")
    capability: str | None = Field(None, description="an agent with it is asked the same")
    step: StepId | None = Field(None, description="this step is run; its output is the output")
    plan: AgentName | None = Field(None, description="this plan is run, with `input` its inputs")
    input: dict[str, Any] | None = Field(
        None, description="inputs of the plan, templates; default: those of what failed"
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Fallback:
        given = [self.agent, self.capability, self.step, self.plan]
        if sum(one is not None for one in given) != 1:
            raise ValueError("a fallback is one of agent, capability, step or plan")
        return self


class PlanFallback(Document):
    """The plan that is run when this one has failed."""

    plan: AgentName
    input: dict[str, Any] | None = Field(
        None, description="its inputs, templates; default: those it has in common with this plan"
    )


class Breaker(Document):
    """Ask nobody who has just failed so often: attempts fail at once until `open` is over.

    Counted by each planner, for all runs that it works on, by agent or capability.
    """

    failures: int = Field(5, ge=1, le=1000, description="so many failures")
    within: Seconds = Field(60.0, gt=0, description="in this time open it")
    open: Seconds = Field(30.0, gt=0, description="then one attempt is let through")


class Slots(Document):
    """At most `limit` at once in the whole mesh, of all that give the same key."""

    key: str = Field(min_length=1, max_length=200, description="a template")
    limit: int = Field(1, ge=1, le=64)


class Budget(Document):
    """The most that may be spent; what would be begun after that fails."""

    seconds: Seconds | None = Field(None, gt=0, description="of agents' work, added up")
    tokens: int | None = Field(None, ge=1, description="as agents report them")


class Map(Document):
    """Do the step once for each value of a list; its output is the list of the outputs."""

    over: str | list[Any] = Field(description="the list, or a template that gives it")
    name: Variable = Field("item", alias="as", description="what templates call the value")
    concurrency: int = Field(8, ge=1, le=500, description="so many at once")
    join: Join = Field("all", description="how many must come through; others' outputs are null")

    model_config = Document.model_config | {"populate_by_name": True}


class Loop(Document):
    """Do the step again and again, at most `max` times; its output is that of the last round.

    The templates of the step can use `round` (from 1) and `last`, the output of the round before.
    """

    max: int = Field(ge=1, le=MOST_ROUNDS)
    until: str | None = Field(None, description="a template over `output`; true ends it")
    while_: str | None = Field(
        None, alias="while", description="a template over `output`; false ends it"
    )
    pause: Seconds = Field(0.0, description="between two rounds")

    model_config = Document.model_config | {"populate_by_name": True}


class Branch(Document):
    """One way on: taken when `when` is true; without it, when none before it was."""

    when: str | None = Field(None, description="a template")
    then: list[StepId] = Field(min_length=1, description="the steps that are run")


class Switch(Document):
    """The way on by the value of an expression."""

    on: str = Field(description="a template")
    cases: dict[str, list[StepId]] = Field(min_length=1, description="the steps, by the value")
    default: list[StepId] = Field(default_factory=list, description="when it is none of them")


class Human(Document):
    """A question to a person. Without a deadline it waits for ever, and reminds."""

    ask: str = Field(min_length=1, description="the question, a template")
    options: list[str] = Field(default_factory=list, max_length=50, description="to choose from")
    deadline: Seconds | None = Field(None, gt=0, description="how long a person has")
    default: Any = Field(None, description="the answer once that is over; none: the step fails")
    remind: Seconds = Field(4 * 3600.0, ge=1, description="so often it is told of again")

    @model_validator(mode="after")
    def _default_at_a_deadline(self) -> Human:
        if self.default is not None and self.deadline is None:
            raise ValueError("a default is taken at a deadline: say how long a person has")
        if self.options and self.default is not None and self.default not in self.options:
            raise ValueError(f"the default is none of the options: {', '.join(self.options)}")
        return self


class Approval(Document):
    """A person says whether the step is done, and may change its input before."""

    ask: str | None = Field(None, description="the question, a template; default: what is asked")
    deadline: Seconds | None = Field(None, gt=0, description="how long a person has")
    default: Literal["approve", "reject"] = Field(
        "reject", description="what is taken once that is over"
    )
    remind: Seconds = Field(4 * 3600.0, ge=1, description="so often it is told of again")


def _approval(value: Any) -> Any:
    """`approve: human` is an approval with nothing said of it."""
    if value == "human":
        return {}
    if isinstance(value, str):
        raise ValueError("expected human, or keys: ask, deadline, default, remind")
    return value


Approve = Annotated[Approval, BeforeValidator(_approval)]


class Discover(Document):
    """The agents that are ready now: a list of `{name, capability, replicas}`."""

    capability: list[str] = Field(
        min_length=1, max_length=50, description="one each of those with any of these; templates"
    )
    least: int = Field(0, ge=0, le=500, description="fewer than this fail the step")
    most: int = Field(50, ge=1, le=500)


class Team(Document):
    """Agents that live as long as the run, or as a step says: started together, or removed.

    `start` are agents as in their files, templates anywhere in them; `override` is laid over each.
    `remove` takes the names away. An agent that was there before, and is not of this team, is
    never touched.
    """

    name: str = Field(min_length=1, max_length=200, description="of the team, a template")
    start: list[dict[str, Any]] = Field(default_factory=list, max_length=100)
    override: dict[str, Any] | str = Field(
        default_factory=dict, description="laid over each agent, or a template that gives it"
    )
    remove: bool = Field(False, description="remove the team's agents instead")

    @model_validator(mode="after")
    def _starts_or_removes(self) -> Team:
        if self.remove == bool(self.start):
            raise ValueError("a team is started, with agents, or removed")
        return self
