"""One run, worked on under its lease until it ends, or until another planner must go on."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.plans.attempt import Ask, InterruptedAttemptError, attempt
from sparkplug.plans.journal import JournalWriter, check_size
from sparkplug.plans.replicas import Replicas
from sparkplug.plans.retry import delay
from sparkplug.plans.scheduler import decide
from sparkplug.plans.templates import render, render_text, variables
from sparkplug.schema.errors import (
    CancelledRequestError,
    DeadlineError,
    InvalidError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.journal_fold import advance, fold
from sparkplug.schema.plan import Plan, Step
from sparkplug.schema.run import (
    RUN_ENDED,
    JournalEntry,
    RunState,
    RunView,
    StepState,
    StepView,
)

log = logging.getLogger(__name__)

#: So often an attempt that was cut short is simply made again; after that it counts as failed.
FREE_INTERRUPTIONS = 5
_INTERRUPTION_PAUSE_S = 0.2


class Execution:
    """The work on one run."""

    def __init__(
        self,
        bus: Bus,
        run: str,
        *,
        node: str,
        events: EventLog,
        replicas: Replicas,
        journal: JournalWriter,
    ) -> None:
        self._bus = bus
        self._run = run
        self._node = node
        self._events = events
        self._replicas = replicas
        self._journal = journal
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._cancelled_by: str | None = None
        self._chance = random.Random()  # noqa: S311  spreads retries, guards nothing
        self._view: RunView
        self._plan: Plan

    def cancel(self, actor: str) -> None:
        """Stop what runs and end the run as cancelled."""
        self._cancelled_by = actor or "somebody"
        self._changed.set()

    async def run(self) -> None:
        """Work until the run has ended.

        Raises ConflictError when another planner has it, NoMeshError when cut off from the
        journal, and SparkplugError when the journal does not take what happened.
        """
        entries = await self._journal.open()
        self._view = fold(entries)
        plan = entries[0].plan
        if plan is None or self._view.state in RUN_ENDED:
            return
        self._plan = plan
        for entry in entries:
            if entry.kind == "cancel-asked":
                self.cancel(entry.actor)
        await self._begin()
        limit = asyncio.timeout(self._time_left(entries))
        try:
            async with limit:
                state, reason = await self._steps()
        except ExceptionGroup as group:
            raise _first(group) from group
        except TimeoutError:
            if not limit.expired():
                raise
            state, reason = RunState.FAILED, f"the plan took longer than {plan.timeout:g} s"
        await self._end(state, reason)

    async def fail(self, reason: str) -> None:
        """End the run as failed."""
        await self._end(RunState.FAILED, reason)

    async def _begin(self) -> None:
        fresh = self._view.state is RunState.ACCEPTED
        await self._record("started" if fresh else "resumed")
        self._emit("plan:started" if fresh else "plan:resumed", plan=self._plan.name)

    def _time_left(self, entries: Sequence[JournalEntry]) -> float:
        """Seconds of the plan's timeout that are left, counted from its start.

        Both times are the server's, so that a planner with another clock agrees.
        """
        started = next((entry.time for entry in entries if entry.kind == "started"), None)
        if started is None or self._journal.opened is None:
            return self._plan.timeout
        return self._plan.timeout - (self._journal.opened - started).total_seconds()

    async def _steps(self) -> tuple[RunState, str | None]:
        """Start what is ready until nothing is left."""
        busy: dict[str, asyncio.Task[None]] = {}
        by_id = {step.id: step for step in self._plan.steps}
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                if self._cancelled_by is not None:
                    for task in busy.values():
                        task.cancel()
                    return RunState.CANCELLED, f"cancelled by {self._cancelled_by}"
                moves = decide(self._plan, self._view, busy)
                if moves.ended is not None:
                    return moves.ended, moves.reason
                for name in moves.skip:
                    await self._record("step-skipped", step=name)
                    self._emit("step:skipped", name)
                for name, error in moves.fail.items():
                    await self._fail_step(name, error)
                if moves.skip or moves.fail:
                    continue
                for name in moves.start:
                    task = group.create_task(self._work(by_id[name]), name=f"{self._run}/{name}")
                    busy[name] = task
                    task.add_done_callback(lambda _, name=name: self._done(busy, name))  # type: ignore[misc]
                await self._changed.wait()

    def _done(self, busy: dict[str, asyncio.Task[None]], name: str) -> None:
        busy.pop(name, None)
        self._changed.set()

    async def _work(self, step: Step) -> None:
        """Try a step until it is done or has failed for good."""
        view = self._step(step.id)
        if view.state is StepState.RUNNING:
            left = InterruptedAttemptError("the planner was lost while the step ran")
            if not await self._try_again(step, left):
                return
        while True:
            number = view.attempts + 1
            await self._record("step-started", step=step.id, attempt=number, agent=step.agent)
            self._emit("step:started", step.id, attempt=number)
            try:
                ask = self._ask(step, number)
                output, agent = await attempt(self._bus, self._replicas, ask)
                check_size(output, "the output")
            except SparkplugError as error:
                if not await self._try_again(step, error):
                    return
                continue
            await self._record(
                "step-completed", step=step.id, attempt=number, agent=agent, output=output
            )
            self._emit("step:completed", step.id, attempt=number, agent=agent)
            return

    def _ask(self, step: Step, number: int) -> Ask:
        """What the step asks now. Raises InvalidError when a template of it does not hold."""
        names = variables(self._view)
        where = f"steps.{step.id}"
        return Ask(
            agent=step.agent,
            capability=step.capability,
            action=step.action,
            prompt=render_text(step.prompt or "", names, f"{where}.prompt"),
            timeout=step.timeout,
            input=render(step.input, names, f"{where}.input"),
            context={
                "run": self._run,
                "step": step.id,
                "attempt": number,
                "key": f"{self._run}/{step.id}",
            },
        )

    async def _try_again(self, step: Step, error: SparkplugError) -> bool:
        """Take note of an attempt that gave nothing. True, after a pause, to try it again."""
        view = self._step(step.id)
        free = view.interruptions < FREE_INTERRUPTIONS
        interrupted = isinstance(error, InterruptedAttemptError) and free
        failures = view.attempts - view.interruptions
        if not interrupted and (not _worth_it(step, error) or failures > step.retry.max):
            await self._fail_step(step.id, str(error), attempt=view.attempts)
            return False
        await self._record(
            "step-retried",
            step=step.id,
            attempt=view.attempts,
            error=str(error),
            interrupted=interrupted,
        )
        self._emit("step:retried", step.id, attempt=view.attempts, error=str(error))
        await asyncio.sleep(
            _INTERRUPTION_PAUSE_S if interrupted else delay(step.retry, failures, self._chance)
        )
        return True

    async def _fail_step(self, name: str, error: str, attempt: int = 0) -> None:
        await self._record("step-failed", step=name, attempt=attempt, error=error)
        self._emit("step:failed", name, error=error)

    async def _end(self, state: RunState, reason: str | None) -> None:
        output: Any = None
        if state is RunState.DONE:
            try:
                output = self._output()
                check_size(output, "the output of the plan")
            except InvalidError as error:
                state, reason, output = RunState.FAILED, str(error), None
        match state:
            case RunState.DONE:
                await self._record("completed", output=output)
                self._emit("plan:completed", plan=self._plan.name)
            case RunState.CANCELLED:
                await self._record("cancelled", error=reason)
                self._emit("plan:cancelled", plan=self._plan.name, reason=reason)
            case _:
                await self._record("failed", error=reason)
                self._emit("plan:failed", plan=self._plan.name, error=reason)

    def _output(self) -> Any:
        if self._plan.output is not None:
            return render(self._plan.output, variables(self._view), "output")
        return self._view.steps[-1].output

    def _step(self, name: str) -> StepView:
        return next(step for step in self._view.steps if step.id == name)

    async def _record(self, kind: Any, **what: Any) -> None:
        """Store an entry, then take it into the view: never the other way round."""
        entry = JournalEntry(run=self._run, kind=kind, node=self._node, **what)
        async with self._writing:
            await self._journal.write(entry)
            advance(self._view, entry)

    def _emit(self, name: str, step: str = "", **data: object) -> None:
        self._events.emit(name, f"{self._run}/{step}" if step else self._run, data=data)


def _worth_it(step: Step, error: SparkplugError) -> bool:
    """Whether another attempt could end otherwise, and the plan wants one."""
    if isinstance(error, InvalidError | RefusedError | CancelledRequestError):
        return False
    return ("timeout" if isinstance(error, DeadlineError) else "error") in step.retry.on


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
