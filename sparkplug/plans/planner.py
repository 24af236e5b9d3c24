"""The planner: accepts runs, takes up those nobody works on, and ends each of them.

Every node has one. A run belongs to the planner that holds its lease; when that one is gone the
lease lapses and another replays the journal and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import follow_runs, read_journal
from sparkplug.bus.leases import Lease, while_held
from sparkplug.bus.service import Services
from sparkplug.clock import until_next
from sparkplug.plans.asking import answer, ask_cancel, ask_pause
from sparkplug.plans.attempt import Find
from sparkplug.plans.desk import Desk
from sparkplug.plans.execution import Execution
from sparkplug.plans.journal import JournalWriter, accept, first_entry
from sparkplug.plans.keeping import Keeping
from sparkplug.plans.past import shared_past
from sparkplug.plans.replicas import Replicas
from sparkplug.plans.schedules import Schedules
from sparkplug.plans.teller import Teller
from sparkplug.plans.waiting import Waiting
from sparkplug.schema.errors import (
    ConflictError,
    NoMeshError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.journal_fold import LAST_WORDS, fold
from sparkplug.schema.node import Nothing
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_check import check_plan
from sparkplug.schema.plan_inputs import checked_inputs
from sparkplug.schema.problems import invalid
from sparkplug.schema.run import (
    AnswerRequest,
    CancelRequest,
    JournalEntry,
    PauseRequest,
    ReplayRequest,
    Shared,
    SubmitReply,
    SubmitRequest,
)

log = logging.getLogger(__name__)

_QUEUE = "planner"
_LEASE_S = 3
_LOOK_S = 1.0
_RELEASE_DEADLINE_S = 1.0
# A run whose planner stumbled is not taken up again at once by the same one.
_REST_S = 5.0


class Planner:
    """The planner of one node, for at most `most` runs at once.

    `known_agents` says which agents exist in the mesh now, `find` who of them takes prompts;
    `compact` and `keep` are seconds after the end of a run, see `Keeping`.
    """

    def __init__(
        self,
        bus: Bus,
        node: str,
        *,
        known_agents: Callable[[], Awaitable[set[str]]],
        find: Find | None = None,
        most: int = 500,
        compact: float = 7 * 86400.0,
        keep: float = 30 * 86400.0,
    ) -> None:
        self._bus = bus
        self._node = node
        self._known_agents = known_agents
        self._most = most
        self._old = (compact, keep)
        self._desk = Desk(bus, node, Replicas(bus), find)
        self._holder = f"{node}.{secrets.token_hex(4)}"
        self._unfinished = Waiting()
        self._rest_until: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._executions: dict[str, Execution] = {}
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. Runs in hand are given back, for another planner to go on."""
        services = Services(self._bus)
        await services.serve(subjects.RUNS_SUBMIT, SubmitRequest, self._submit, queue=_QUEUE)
        await services.serve(subjects.RUNS_CANCEL, CancelRequest, self._cancel, queue=_QUEUE)
        await services.serve(subjects.RUNS_PAUSE, PauseRequest, self._pause, queue=_QUEUE)
        await services.serve(subjects.RUNS_ANSWER, AnswerRequest, self._answer, queue=_QUEUE)
        await services.serve(subjects.RUNS_REPLAY, ReplayRequest, self._replay, queue=_QUEUE)
        schedules = Schedules(self._bus, self._node, self._holder, self._known_agents)
        await schedules.serve(services)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._desk.replicas.run(), name="planner: replicas")
                group.create_task(self._follow(), name="planner: journal")
                group.create_task(Teller(self._bus, self._holder).run(), name="planner: teller")
                group.create_task(schedules.run(), name="planner: schedules")
                compact, keep = self._old
                keeping = Keeping(self._bus, self._holder, compact=compact, keep=keep)
                group.create_task(keeping.run(), name="planner: old runs")
                while True:
                    self._look.clear()
                    self._take_up(group)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(until_next(_LOOK_S)):
                            await self._look.wait()
        finally:
            await services.close()

    async def _submit(self, request: SubmitRequest) -> SubmitReply:
        """Accept a run: it is in the journal before this answers. Raises InvalidError."""
        plan = request.plan
        problems = check_plan(plan, await self._known_agents())
        if problems:
            raise invalid(problems)
        inputs = checked_inputs(plan, request.inputs)
        entry = JournalEntry(
            run="",
            kind="accepted",
            plan=plan,
            inputs=inputs,
            node=self._node,
            actor=request.actor,
            priority=request.priority,
        )
        return SubmitReply(run=await self._accept(entry, plan))

    async def _accept(self, entry: JournalEntry, plan: Plan) -> str:
        """Store it under an id that nobody has."""
        while True:
            entry.run = f"{plan.name}-{secrets.token_hex(4)}"
            try:
                await accept(self._bus, entry)
            except ConflictError:
                continue
            return entry.run

    async def _replay(self, request: ReplayRequest) -> SubmitReply:
        """Accept a run that shares the past of another.

        Raises NotFoundError, ConflictError when that one has not ended, InvalidError.
        """
        entries = await read_journal(self._bus, request.run)
        view = fold(entries)
        plan = entries[0].plan
        if plan is None:
            raise ConflictError("the run was compacted: its plan is no longer kept", where=view.id)
        past: Shared = shared_past(plan, view, request.start, request.edit)
        inputs = checked_inputs(plan, {**view.inputs, **request.inputs})
        entry = JournalEntry(
            run="",
            kind="accepted",
            plan=plan,
            inputs=inputs,
            node=self._node,
            actor=request.actor,
            past=past,
            priority=view.priority,
        )
        return SubmitReply(run=await self._accept(entry, plan))

    async def _pause(self, request: PauseRequest) -> Nothing:
        """Have nothing more begun in a run, or have it go on. Raises as `ask_pause`."""
        await ask_pause(self._bus, request.run, request.actor, resume=request.resume)
        return Nothing()

    async def _answer(self, request: AnswerRequest) -> Nothing:
        """Answer a step that waits for a person. Raises as `answer`."""
        await answer(self._bus, request)
        return Nothing()

    async def _cancel(self, request: CancelRequest) -> Nothing:
        """Have a run cancelled by whoever works on it. Raises NotFoundError, ConflictError."""
        await ask_cancel(self._bus, request.run, request.actor)
        return Nothing()

    async def _follow(self) -> None:
        """Keep track of what is unfinished, and hear of what others ask."""
        async for entry in follow_runs(self._bus):
            self._desk.endings.heard(entry)
            if entry.kind in LAST_WORDS:
                self._unfinished.drop(entry.run)
                self._rest_until.pop(entry.run, None)
                self._look.set()
                continue
            if self._unfinished.add(entry):
                self._look.set()
            execution = self._executions.get(entry.run)
            if execution is not None:
                execution.heard(entry)

    def _take_up(self, group: asyncio.TaskGroup) -> None:
        """Begin to work on what is unfinished and not in hand; its lease decides who may."""
        now = time.monotonic()
        for run in self._unfinished.in_turn():
            # What waits for a part of itself would wait for ever if that had to wait for it.
            if len(self._tasks) >= self._most and not self._unfinished.is_part(run):
                continue
            if run not in self._tasks and self._rest_until.get(run, 0.0) <= now:
                task = group.create_task(self._work(run), name=f"run {run}")
                self._tasks[run] = task
                task.add_done_callback(lambda _, run=run: self._done(run))  # type: ignore[misc]

    def _done(self, run: str) -> None:
        self._tasks.pop(run, None)
        if len(self._tasks) == self._most - 1:
            self._look.set()

    async def _work(self, run: str) -> None:
        """Work on one run, if its lease can be had, until it ends or is another's."""
        async with contextlib.AsyncExitStack() as stack:
            if not self._unfinished.knows(run):
                first = await first_entry(self._bus, run)
                if first is not None:
                    self._unfinished.learn(first)
            slots = self._unfinished.slots_of(run)
            if slots is not None:
                place = await self._desk.places.take_one(*slots)
                if place is None:
                    return
                stack.callback(self._look.set)
                stack.push_async_callback(place.leave)
            lease = Lease(self._bus, f"run.{run}", self._holder, _LEASE_S)
            if not await lease.acquire():
                return
            journal = JournalWriter(self._bus, run, lambda: lease.held)
            execution = self._executions[run] = Execution(self._desk, run, journal)
            try:
                await self._execute(run, lease, execution)
            finally:
                self._executions.pop(run, None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RELEASE_DEADLINE_S):
                        await lease.release()

    async def _execute(self, run: str, lease: Lease, execution: Execution) -> None:
        try:
            try:
                await while_held(lease, execution.run())
            except SparkplugError:
                raise
            except Exception as error:
                # A defect of the planner's own: the run still ends, with the reason.
                log.exception("run %s", run)
                await execution.fail(f"the planner failed: {type(error).__name__}: {error}")
        except NotFoundError as error:
            log.error("run %s cannot go on: %s", run, error)
        except (ConflictError, NoMeshError) as error:
            log.warning("run %s is let go: %s", run, error)
            return
        except SparkplugError as error:
            log.error("run %s has to wait: %s", run, error)
            self._rest_until[run] = time.monotonic() + _REST_S
            return
        self._unfinished.drop(run)
