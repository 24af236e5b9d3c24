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
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.journal import follow_runs
from sparkplug.bus.leases import Lease, while_held
from sparkplug.bus.service import Services
from sparkplug.plans.execution import Execution
from sparkplug.plans.journal import JournalWriter, accept, ask_cancel
from sparkplug.plans.replicas import Replicas
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NoMeshError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.journal_fold import LAST_WORDS
from sparkplug.schema.node import Nothing
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_check import check_plan
from sparkplug.schema.problems import did_you_mean, invalid
from sparkplug.schema.run import CancelRequest, JournalEntry, SubmitReply, SubmitRequest

log = logging.getLogger(__name__)

_QUEUE = "planner"
_LEASE_S = 3
_LOOK_S = 1.0
_RELEASE_DEADLINE_S = 1.0
# A run whose planner stumbled is not taken up again at once by the same one.
_REST_S = 5.0


class Planner:
    """The planner of one node. `known_agents` says which agents exist in the mesh now."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        events: EventLog,
        *,
        known_agents: Callable[[], Awaitable[set[str]]],
    ) -> None:
        self._bus = bus
        self._node = node
        self._events = events
        self._known_agents = known_agents
        self._replicas = Replicas(bus)
        self._holder = f"{node}.{secrets.token_hex(4)}"
        self._unfinished: dict[str, None] = {}
        self._rest_until: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._executions: dict[str, Execution] = {}
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. Runs in hand are given back, for another planner to go on."""
        services = Services(self._bus)
        await services.serve(subjects.RUNS_SUBMIT, SubmitRequest, self._submit, queue=_QUEUE)
        await services.serve(subjects.RUNS_CANCEL, CancelRequest, self._cancel, queue=_QUEUE)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._replicas.run(), name="planner: replicas")
                group.create_task(self._follow(), name="planner: journal")
                while True:
                    self._look.clear()
                    self._take_up(group)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_S):
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
        while True:
            run = f"{plan.name}-{secrets.token_hex(4)}"
            entry = JournalEntry(
                run=run,
                kind="accepted",
                plan=plan,
                inputs=inputs,
                node=self._node,
                actor=request.actor,
            )
            try:
                await accept(self._bus, entry)
            except ConflictError:
                continue
            break
        self._events.emit("plan:accepted", run, actor=request.actor, data={"plan": plan.name})
        return SubmitReply(run=run)

    async def _cancel(self, request: CancelRequest) -> Nothing:
        """Have a run cancelled by whoever works on it. Raises NotFoundError, ConflictError."""
        await ask_cancel(self._bus, request.run, request.actor)
        return Nothing()

    async def _follow(self) -> None:
        """Keep track of what is unfinished, and hear of cancels."""
        async for entry in follow_runs(self._bus):
            if entry.kind in LAST_WORDS:
                self._unfinished.pop(entry.run, None)
                self._rest_until.pop(entry.run, None)
                continue
            fresh = entry.run not in self._unfinished
            self._unfinished[entry.run] = None
            execution = self._executions.get(entry.run)
            if entry.kind == "cancel-asked" and execution is not None:
                execution.cancel(entry.actor)
            elif fresh:
                self._look.set()

    def _take_up(self, group: asyncio.TaskGroup) -> None:
        """Begin to work on what is unfinished and not in hand; its lease decides who may."""
        now = time.monotonic()
        for run in self._unfinished:
            if run not in self._tasks and self._rest_until.get(run, 0.0) <= now:
                task = group.create_task(self._work(run), name=f"run {run}")
                self._tasks[run] = task
                task.add_done_callback(lambda _, run=run: self._tasks.pop(run, None))  # type: ignore[misc]

    async def _work(self, run: str) -> None:
        """Work on one run, if its lease can be had, until it ends or is another's."""
        lease = Lease(self._bus, f"run.{run}", self._holder, _LEASE_S)
        if not await lease.acquire():
            return
        execution = self._executions[run] = Execution(
            self._bus,
            run,
            node=self._node,
            events=self._events,
            replicas=self._replicas,
            journal=JournalWriter(self._bus, run, lambda: lease.held),
        )
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
        self._unfinished.pop(run, None)


def checked_inputs(plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a run: those given, and the defaults of the others.

    Raises InvalidError for an input the plan does not have, or one that is required and absent.
    """
    for name in given:
        if name not in plan.inputs:
            known = ", ".join(plan.inputs) or "none"
            raise InvalidError(
                f"plan {plan.name} has no input {name}{did_you_mean(name, plan.inputs)}",
                where=f"inputs.{name}",
                hint=f"its inputs: {known}",
            )
    missing = [name for name, one in plan.inputs.items() if one.required and name not in given]
    if missing:
        raise InvalidError(
            f"plan {plan.name} wants the input {missing[0]}",
            where=f"inputs.{missing[0]}",
            hint=f"give it: --input {missing[0]}=VALUE",
        )
    return {name: given.get(name, one.default) for name, one in plan.inputs.items()}
