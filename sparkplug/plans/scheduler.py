"""The ready set: which steps of a run may start now, and whether the run is over. Pure.

A step is ready when of what it waits for so many have come through as its `join` asks. A skipped
dependency counts as met, its output is null; a step of a way that was not chosen is skipped, and
so is one that waits for such steps only. After a failure nothing new starts: steps that already
run finish, those that are run `always` are, then the run fails. LangGraph runs in lock-step
supersteps and could not do this.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparkplug.plans.templates import holds, variables
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.plan import Plan, Step
from sparkplug.schema.run import STEP_ENDED, RunState, RunView, StepState, StepView

_MET = frozenset({StepState.DONE, StepState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do next. `ended` with its `reason` when nothing is left to do.

    `unchosen` are steps to be skipped since another way was taken.
    """

    start: list[str] = field(default_factory=list)
    skip: list[str] = field(default_factory=list)
    unchosen: list[str] = field(default_factory=list)
    fail: dict[str, str] = field(default_factory=dict)
    ended: RunState | None = None
    reason: str | None = None


def decide(plan: Plan, view: RunView, busy: Collection[str]) -> Moves:
    """The next moves of a run; `busy` are the steps this planner is working on.

    A step that the view has as running, and that is not in `busy`, was left behind by an
    earlier planner: it is to be started again.
    """
    return Scheduler(plan, view).decide(busy, variables(view))


class Scheduler:
    """The ready set of one run. Looks again only at what waits for a step that was `touched`."""

    def __init__(self, plan: Plan, view: RunView) -> None:
        self._plan = plan
        self._view = view
        self._graph = plan.dependencies()
        self._order = {step.id: number for number, step in enumerate(plan.steps)}
        self._after: dict[str, list[str]] = {name: [] for name in self._graph}
        for name, waits in self._graph.items():
            for before in waits:
                self._after.setdefault(before, []).append(name)
        self._spare_of = {
            step.fallback.step: step.id
            for step in plan.steps
            if step.fallback is not None and step.fallback.step is not None
        }
        self._choosers: dict[str, list[str]] = {}
        for step in plan.steps:
            for name in step.ways:
                self._choosers.setdefault(name, []).append(step.id)
        chosen = {*self._choosers, *self._spare_of}
        self._plain = {
            step.id
            for step in plan.steps
            if plan.strategy != "conditional" and step.id not in chosen and _is_plain(plan, step)
        }
        self._open = {s.id for s in view.steps if s.state not in STEP_ENDED}
        self._fatal = {s.id for s in view.steps if self._is_fatal(s)}
        self._look = set(self._open)

    def touch(self, name: str) -> None:
        """A step has changed."""
        step = self._step(name)
        if step.state in STEP_ENDED:
            self._open.discard(name)
            if self._is_fatal(step):
                self._fatal.add(name)
            self._look.update(self._after[name])
        else:
            self._look.add(name)

    def goes_on_with(self, name: str) -> list[str]:
        """The steps that begin as soon as this one, which is not done yet, is.

        Only those that then ask an agent at once, whatever it gives: no other way is to be chosen,
        nothing is to be looked at or waited for.
        """
        if self._fatal:
            return []
        return [
            after
            for after in self._after[name]
            if after in self._plain
            and self._state(after) is StepState.PENDING
            and all(self._state(one) in _MET for one in self._graph[after] if one != name)
        ]

    def failure(self) -> str | None:
        """Why the run fails, when it does."""
        if not self._fatal:
            return None
        failed = [step for step in self._view.steps if step.id in self._fatal]
        return "; ".join(f"step {step.id} failed: {step.error}" for step in failed)

    def decide(
        self,
        busy: Collection[str],
        names: Mapping[str, Any],
        *,
        ending: bool = False,
    ) -> Moves:
        """The next moves. With `ending` the run is to end early: only clean-up is begun."""
        reason = self.failure()
        if ending or reason is not None:
            if any(not self._plan.step(name).always for name in busy):
                return Moves()
            last = [n for n in self._in_order(self._open) if self._plan.step(n).always]
            moves = Moves()
            for name in last:
                if name not in busy and self._cleared(name):
                    self._judge(self._plan.step(name), names, moves)
            if last or busy:
                return moves
            return Moves(ended=RunState.FAILED, reason=reason)
        if not self._open:
            return Moves(ended=RunState.DONE)
        moves = Moves()
        for name in self._in_order(self._look):
            if name not in self._open or name in busy:
                continue
            step = self._plan.step(name)
            match self._ready(step):
                case "yes":
                    self._judge(step, names, moves)
                case "unchosen":
                    moves.unchosen.append(name)
                case "skip":
                    moves.skip.append(name)
                case "fail":
                    moves.fail[name] = self._too_few(step)
                case _:
                    pass
        self._look.clear()
        return moves

    def _in_order(self, names: Collection[str]) -> list[str]:
        return sorted(names, key=self._order.__getitem__)

    def _step(self, name: str) -> StepView:
        step = self._view.step(name)
        assert step is not None
        return step

    def _state(self, name: str) -> StepState:
        return self._step(name).state

    def _is_fatal(self, step: StepView) -> bool:
        """Whether the run fails for a step's failure: not when it is optional, nor when all that
        wait for it can do without, nor when it only stood in and is told of there."""
        if step.state is not StepState.FAILED or self._plan.step(step.id).optional:
            return False
        waiting = [n for n in self._after[step.id] if not self._plan.step(n).always]
        named = [n for n in waiting if step.id in self._plan.step(n).depends_on]
        return not (named and all(self._plan.step(name).join != "all" for name in named))

    def _cleared(self, name: str) -> bool:
        """Of a step that is run always, while the run ends: what it waits for is over."""
        return all(
            self._state(before) in STEP_ENDED or not self._plan.step(before).always
            for before in self._graph[name]
        )

    def _ready(self, step: Step) -> str:
        """`yes`, `no`, `skip`, `unchosen` or `fail`."""
        if self._state(step.id) in (StepState.RUNNING, StepState.WAITING):
            return "yes"  # begun by an earlier planner
        waits = self._graph[step.id]
        if step.always:
            return "yes" if all(self._state(name) in STEP_ENDED for name in waits) else "no"
        owner = self._spare_of.get(step.id)
        if owner is not None:
            # Whoever it stands in for runs it; when that came through it was not needed.
            return "unchosen" if self._state(owner) in STEP_ENDED else "no"
        way = self._chosen(step.id)
        if way != "yes":
            return way
        if self._plan.strategy == "conditional" and waits:
            before = self._step(waits[0])
            if before.state not in STEP_ENDED:
                return "no"
            taken = before.state is not StepState.SKIPPED or before.unchosen
            return "unchosen" if taken else "yes"
        if step.join != "all":
            return self._joined(step)
        if any(self._state(name) not in STEP_ENDED for name in waits):
            return "no"
        if waits and all(self._step(name).unchosen for name in waits):
            return "unchosen"
        return "yes" if all(self._met(name) for name in waits) else "no"

    def _met(self, name: str) -> bool:
        state = self._state(name)
        return state in _MET or (state is StepState.FAILED and self._plan.step(name).optional)

    def _chosen(self, name: str) -> str:
        """Whether the way that a step is on was taken, by one of those that choose it."""
        choosers = self._choosers.get(name)
        if not choosers:
            return "yes"
        states = [self._step(chooser) for chooser in choosers]
        for chooser in states:
            output = chooser.output
            if isinstance(output, dict) and name in (output.get("then") or ()):
                return "yes"
        return "unchosen" if all(one.state in STEP_ENDED for one in states) else "no"

    def _joined(self, step: Step) -> str:
        states = [self._state(name) for name in step.depends_on]
        need = 1 if step.join == "any" else int(step.join)
        if sum(state is StepState.DONE for state in states) >= need:
            return "yes"
        if any(state not in STEP_ENDED for state in states):
            return "no"
        return "fail" if StepState.FAILED in states else "unchosen"

    def _too_few(self, step: Step) -> str:
        done = sum(self._state(name) is StepState.DONE for name in step.depends_on)
        need = 1 if step.join == "any" else step.join
        return f"{done} of {len(step.depends_on)} came through, it needs {need}"

    def _judge(self, step: Step, names: Mapping[str, Any], moves: Moves) -> None:
        if self._state(step.id) in (StepState.RUNNING, StepState.WAITING):
            moves.start.append(step.id)
            return
        try:
            wanted = step.when is None or holds(step.when, names, f"steps.{step.id}.when")
        except InvalidError as error:
            moves.fail[step.id] = str(error)
            return
        (moves.start if wanted else moves.skip).append(step.id)


def _is_plain(plan: Plan, step: Step) -> bool:
    """Whether a step asks an agent as soon as all that it waits for is over."""
    first = (
        *(step.when, step.map, step.loop, step.approve),
        *(step.breaker, step.concurrency, step.budget, plan.budget),
    )
    named = step.agent is None or "{" not in step.agent
    asks = step.kind == "agent" and named and not step.always and step.join == "all"
    return asks and all(one is None for one in first)
