"""One run, worked on under its lease until it ends, or until another planner must go on."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sparkplug.plans import showing
from sparkplug.plans.asking import answer as leave_answer
from sparkplug.plans.asking import ask_cancel
from sparkplug.plans.children import child_output, start_child
from sparkplug.plans.desk import Desk
from sparkplug.plans.ending import end_run
from sparkplug.plans.journal import JournalWriter
from sparkplug.plans.past import copy_past
from sparkplug.plans.repeated import do_step
from sparkplug.plans.run_clock import RunClock
from sparkplug.plans.scheduler import Moves, Scheduler
from sparkplug.plans.slots import held_with
from sparkplug.plans.templates import shown, variables
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.journal_fold import advance, fold
from sparkplug.schema.plan import Plan, Step
from sparkplug.schema.run import (
    RUN_ENDED,
    STEP_ENDED,
    AnswerRequest,
    JournalEntry,
    Parent,
    RunState,
    RunView,
    StepState,
)

log = logging.getLogger(__name__)

#: What others than the run's planner leave in its journal.
_ASKED = frozenset({"cancel-asked", "pause-asked", "resume-asked", "step-answered"})


#: So many steps begin in one entry with the end of another; a message has room for so many.
_MOST_TOGETHER = 64


class Execution:
    """The work on one run: what its steps work with, too."""

    def __init__(self, desk: Desk, run: str, journal: JournalWriter) -> None:
        self.desk = desk
        self.run_id = run
        self.view: RunView
        self.plan: Plan
        self.names: dict[str, Any]
        self._journal = journal
        self._scheduler: Scheduler
        self._changed = asyncio.Event()
        self._moved = asyncio.Condition()
        self._heard: deque[JournalEntry] | None = deque()
        #: Outputs on their way into the object store, by their name there.
        self._full: dict[str, Any] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._busy: dict[str, asyncio.Task[None]] = {}
        #: Steps whose first attempt is in the journal, and is still to be made.
        self.begun: set[str] = set()
        self._ending: tuple[RunState, str] | None = None
        self._clock = RunClock(utc_now())

    async def run(self) -> None:
        """Work until the run has ended.

        Raises ConflictError when another planner has it, NoMeshError when cut off from the
        journal, and SparkplugError when the journal does not take what happened.
        """
        entries = await self._journal.open()
        self.view = fold(entries)
        self._clock = RunClock(self._journal.opened or utc_now())
        if entries[0].plan is None or self.view.state in RUN_ENDED:
            return
        self.plan = entries[0].plan
        self._take_heard(entries[-1].sequence)
        await self._load_stored()
        self.names = variables(self.view)
        self._scheduler = Scheduler(self.plan, self.view)
        self.desk.breakers.learn(self.plan, entries, self.now(), self.desk.node)
        for entry in entries:
            if entry.kind == "cancel-asked":
                self._cancelled(entry)
        if self.view.ending is not None and self._ending is None:
            self._ending = (self.view.ending, self.view.error or "")
        await self._begin()
        self._clock.used_before(self.view.worked_seconds)
        self._tick()
        try:
            state, reason = await self._steps()
        except ExceptionGroup as group:
            raise _first(group) from group
        open_questions = [asked for _, asked in self.view.questions]
        await end_run(self, state, reason)
        for asked in open_questions:
            await showing.over(self.desk.bus, asked, None)

    async def fail(self, reason: str) -> None:
        """End the run as failed."""
        await self.record("failed", error=reason)

    def heard(self, entry: JournalEntry) -> None:
        """An entry of this run was stored, by us or by somebody else."""
        if entry.kind not in _ASKED:
            return
        if self._heard is not None:
            self._heard.append(entry)
            return
        advance(self.view, entry)
        if entry.kind == "cancel-asked":
            self._cancelled(entry)
        elif entry.step is not None:
            self._took(entry.step)
        self._tick()
        self._changed.set()
        self._tell_moved()

    # What steps work with.

    def now(self) -> datetime:
        """The time by the server's clock, as far as it is known."""
        return self._clock.now()

    async def record(self, kind: Any, **what: Any) -> None:
        """Store an entry, then take it into the view: never the other way round."""
        now = self.now()
        entry = JournalEntry(run=self.run_id, kind=kind, node=self.desk.node, time=now, **what)
        entry.then = entries = self._then(entry)
        stored = what.get("stored")
        await self._journal.write(entry)
        self.begun.update(one.step for one in entries if one.step is not None)
        if stored is not None:
            entry = entry.model_copy(update={"output": self._full.pop(stored, None)})
        for one in (entry, *entries):
            advance(self.view, one)
            if one.step is not None:
                self._took(one.step)
        self._tick()

    def _then(self, entry: JournalEntry) -> list[JournalEntry]:
        """The steps that begin with the end of another: their beginnings are stored with it, with
        one sync for both."""
        if entry.kind != "step-completed" or entry.item is not None or entry.step is None:
            return []
        if self.view.paused or self._ending is not None:
            return []
        names = self._scheduler.goes_on_with(entry.step)[:_MOST_TOGETHER]
        return [
            JournalEntry(
                run=self.run_id,
                kind="step-started",
                step=name,
                attempt=1,
                agent=self.plan.step(name).agent,
                node=self.desk.node,
                time=entry.time,
            )
            for name in names
        ]

    async def record_output(self, kind: Any, output: Any, **what: Any) -> None:
        """Store an entry with an output of any size. Raises InvalidError when it is too large."""
        name = "/".join(
            str(part)
            for part in ("runs", self.run_id, what.get("step", ""), what.get("item", ""), kind)
        )
        inline, stored = await self.desk.results.keep(name, output)
        if stored is None:
            await self.record(kind, output=inline, **what)
        else:
            self._full[stored] = output
            await self.record(kind, stored=stored, **what)

    async def moved(self, timeout: float | None = None) -> None:
        """Wait until somebody answered, paused or resumed; at most `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait()
        except TimeoutError:
            return

    async def unpaused(self) -> None:
        """Wait while the run is paused."""
        while self.view.paused:
            await self.moved()

    async def answer(self, request: AnswerRequest) -> None:
        """Answer a question of this run, as its deadline does."""
        await leave_answer(self.desk.bus, request, how="default")

    async def answer_as_person(self, request: AnswerRequest) -> None:
        """Answer a question of this run, as somebody did among the questions of the mesh."""
        await leave_answer(self.desk.bus, request)

    async def child(
        self,
        name: str,
        inputs: Mapping[str, Any],
        child: str,
        step: str,
        holds: str | None = None,
    ) -> Any:
        """Run a plan as a part of this run, or go on waiting for it; its output.

        `holds` is the key of the place that the step stands in.
        """
        plan = self.plan.plans[name]
        whole = plan.model_copy(update={"plans": {**self.plan.plans, **plan.plans}})
        parent = self.view.parent
        await start_child(
            self.desk.bus,
            child,
            whole,
            dict(inputs),
            Parent(
                run=self.run_id,
                step=step,
                depth=(parent.depth if parent else 0) + 1,
                holds=held_with(self.view, self.plan, step, holds),
            ),
            node=self.desk.node,
            actor=self.view.actor,
        )
        ended = await self.desk.endings.of(self.desk.bus, child)
        return await child_output(ended, self.desk.results)

    async def cancel_child(self, child: str) -> None:
        """Ask that a run which is part of this one be cancelled; one that has ended has ended."""
        try:
            await ask_cancel(self.desk.bus, child, f"run {self.run_id}")
        except SparkplugError as error:
            log.debug("run %s of %s: %s", child, self.run_id, error)

    @property
    def cancelled(self) -> str | None:
        """Why the run is cancelled, once somebody has asked that it be."""
        ending = self._ending
        return ending[1] if ending is not None and ending[0] is RunState.CANCELLED else None

    async def until_cancelled(self) -> None:
        """Wait until somebody asks that the run be cancelled."""
        while self.cancelled is None:
            self._changed.clear()
            await self._changed.wait()

    def spent(self) -> tuple[float, int]:
        """Seconds of agents' work, and tokens, that the run has used."""
        return (
            sum(step.worked_seconds for step in self.view.steps),
            sum(step.tokens for step in self.view.steps),
        )

    # The run itself.

    def _take_heard(self, read: int) -> None:
        """What was heard while the journal was being read, and is not in what was read."""
        heard, self._heard = self._heard or deque(), None
        for entry in heard:
            if entry.sequence > read:
                advance(self.view, entry)
                if entry.kind == "cancel-asked":
                    self._cancelled(entry)

    async def _load_stored(self) -> None:
        """Outputs that are stored apart are what templates read."""
        for step in self.view.steps:
            for one in (step, *step.items):
                if one.stored is not None and one.state is StepState.DONE:
                    one.output = await self.desk.results.read(one.stored)

    async def _begin(self) -> None:
        fresh = self.view.state is RunState.ACCEPTED
        if fresh and self.view.past is not None:
            await copy_past(self, self.view.past)
        await self.record("started" if fresh else "resumed")

    def _cancelled(self, entry: JournalEntry) -> None:
        if self._ending is None or self._ending[0] is not RunState.CANCELLED:
            self._ending = (RunState.CANCELLED, f"cancelled by {entry.actor or 'somebody'}")

    def _took(self, name: str) -> None:
        """A step has changed: templates and the ready set see it."""
        step = self.view.step(name)
        if step is None:
            return
        if step.state in STEP_ENDED or step.state is StepState.RUNNING:
            self.names["steps"][name] = shown(step)
        self._scheduler.touch(name)
        if step.state in STEP_ENDED:
            self._changed.set()

    def _tick(self) -> None:
        """Keep the plan's clock: it goes while the run is worked on."""
        if self._clock.turn(on=self.view.state is RunState.RUNNING):
            self._changed.set()  # what waits for the plan's time to be over looks again

    def _left(self) -> float | None:
        """Seconds of the plan's timeout that are left; None while its clock stands."""
        self._tick()
        if not self._clock.goes or self._ending is not None:
            return None
        return max(0.0, self.plan.timeout - self._clock.used())

    def _tell_moved(self) -> None:
        async def tell() -> None:
            async with self._moved:
                self._moved.notify_all()

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _steps(self) -> tuple[RunState, str | None]:
        """Start what is ready until nothing is left."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                if self._ending is not None:
                    await self._stop_busy()
                moves = self._moves()
                if moves.ended is not None:
                    if self._ending is not None:
                        return self._ending
                    return moves.ended, moves.reason
                if await self._skip_and_fail(moves):
                    continue
                for name in moves.start:
                    self._start(group, self.plan.step(name))
                try:
                    async with asyncio.timeout(self._left()):
                        await self._changed.wait()
                except TimeoutError:
                    reason = f"the plan took longer than {self.plan.timeout:g} s"
                    self._ending = (RunState.FAILED, reason)

    def _moves(self) -> Moves:
        ending = self._ending is not None
        if self.view.paused and not ending and self._scheduler.failure() is None:
            return Moves()
        return self._scheduler.decide(self._busy, self.names, ending=ending)

    async def _stop_busy(self) -> None:
        """The run is to end: what runs is cancelled, and what it runs elsewhere."""
        stopped = [t for name, t in self._busy.items() if not self.plan.step(name).always]
        for task in stopped:
            task.cancel()
        if stopped:
            await asyncio.wait(stopped)
            for task in stopped:
                if not task.cancelled() and task.exception() is not None:
                    await task  # cut off, or no longer ours: that ends the work here
        for one in (one for step in self.view.steps for one in (step, *step.items)):
            if one.child is not None and one.state not in STEP_ENDED:
                await self.cancel_child(one.child)
                one.child = None
        if self.view.ending is None and any(step.always for step in self.plan.steps):
            assert self._ending is not None
            state, reason = self._ending
            await self.record("ending", error=reason, interrupted=state is RunState.CANCELLED)

    async def _skip_and_fail(self, moves: Moves) -> bool:
        for name in moves.skip:
            await self.record("step-skipped", step=name)
        for name in moves.unchosen:
            await self.record("step-skipped", step=name, unchosen=True)
        for name, error in moves.fail.items():
            await self.record("step-failed", step=name, error=error)
        for name in moves.start if moves.skip or moves.unchosen or moves.fail else ():
            self._scheduler.touch(name)
        return bool(moves.skip or moves.unchosen or moves.fail)

    def _start(self, group: asyncio.TaskGroup, step: Step) -> None:
        task = group.create_task(do_step(self, step), name=f"{self.run_id}/{step.id}")
        self._busy[step.id] = task

        def done(_: asyncio.Task[None], name: str = step.id) -> None:
            self._busy.pop(name, None)
            self._changed.set()

        task.add_done_callback(done)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
