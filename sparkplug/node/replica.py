"""One replica on this node: its process, its state, and the loop that keeps both as wanted."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import dataclass
from typing import Any, Protocol

from sparkplug.agents.exits import Exit
from sparkplug.agents.stalls import Stall
from sparkplug.node.records import ProcessRecord
from sparkplug.node.restarts import RestartHistory
from sparkplug.processes import identity
from sparkplug.schema.agent import AgentReport, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_state import (
    SERVING,
    AgentState,
    ReasonKind,
    StateSource,
)
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.usage import AgentCounts

log = logging.getLogger(__name__)

_RETRY_SPAWN_S = 2.0
_SILENT_BEATS = 3.0
#: The length of a silence is told anew every so many seconds.
_SILENCE_TOLD_S = 10
#: Of `agent:busy` and `agent:idle` together a replica tells at most one in this time.
_ACTIVITY_EVENTS_S = 10.0
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

    async def exit_of(self, record: ProcessRecord) -> Exit:
        """How a process that ended ended."""
        ...

    async def drain(self, observed: ObservedAgent, seconds: float) -> None:
        """Tell the replica how long it may finish what it has in hand."""
        ...

    def forget(self, record: ProcessRecord) -> None:
        """Its process is gone."""
        ...

    def out_of_memory(self, record: ProcessRecord) -> bool:
        """Whether a process that ended was killed for its memory limit."""
        ...

    async def last_lines(self, record: ProcessRecord) -> str:
        """The end of what a process wrote."""
        ...

    def observe(self, observed: ObservedAgent) -> None:
        """Publish the replica's state."""
        ...

    def emit(self, name: str, observed: ObservedAgent, *, actor: str = "", **data: object) -> None:
        """Publish an event about the replica; `actor` did it, the node where it is empty."""
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
        self._restarting = False
        self._drain: float | None = None
        self.counts: AgentCounts | None = None
        self._history = RestartHistory()
        self._ready_at: float | None = None
        self._heard_at = time.monotonic()
        #: Names its process for ever, and counts what that process said.
        self.process = ""
        self._sequence = 0
        self._said: AgentReport | None = None
        self._stall: Stall | None = None
        self._never_ready = ""
        self._unhealthy = ""
        self._failing = asyncio.Event()
        self._told_busy = False
        self._told_busy_at = float("-inf")

    @property
    def record(self) -> ProcessRecord | None:
        """What serves it, while something does."""
        return self._record

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
        self._follow_process(record, adopted=True)
        observed = self.observed
        observed.pid, observed.restarts = record.pid, record.restarts
        observed.gpus, observed.generation = list(record.gpus), record.generation
        observed.user = record.user
        observed.limits = record.limits
        if seen is None or seen.pid != record.pid:
            observed.enter(AgentState.STARTING, StateSource.NODE)
            return
        # What that daemon wrote holds as it is: it is no move of the replica.
        observed.state, observed.state_since = seen.state, seen.state_since
        observed.state_source, observed.history = seen.state_source, list(seen.history)
        observed.reason, observed.reason_kind = seen.reason, seen.reason_kind
        observed.accepting, observed.started = seen.accepting, seen.started
        observed.instance, observed.actions = seen.instance, seen.actions
        if seen.state in SERVING or seen.state is AgentState.STALE:
            self._ready_at = self._heard_at = time.monotonic()
            self._reported.set()
            # That daemon told it, or was about to.
            self._told_busy = seen.inflight > 0

    def _follow_process(self, record: ProcessRecord, *, adopted: bool) -> None:
        """From now on it is this process whose word counts."""
        self._record = record
        self._adopted = adopted
        self.process = identity(record.pid)
        self._sequence = 0
        self._said = self._stall = None
        self._never_ready = self._unhealthy = ""
        self._failing.clear()
        self._heard_at = time.monotonic()

    def report(self, report: AgentReport) -> None:
        """What the agent says of itself.

        Of an earlier process, or told before what was heard already, it counts for nothing.
        """
        if self._record is None or (report.pid, report.incarnation) != (
            self._record.pid,
            self._record.incarnation,
        ):
            # It may be quicker on the bus than its zygote is in telling its pid.
            self._early = report
            return
        if report.process and self.process and report.process != self.process:
            log.info("%s: a report of an earlier process is dropped", self._name)
            return
        observed = self.observed
        self.counts = report.counts
        told = report.actions is not None and report.actions != observed.actions
        if report.actions is not None:
            observed.actions = report.actions
        if report.sequence and report.sequence <= self._sequence:
            if told:
                self._host.observe(observed)
            return
        self._sequence = report.sequence
        self._heard_at = time.monotonic()
        before = _counts(observed)
        observed.instance, observed.accepting = report.instance, report.accepting
        observed.inflight, observed.served = report.inflight, report.served
        observed.failed, observed.breakers = report.failed, report.breakers
        told = told or before != _counts(observed)
        if not self._reported.is_set():
            self._reported.set()
            if not self._adopted:
                self._host.emit("agent:registered", observed, instance=report.instance)
        self._said = report
        if report.unhealthy:
            self._fail_health(report.reason or "it says that it is not well")
        if not self._show() and told:
            self._host.observe(observed)

    def _show(self) -> bool:
        """Move to what its agent said last, or to being blocked. False when that is no news."""
        said, stall = self._said, self._stall
        before = self.observed.state
        if before is AgentState.STOPPING:
            return False  # it is known already, and why
        if stall is not None and before is not AgentState.STARTING:
            seconds = time.monotonic() - stall.since
            reason = f"blocked for {seconds:.0f} s in {stall.where}"
            moved = self._move(AgentState.DEGRADED, StateSource.AGENT, reason, ReasonKind.BLOCKED)
        elif said is not None:
            moved = self._move(said.state, StateSource.AGENT, said.reason, said.reason_kind)
        else:
            return False
        if moved:
            self._tell_ready()
            if before is AgentState.STALE:
                self._host.emit(
                    "agent:ready", self.observed, actor=self._name, reason="heard again"
                )
        self._tell_activity()
        return moved

    def _tell_ready(self) -> None:
        """It takes prompts for the first time."""
        observed = self.observed
        if self._ready_at is None and observed.takes_prompts:
            self._ready_at = time.monotonic()
            if not self._adopted:
                self._host.emit("agent:ready", observed, actor=self._name)

    def _tell_activity(self) -> None:
        """Tell that it works, or no longer does; what is told last is always how it is."""
        observed = self.observed
        now = time.monotonic()
        busy = observed.state in SERVING and observed.inflight > 0
        quiet = observed.state is AgentState.IDLE
        if (
            (busy if self._told_busy else quiet)
            or not (busy or quiet)
            or now - self._told_busy_at < _ACTIVITY_EVENTS_S
        ):
            return
        self._told_busy, self._told_busy_at = busy, now
        self._host.emit(
            "agent:busy" if busy else "agent:idle",
            observed,
            actor=self._name,
            state=observed.state.value,
            inflight=observed.inflight,
            served=observed.served,
        )

    def blocked(self, stall: Stall | None) -> None:
        """Its event loop does not turn, says its own process; None: it turns."""
        wanted = self._wanted
        if self._record is None or wanted is None:
            return
        was = self._stall
        if stall is None or time.monotonic() - stall.seen > self._patience:
            # One that stopped saying it is blocked without turning again is silent.
            self._stall = None
            if was is not None and stall is None:
                if self._said is None and self.observed.state is AgentState.STARTING:
                    self._move(AgentState.STARTING, StateSource.NODE, None)
                else:
                    self._show()
            return
        self._stall = stall
        seconds = time.monotonic() - stall.since
        if self.observed.state is AgentState.STARTING:
            reason = f"it is busy for {seconds:.0f} s in {stall.where}"
            self._move(AgentState.STARTING, StateSource.AGENT, reason, ReasonKind.BLOCKED)
            return
        self._show()
        if self._ready_at is not None and seconds > self._patience:
            self._fail_health(f"blocked for {seconds:.0f} s in {stall.where}")

    def _fail_health(self, why: str) -> None:
        wanted = self._wanted
        if wanted is None or not wanted.desired.spec.health.restart_unhealthy:
            return
        if self._record is not None and not self._failing.is_set():
            self._unhealthy = why
            self._failing.set()

    @property
    def _patience(self) -> float:
        """Seconds of silence that are still no reason to call it stale."""
        wanted = self._wanted
        return max(wanted.desired.spec.health.timeout if wanted else 0.0, _SILENT_BEATS)

    def check_silence(self) -> None:
        """Mark a replica stale that should have been heard: silence tells nothing more."""
        state = self.observed.state
        if self._wanted is None or self._record is None:
            return
        if state not in SERVING and state is not AgentState.STALE:
            return
        silent = time.monotonic() - max(self._heard_at, self._record.heard_at)
        if self._stall is None and silent > self._patience:
            first = state is not AgentState.STALE
            if first or round(silent) % _SILENCE_TOLD_S == 0:
                reason = f"silent for {silent:.0f} s, its process runs"
                self._move(AgentState.STALE, StateSource.NODE, reason, ReasonKind.SILENT)
                if first:
                    self._host.emit("agent:lost", self.observed, reason=reason)
        self._tell_activity()

    def kill(self) -> None:
        """Kill its process, and whatever that started."""
        if self._record is not None:
            self._record.signal_group(signal.SIGKILL)

    def heard_nothing_yet(self) -> None:
        """Count silence from now: the bus was away, so no word could come."""
        self._heard_at = time.monotonic()

    async def run(self) -> None:
        """Keep the replica as wanted until it is not wanted any more."""
        while True:
            self._changed.clear()
            wanted = self._wanted
            if wanted is None:
                await self._end_process("it is not wanted here any more")
                return
            if not wanted.desired.run:
                await self._end_process(_why(wanted))
                if self.observed.state is not AgentState.STOPPED:
                    self._move(AgentState.STOPPED, StateSource.NODE, _why(wanted))
                    self._emit_stopped(wanted)
                await self._changed.wait()
                continue
            if self._record and (
                self._record.generation != wanted.desired.generation
                or tuple(self._record.gpus) != wanted.gpus
            ):
                await self._end_process(_why(wanted))
                continue  # that took a while: something else may be wanted by now
            if self._record is None and not await self._begin(wanted):
                continue
            await self._follow(wanted)

    def _emit_stopped(self, wanted: Wanted) -> None:
        desired = wanted.desired
        self._host.emit(
            "agent:stopped", self.observed, actor=desired.changed_by, reason=desired.reason
        )

    async def _begin(self, wanted: Wanted) -> bool:
        """Start a process. False when it could not be, after waiting for a reason to retry."""
        observed = self.observed
        desired = wanted.desired
        again = observed.restarts and self._restarting
        self._restarting = False
        observed.generation = desired.generation
        observed.gpus = list(wanted.gpus)
        observed.last_lines, observed.accepting = "", True
        self._ready_at = None
        self._reported.clear()
        why = f"restart {observed.restarts}" if again else desired.reason or None
        self._move(AgentState.STARTING, StateSource.NODE, None)
        try:
            record = await self._host.spawn(observed, wanted)
        except (SparkplugError, TimeoutError) as error:
            invalid = isinstance(error, InvalidError)
            kind = ReasonKind.MISCONFIGURED if invalid else ReasonKind.NOT_STARTED
            self._fail(str(error) or "the zygote did not answer in time", kind)
            await self._wait_changed(None if invalid else _RETRY_SPAWN_S)
            return False
        self._follow_process(record, adopted=False)
        observed.pid, observed.limits = record.pid, record.limits
        observed.started = utc_now()
        self._host.observe(observed)
        actor = "" if again else desired.changed_by
        self._host.emit("agent:started", observed, actor=actor, pid=record.pid, reason=why)
        early, self._early = self._early, None
        if early is not None:
            self.report(early)
            self._early = None
        return True

    async def _follow(self, wanted: Wanted) -> None:
        """Wait until the process ends or something else is wanted, and deal with an end."""
        record = self._record
        assert record is not None
        ended = asyncio.create_task(record.wait())
        changed = asyncio.create_task(self._changed.wait())
        failing = asyncio.create_task(self._failing.wait())
        waits: set[asyncio.Task[Any]] = {ended, changed, failing}
        try:
            if not self._reported.is_set():
                await self._await_report(record, waits)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await self._ended(record, wanted)
            elif failing.done() and not changed.done():
                await self._end_unhealthy(record, wanted)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _await_report(self, record: ProcessRecord, waits: set[asyncio.Task[Any]]) -> None:
        """Give the process its time to come up; kill it when it does not."""
        reported = asyncio.create_task(self._reported.wait())
        try:
            done, _ = await asyncio.wait(
                {reported, *waits},
                timeout=self._host.ready_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                self._never_ready = f"not on the bus after {self._host.ready_timeout:g} s"
                record.signal_group(signal.SIGKILL)
        finally:
            reported.cancel()

    async def _end_unhealthy(self, record: ProcessRecord, wanted: Wanted) -> None:
        """End a process that is not well; its restart policy takes that for a failure."""
        why = self._unhealthy
        await self._stop_process(record, f"it is ended: {why}", ReasonKind.UNHEALTHY)
        await self._ended(record, wanted, unhealthy=why)

    async def _ended(self, record: ProcessRecord, wanted: Wanted, unhealthy: str = "") -> None:
        """The process ended unasked: start it again if the policy says so."""
        end = await self._host.exit_of(record)
        if unhealthy:
            end = Exit(None, unhealthy)
        ready_for = time.monotonic() - self._ready_at if self._ready_at is not None else 0.0
        why, kind = self._cause(record, end)
        if unhealthy:
            kind = ReasonKind.UNHEALTHY
        self._gone(record)
        policy = wanted.desired.spec.restart
        wait = self._history.next_wait(policy, end, ready_for)
        if wait is None and end.clean:
            self._move(AgentState.STOPPED, StateSource.NODE, "it ended by itself")
            self._host.emit("agent:stopped", self.observed, actor=self._name, reason=why)
            await self._wait_changed(None)
            return
        self.observed.last_lines = await self._host.last_lines(record)
        if wait is None:
            if self._history.held(policy) and not end.misconfigured:
                why = f"{why}; held back after {policy.max} restarts"
                kind = ReasonKind.HELD_BACK if kind is ReasonKind.CRASHED else kind
            self._fail(why, kind)
            await self._wait_changed(None)
            return
        self.observed.restarts += 1
        self._restarting = True
        self._fail(f"{why}; restart {self.observed.restarts} in {wait:g} s", kind)
        await self._wait_changed(wait)

    def _cause(self, record: ProcessRecord, end: Exit) -> tuple[str, ReasonKind]:
        """Why a process ended, in words and by kind."""
        if self._host.out_of_memory(record):
            return f"killed by the kernel: out of memory ({record.limits})", (
                ReasonKind.OUT_OF_MEMORY
            )
        if self._never_ready:
            return self._never_ready, ReasonKind.NEVER_READY
        if end.out_of_memory:
            return end.describe(), ReasonKind.OUT_OF_MEMORY
        kind = ReasonKind.MISCONFIGURED if end.misconfigured else ReasonKind.CRASHED
        return end.describe(), kind

    async def _wait_changed(self, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _end_process(self, why: str | None) -> None:
        """Stop the process because something else is wanted."""
        record = self._record
        if record is None:
            return
        await self._stop_process(record, why)
        await self._host.exit_of(record)
        self._gone(record)

    async def _stop_process(
        self, record: ProcessRecord, why: str | None, kind: ReasonKind | None = None
    ) -> None:
        """Ask it to end: it may finish what it has in hand, then it is killed."""
        self._move(AgentState.STOPPING, StateSource.NODE, why, kind)
        began, told = time.monotonic(), None
        until = began + self._host.stop_timeout
        ended = asyncio.create_task(record.wait())
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
                    log.warning("%s is killed: it did not stop", self._name)
                    record.signal_group(signal.SIGKILL)
                    await ended
        finally:
            ended.cancel()
            # What changed meanwhile is still to be looked at.
            self._changed.set()

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
        self._record = self.counts = None
        self._said = self._stall = None
        self.process = ""
        observed = self.observed
        observed.pid, observed.instance, observed.inflight = None, None, 0
        observed.user = ""
        observed.limits = ""

    def _fail(self, reason: str, kind: ReasonKind) -> None:
        self._move(AgentState.ERROR, StateSource.NODE, reason, kind)
        self._host.emit("agent:error", self.observed, reason=reason, kind=kind.value)

    @property
    def _name(self) -> str:
        return f"{self.observed.name}/{self.observed.replica}"

    def _move(
        self,
        state: AgentState,
        source: StateSource,
        reason: str | None,
        kind: ReasonKind | None = None,
    ) -> bool:
        """Move the replica and publish it. False when nothing changed, or it may not go there."""
        observed = self.observed
        before = observed.state
        if (before, observed.reason, observed.reason_kind) == (state, reason, kind):
            return False
        if not observed.enter(state, source, reason, kind):
            log.info("%s: refused: %s says %s, it is %s", self._name, source, state, before)
            return False
        self._host.observe(observed)
        return True


def _counts(observed: ObservedAgent) -> tuple[object, ...]:
    return (
        observed.instance,
        observed.accepting,
        observed.inflight,
        observed.served,
        observed.failed,
        observed.breakers,
    )


def _why(wanted: Wanted) -> str | None:
    """Who wanted it so, and what for."""
    desired = wanted.desired
    by = f" by {desired.changed_by}" if desired.changed_by else ""
    return f"{desired.reason}{by}" if desired.reason else None
