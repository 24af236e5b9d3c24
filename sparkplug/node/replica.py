"""One replica on this node: its process, its state, and the loop that keeps both as wanted."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import dataclass
from typing import Any, Protocol

from sparkplug.agents.exits import Exit
from sparkplug.node.records import ProcessRecord
from sparkplug.node.restarts import RestartHistory
from sparkplug.processes import wait_process
from sparkplug.schema.agent import (
    SERVING,
    AgentReport,
    AgentState,
    DesiredAgent,
    ObservedAgent,
)
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError, SparkplugError

log = logging.getLogger(__name__)

_RETRY_SPAWN_S = 2.0
_SILENT_BEATS = 3.0
#: What a process gets to leave once its time to finish is over, before it is killed.
_LEAVE_S = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the mesh wants of a replica on this node."""

    desired: DesiredAgent
    gpus: tuple[str, ...] = ()


class Host(Protocol):
    """What a replica needs of the node it lives on."""

    ready_timeout: float
    stop_timeout: float

    async def spawn(self, observed: ObservedAgent, wanted: Wanted) -> ProcessRecord:
        """Start a process for the replica."""
        ...

    async def exit_of(self, pid: int) -> Exit:
        """How a process that ended ended."""
        ...

    async def drain(self, observed: ObservedAgent, seconds: float) -> None:
        """Tell the replica how long it may finish what it has in hand."""
        ...

    def forget(self, record: ProcessRecord) -> None:
        """Its process is gone."""
        ...

    def observe(self, observed: ObservedAgent) -> None:
        """Publish the replica's state."""
        ...

    def emit(self, name: str, observed: ObservedAgent, **data: object) -> None:
        """Publish an event about the replica."""
        ...


class Replica:
    """The life of one replica: `run` follows `want` until it is wanted no more."""

    def __init__(self, host: Host, observed: ObservedAgent) -> None:
        self._host = host
        self.observed = observed
        self._wanted: Wanted | None = None
        self._changed = asyncio.Event()
        self._reported = asyncio.Event()
        self._record: ProcessRecord | None = None
        self._adopted = False
        self._early: AgentReport | None = None
        self._drain: float | None = None
        self._history = RestartHistory()
        self._ready_at: float | None = None
        self._heard_at = time.monotonic()

    @property
    def pid(self) -> int | None:
        """The pid of its process, while there is one."""
        return self._record.pid if self._record else None

    def want(self, wanted: Wanted | None) -> None:
        """Say what is wanted now; None ends the replica."""
        if wanted == self._wanted:
            return
        if (
            wanted is not None
            and self._wanted is not None
            and wanted.desired.generation != self._wanted.desired.generation
        ):
            self._history.clear()
        self._wanted = wanted
        if wanted is not None:
            self._drain = wanted.desired.drain
        self._changed.set()

    def adopt(self, record: ProcessRecord, seen: ObservedAgent | None) -> None:
        """Take over a process that an earlier daemon started and that still runs.

        `seen` is what that daemon wrote last: if it is about this process it still holds.
        """
        self._record = record
        self._adopted = True
        observed = self.observed
        observed.pid, observed.restarts = record.pid, record.restarts
        observed.gpus, observed.generation = list(record.gpus), record.generation
        if seen is None or seen.pid != record.pid:
            observed.state = AgentState.STARTING
            return
        observed.state, observed.state_since = seen.state, seen.state_since
        observed.reason, observed.started = seen.reason, seen.started
        observed.instance, observed.actions = seen.instance, seen.actions
        if seen.state in SERVING:
            self._ready_at = self._heard_at = time.monotonic()

    def report(self, report: AgentReport) -> None:
        """What the agent says of itself. One from an earlier process counts for nothing."""
        if self._record is None or report.pid != self._record.pid:
            # It may be quicker on the bus than its zygote is in telling its pid.
            self._early = report
            return
        self._heard_at = time.monotonic()
        observed = self.observed
        observed.instance = report.instance
        observed.inflight, observed.served = report.inflight, report.served
        observed.failed = report.failed
        if report.actions is not None:
            observed.actions = report.actions
        if observed.state is AgentState.STOPPING and report.state is not AgentState.STOPPING:
            return
        first = self._ready_at is None
        if first:
            self._ready_at = time.monotonic()
            self._reported.set()
        self._set(report.state, report.reason)
        if first and not self._adopted:
            self._host.emit("agent:ready", observed)

    def check_silence(self) -> None:
        """Mark a replica stale that should have been heard: silence tells nothing more."""
        wanted = self._wanted
        if wanted is None or self._record is None or self.observed.state not in SERVING:
            return
        health = wanted.desired.spec.health
        silent = time.monotonic() - self._heard_at
        if silent > max(health.timeout, _SILENT_BEATS):
            self._set(AgentState.STALE, f"silent for {silent:.0f} s, its process runs")

    def heard_nothing_yet(self) -> None:
        """Count silence from now: the bus was away, so no word could come."""
        self._heard_at = time.monotonic()

    async def run(self) -> None:
        """Keep the replica as wanted until it is not wanted any more."""
        while True:
            self._changed.clear()
            wanted = self._wanted
            if wanted is None:
                await self._end_process()
                return
            if not wanted.desired.run:
                await self._end_process()
                if self.observed.state is not AgentState.STOPPED:
                    self._set(AgentState.STOPPED, None)
                    self._host.emit("agent:stopped", self.observed)
                await self._changed.wait()
                continue
            if self._record and self._record.generation != wanted.desired.generation:
                await self._end_process()
                continue  # that took a while: something else may be wanted by now
            if self._record is None and not await self._begin(wanted):
                continue
            await self._follow(wanted)

    async def _begin(self, wanted: Wanted) -> bool:
        """Start a process. False when it could not be, after waiting for a reason to retry."""
        observed = self.observed
        observed.generation = wanted.desired.generation
        observed.gpus = list(wanted.gpus)
        self._ready_at = None
        self._adopted = False
        self._reported.clear()
        self._set(AgentState.STARTING, None)
        try:
            self._record = await self._host.spawn(observed, wanted)
        except (SparkplugError, TimeoutError) as error:
            self._fail(str(error) or "the zygote did not answer in time")
            retry = None if isinstance(error, InvalidError) else _RETRY_SPAWN_S
            await self._wait_changed(retry)
            return False
        observed.pid = self._record.pid
        observed.started = utc_now()
        self._heard_at = time.monotonic()
        self._host.observe(observed)
        self._host.emit("agent:started", observed, pid=observed.pid)
        if self._early is not None:
            self.report(self._early)
            self._early = None
        return True

    async def _follow(self, wanted: Wanted) -> None:
        """Wait until the process ends or something else is wanted, and deal with an end."""
        record = self._record
        assert record is not None
        ended = asyncio.create_task(wait_process(record.pid, record.alive))
        changed = asyncio.create_task(self._changed.wait())
        waits: set[asyncio.Task[Any]] = {ended, changed}
        try:
            if self._ready_at is None:
                await self._await_ready(record, waits)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await self._ended(record, wanted)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _await_ready(self, record: ProcessRecord, waits: set[asyncio.Task[Any]]) -> None:
        """Give the process its time to come up; kill it when it does not."""
        reported = asyncio.create_task(self._reported.wait())
        try:
            done, _ = await asyncio.wait(
                {reported, *waits},
                timeout=self._host.ready_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                self.observed.reason = f"not on the bus after {self._host.ready_timeout:g} s"
                record.signal_group(signal.SIGKILL)
        finally:
            reported.cancel()

    async def _ended(self, record: ProcessRecord, wanted: Wanted) -> None:
        """The process ended unasked: start it again if the policy says so."""
        end = await self._host.exit_of(record.pid)
        ready_for = time.monotonic() - self._ready_at if self._ready_at is not None else 0.0
        never_ready = self.observed.reason if self._ready_at is None else None
        self._gone(record)
        why = never_ready or end.describe()
        policy = wanted.desired.spec.restart
        wait = self._history.next_wait(policy, end, ready_for)
        if wait is None and end.clean:
            self._set(AgentState.STOPPED, "it ended by itself")
            self._host.emit("agent:stopped", self.observed, reason=why)
            await self._wait_changed(None)
            return
        if wait is None:
            held = self._history.held(policy) and not end.misconfigured
            advice = f"; held back after {policy.max} restarts" if held else ""
            self._fail(why + advice)
            await self._wait_changed(None)
            return
        self.observed.restarts += 1
        self._fail(f"{why}; restart {self.observed.restarts} in {wait:g} s")
        await self._wait_changed(wait)

    async def _wait_changed(self, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _end_process(self) -> None:
        """Stop the process: it may finish what it has in hand, then it is killed."""
        record = self._record
        if record is None:
            return
        self._set(AgentState.STOPPING, None)
        began, told = time.monotonic(), None
        until = began + self._host.stop_timeout
        ended = asyncio.create_task(wait_process(record.pid, record.alive))
        try:
            record.signal(signal.SIGTERM)
            while not ended.done():
                self._changed.clear()
                drain = self._drain
                if drain is not None and drain != told:
                    await self._host.drain(self.observed, drain)
                    told = drain
                    until = max(began + drain, time.monotonic()) + _LEAVE_S
                if not await self._ended_by(ended, until):
                    log.warning("%s/%s is killed: it did not stop", record.agent, record.replica)
                    record.signal_group(signal.SIGKILL)
                    await ended
        finally:
            ended.cancel()
            # What changed meanwhile is still to be looked at.
            self._changed.set()
        await self._host.exit_of(record.pid)
        self._gone(record)

    async def _ended_by(self, ended: asyncio.Task[None], deadline: float) -> bool:
        """False when the deadline passed; True when the process ended or something changed."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            left = max(0.0, deadline - time.monotonic())
            done, _ = await asyncio.wait(
                {ended, changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            return bool(done)
        finally:
            changed.cancel()

    def _gone(self, record: ProcessRecord) -> None:
        # Whatever the agent started itself goes with it.
        record.signal_group(signal.SIGKILL)
        self._host.forget(record)
        self._record = None
        observed = self.observed
        observed.pid, observed.instance, observed.inflight = None, None, 0

    def _fail(self, reason: str) -> None:
        self._set(AgentState.ERROR, reason)
        self._host.emit("agent:error", self.observed, reason=reason)

    def _set(self, state: AgentState, reason: str | None) -> None:
        observed = self.observed
        if observed.state is not state:
            observed.state = state
            observed.state_since = utc_now()
        observed.reason = reason
        self._host.observe(observed)
