"""One thing to be done: a step, one value of a map, or one round of a loop.

Approved when it has to be, attempted until it comes through or has failed for good, stood in for
by its fallback then. All of it is in the journal, so that another planner goes on in the middle.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparkplug.bus import synadia as wire
from sparkplug.plans.attempt import IdleError, InterruptedAttemptError
from sparkplug.plans.breakers import BreakerOpenError
from sparkplug.plans.children import child_id
from sparkplug.plans.people import Asking, RejectedError, agents_outcome
from sparkplug.plans.performing import Outcome, perform
from sparkplug.plans.retry import delay
from sparkplug.plans.templates import render
from sparkplug.schema.errors import (
    CancelledRequestError,
    DeadlineError,
    InvalidError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.plan import Step
from sparkplug.schema.plan_policies import Failure
from sparkplug.schema.run import STEP_ENDED, StepBreaker, StepState, StepView

if TYPE_CHECKING:
    from sparkplug.plans.execution import Execution

#: So often an attempt that was cut short is simply made again; after that it counts as failed.
FREE_INTERRUPTIONS = 5
_INTERRUPTION_PAUSE_S = 0.2
_CHANCE = random.Random()  # noqa: S311  spreads retries, guards nothing
#: What another attempt would end the same way.
_FOR_GOOD = (
    InvalidError,
    RefusedError,
    CancelledRequestError,
    BreakerOpenError,
    RejectedError,
)
#: What is simply gone on with when a planner was lost: nobody was asked anything twice.
_GOES_ON = frozenset({"plan", "wait", "human"})


class Unit:
    """A step, or one value (`item`) of it, with the names that only its templates have."""

    def __init__(
        self,
        run: Execution,
        step: Step,
        item: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.run = run
        self.step = step
        self.item = item
        #: The key of the place that it stands in.
        self.holds: str | None = None
        #: Whether the attempt that is to be made is in the journal already.
        self.begun = False
        #: Whose circuit breaker holds for it, once that is known.
        self.whom = ""
        self._extra = dict(extra or {})

    @property
    def names(self) -> dict[str, Any]:
        """What its templates can name."""
        return {**self.run.names, **self._extra} if self._extra else self.run.names

    @property
    def view(self) -> StepView:
        """How it is; one that has not begun is as nothing had happened."""
        found = self.run.view.step(self.step.id, self.item)
        return found if found is not None else StepView(id=f"{self.step.id}[{self.item}]")

    @property
    def where(self) -> str:
        """Its place, for errors."""
        return f"steps.{self.step.id}"

    @property
    def path(self) -> str:
        """Its name in the run: `id`, or `id[3]`."""
        return self.step.id if self.item is None else f"{self.step.id}[{self.item}]"

    async def record(self, kind: str, **what: Any) -> None:
        """Store an entry of it."""
        await self.run.record(
            kind, step=self.step.id, item=self.item, breaker=self.breaker(), **what
        )

    def breaker(self) -> StepBreaker | None:
        """How its circuit breaker is; None when it has none, or has not come to it."""
        if self.step.breaker is None or not self.whom:
            return None
        return self.run.desk.breakers.told(self.whom, self.step.breaker, self.run.now())

    async def do(self) -> bool:
        """Do it to its end, which is in the journal then. Whether it came through."""
        if self.view.state in STEP_ENDED:
            return self.view.state is StepState.DONE
        try:
            outcome = await self._outcome()
            await self.run.record_output(
                "step-completed",
                outcome.output,
                step=self.step.id,
                item=self.item,
                attempt=self.view.attempts,
                agent=outcome.agent or None,
                tokens=outcome.tokens,
                breaker=self.breaker(),
            )
        except _GaveUpError as gave_up:
            await self.record(
                "step-failed",
                attempt=self.view.attempts,
                error=gave_up.message,
                tokens=gave_up.tokens,
            )
            return False
        except InvalidError as error:
            await self.record("step-failed", attempt=self.view.attempts, error=str(error))
            return False
        return True

    async def _outcome(self) -> Outcome:
        """What it gives in the end. Raises _GaveUpError."""
        view = self.view
        if view.fallback is not None and view.fallback != "instead" and view.child:
            return await self._stand_in("")
        if self.step.kind == "human" or self.step.approve is not None:
            asking = Asking(self)
            try:
                answered = await asking.answered()
            except RejectedError as error:
                return await self._give_up(error)
            if self.step.kind == "human":
                return Outcome(answered.value)
        if view.fallback == "instead":
            return await self._stand_in("")
        asked = self.view.question
        if self.view.state is StepState.WAITING and asked is not None and asked.kind == "agent":
            return await self._gone_on()
        if self.item is None and self.step.id in self.run.begun:
            self.run.begun.remove(self.step.id)
            self.begun = True
        left_behind = self.view.state is StepState.RUNNING and self.view.attempts > 0
        if left_behind and not self.begun and self.step.kind not in _GOES_ON:
            lost = InterruptedAttemptError("the planner was lost while the step ran")
            outcome = await self._after(lost, 0)
            if outcome is not None:
                return outcome
        return await self._attempts()

    async def _gone_on(self) -> Outcome:
        """An earlier planner saw the agent ask a person: what comes of that is the outcome."""
        try:
            said = await agents_outcome(self)
        except SparkplugError as error:
            stood_in = await self._after(error, 0)
            return stood_in if stood_in is not None else await self._attempts()
        return Outcome(said if self.step.action is None else wire.parsed(said))

    async def _attempts(self) -> Outcome:
        while True:
            await self.run.unpaused()
            outcome = Outcome()
            try:
                self._check_budget()
                return await perform(self, outcome)
            except SparkplugError as error:
                stood_in = await self._after(error, outcome.tokens)
                if stood_in is not None:
                    return stood_in

    def _check_budget(self) -> None:
        """Raise RefusedError when nothing more may be spent."""
        for what, budget, spent in (
            (f"step {self.step.id}", self.step.budget, self._spent),
            (f"plan {self.run.plan.name}", self.run.plan.budget, self.run.spent),
        ):
            if budget is None:
                continue
            seconds, tokens = spent()
            if budget.seconds is not None and seconds >= budget.seconds:
                raise RefusedError(
                    f"the budget of {what} is spent: {seconds:.1f} of {budget.seconds:g} s"
                )
            if budget.tokens is not None and tokens >= budget.tokens:
                raise RefusedError(
                    f"the budget of {what} is spent: {tokens} of {budget.tokens} tokens"
                )

    def _spent(self) -> tuple[float, int]:
        whole = self.run.view.step(self.step.id)
        return (whole.worked_seconds, whole.tokens) if whole is not None else (0.0, 0)

    async def _after(self, error: SparkplugError, tokens: int) -> Outcome | None:
        """Take note of an attempt that gave nothing. None, after a pause, to try it again;
        else what its fallback gave. Raises _GaveUpError."""
        view = self.view
        free = view.interruptions < FREE_INTERRUPTIONS
        interrupted = isinstance(error, InterruptedAttemptError) and free
        failures = view.attempts - view.interruptions - view.failures_at
        retry = self.step.retry
        if not interrupted and (not self._worth_it(error) or failures > retry.max):
            return await self._give_up(error, tokens)
        await self.record(
            "step-retried",
            attempt=view.attempts,
            error=str(error),
            interrupted=interrupted,
            tokens=tokens,
        )
        await asyncio.sleep(
            _INTERRUPTION_PAUSE_S if interrupted else delay(retry, max(1, failures), _CHANCE)
        )
        return None

    def _worth_it(self, error: SparkplugError) -> bool:
        """Whether another attempt could end otherwise, and the plan wants one."""
        if isinstance(error, _FOR_GOOD):
            return False
        retry = self.step.retry
        kind: Failure = "error"
        if isinstance(error, IdleError):
            kind = "idle"
        elif isinstance(error, DeadlineError):
            kind = "timeout"
        elif isinstance(error, InterruptedAttemptError):
            kind = "lost"
        if kind not in retry.on:
            return False
        said = str(error).lower()
        return kind != "error" or not retry.match or any(m.lower() in said for m in retry.match)

    async def _give_up(self, error: SparkplugError, tokens: int = 0) -> Outcome:
        """What the fallback gives. Raises _GaveUpError when there is none, or it failed too."""
        fallback = self.step.fallback
        if fallback is None or self.view.fallback is not None:
            raise _GaveUpError(str(error), tokens)
        agent = fallback.agent or fallback.capability
        child = None
        if fallback.plan is not None:
            child = child_id(fallback.plan, self.run.run_id, f"{self.path}/fallback", 0)
        await self.record(
            "step-fallback",
            attempt=self.view.attempts,
            agent=agent,
            child=child,
            error=str(error),
            tokens=tokens,
        )
        if agent is not None:
            return await self._attempts()
        return await self._stand_in(str(error))

    async def _stand_in(self, reason: str) -> Outcome:
        """Run the plan or the step that stands in, or go on with it."""
        fallback = self.step.fallback
        assert fallback is not None
        reason = reason or self.view.error or ""
        if fallback.step is not None:
            spare = self.run.plan.step(fallback.step)
            if not await Unit(self.run, spare).do():
                found = self.run.view.step(spare.id)
                raise _GaveUpError(f"{reason}; and {spare.id}: {found.error if found else ''}")
            found = self.run.view.step(spare.id)
            return Outcome(found.output if found else None)
        assert fallback.plan is not None
        names = {**self.names, "error": reason}
        if fallback.input is not None:
            inputs = render(fallback.input, names, f"{self.where}.fallback.input")
        else:
            known = self.run.plan.plans[fallback.plan].inputs
            given = render(self.step.input, names, f"{self.where}.input")
            inputs = {key: value for key, value in given.items() if key in known}
        try:
            child = self.view.child or ""
            output = await self.run.child(fallback.plan, inputs, child, self.path)
        except SparkplugError as error:
            raise _GaveUpError(f"{reason}; and the fallback: {error.message}") from error
        return Outcome(output)


class _GaveUpError(Exception):
    """It has failed for good, with this reason."""

    def __init__(self, message: str, tokens: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.tokens = tokens
