"""One replica on this node: its process, its state, and the loop that keeps both as wanted."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import Any

from sparkplug.agents.exits import Exit
from sparkplug.node.records import ProcessRecord
from sparkplug.node.replica_host import Host, Wanted
from sparkplug.node.replica_state import ReplicaState
from sparkplug.node.restarts import RestartHistory
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import (
    SERVING,
    AgentState,
    ReasonKind,
    StateSource,
)
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import InvalidError, SparkplugError

log = logging.getLogger(__name__)

_RETRY_SPAWN_S = 2.0
#: How the reason of one reads that is not started again, since it ended too often.
_HELD = "held back after"
#: What a process gets to leave once its time to finish is over, before it is killed.
_LEAVE_S = 1.0


class Replica(ReplicaState):
    """The life of one replica: `run` follows `want` until it is wanted no more."""

    def __init__(self, host: Host, observed: ObservedAgent) -> None:
        super().__init__(host, observed)
        self._changed = asyncio.Event()
        self._restarting = False
        self._drain: float | None = None
        self._history = RestartHistory()
        #: The generation that an earlier daemon held back; 0: none.
        self._held_back = 0

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

    def recall(self, seen: ObservedAgent) -> None:
        """Heed what an earlier daemon wrote of it, where it has no process any more.

        One that was held back stays so: that the daemon died gives it no fresh start.
        """
        if seen.state is not AgentState.ERROR or _HELD not in (seen.reason or ""):
            return
        observed = self.observed
        observed.state, observed.state_since = seen.state, seen.state_since
        observed.state_source, observed.history = seen.state_source, list(seen.history)
        observed.reason, observed.reason_kind = seen.reason, seen.reason_kind
        observed.restarts, observed.last_lines = seen.restarts, seen.last_lines
        observed.generation = self._held_back = seen.generation

    def kill(self) -> None:
        """Kill its process, and whatever that started."""
        if self._record is not None:
            self._record.signal_group(signal.SIGKILL)

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
            if self._record is None and self._held_back == wanted.desired.generation:
                await self._wait_changed(None)
                continue
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
                why = f"{why}; {_HELD} {policy.max} restarts"
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


def _why(wanted: Wanted) -> str | None:
    """Who wanted it so, and what for."""
    desired = wanted.desired
    by = f" by {desired.changed_by}" if desired.changed_by else ""
    return f"{desired.reason}{by}" if desired.reason else None
