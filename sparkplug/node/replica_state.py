"""How one replica is: what is heard of it, what is not, and the state that makes of it."""

from __future__ import annotations

import asyncio
import logging
import time

from sparkplug.agents.stalls import Stall
from sparkplug.node.records import ProcessRecord
from sparkplug.node.replica_host import Host, Wanted
from sparkplug.processes import identity
from sparkplug.schema.agent import AgentReport, ObservedAgent
from sparkplug.schema.agent_state import (
    SERVING,
    AgentState,
    ReasonKind,
    StateSource,
)
from sparkplug.schema.usage import AgentCounts

log = logging.getLogger(__name__)

_SILENT_BEATS = 3.0
#: The length of a silence is told anew every so many seconds.
_SILENCE_TOLD_S = 10
#: Of `agent:busy` and `agent:idle` together a replica tells at most one in this time.
_ACTIVITY_EVENTS_S = 10.0


class ReplicaState:
    """The state of a replica: its agent's word and its process's counts, silence and time too."""

    def __init__(self, host: Host, observed: ObservedAgent) -> None:
        self._host = host
        self.observed = observed
        self._wanted: Wanted | None = None
        self._reported = asyncio.Event()
        self._record: ProcessRecord | None = None
        self._adopted = False
        self._early: AgentReport | None = None
        self.counts: AgentCounts | None = None
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
        observed.models_left_alone = report.models_left_alone
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

    def heard_nothing_yet(self) -> None:
        """Count silence from now: the bus was away, so no word could come."""
        self._heard_at = time.monotonic()

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
        observed.models_left_alone,
    )
