"""The ready set: which steps of a run may start now, and whether the run is over. Pure.

A step is ready when every step it waits for is done or skipped. A skipped dependency counts as
met, its output is null. After a failure nothing new starts: steps that already run finish, then
the run fails. LangGraph runs in lock-step supersteps and could not do this.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sparkplug.plans.templates import holds, variables
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import STEP_ENDED, RunState, RunView, StepState

_MET = frozenset({StepState.DONE, StepState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do next. `ended` with its `reason` when nothing is left to do."""

    start: list[str] = field(default_factory=list)
    skip: list[str] = field(default_factory=list)
    fail: dict[str, str] = field(default_factory=dict)
    ended: RunState | None = None
    reason: str | None = None


def decide(plan: Plan, view: RunView, busy: Collection[str]) -> Moves:
    """The next moves of a run; `busy` are the steps this planner is working on.

    A step that the view has as running, and that is not in `busy`, was left behind by an
    earlier planner: it is to be started again.
    """
    states = {step.id: step.state for step in view.steps}
    failed = [step for step in view.steps if step.state is StepState.FAILED]
    if failed:
        if busy:
            return Moves()
        reasons = "; ".join(f"step {step.id} failed: {step.error}" for step in failed)
        return Moves(ended=RunState.FAILED, reason=reasons)
    if all(state in STEP_ENDED for state in states.values()):
        return Moves(ended=RunState.DONE)
    graph = plan.dependencies()
    names = variables(view)
    moves = Moves()
    for step in plan.steps:
        state = states[step.id]
        if state in STEP_ENDED or step.id in busy:
            continue
        if not all(states[before] in _MET for before in graph[step.id]):
            continue
        try:
            wanted = step.when is None or holds(step.when, names, f"steps.{step.id}.when")
        except InvalidError as error:
            moves.fail[step.id] = str(error)
            continue
        (moves.start if wanted else moves.skip).append(step.id)
    return moves
