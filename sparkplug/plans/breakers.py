"""Circuit breakers: who has failed too often is not asked for a while.

Each planner counts for itself, over all the runs that it works on. One that takes over a run
counts what is in its journal too: a breaker that was open there is open here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.plan import Plan
from sparkplug.schema.plan_policies import Breaker
from sparkplug.schema.run import JournalEntry, StepBreaker


class BreakerOpenError(SparkplugError):
    """Not asked: it has failed too often of late."""

    code = "breaker_open"


#: The entries that say how an attempt ended.
_ENDS = frozenset({"step-retried", "step-failed", "step-fallback", "step-completed"})


@dataclass
class _State:
    failures: deque[float] = field(default_factory=deque)
    open_until: float = 0.0
    trying: bool = False


class Breakers:
    """The breakers of one planner, by whom they are for."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._begun = time.monotonic()

    def enter(self, whom: str, breaker: Breaker) -> None:
        """Before an attempt. Raises BreakerOpenError when nobody is to be asked now.

        Once the time is over one attempt is let through, and its end says how it goes on.
        """
        state = self._states.setdefault(whom, _State())
        if not state.open_until:
            return
        left = state.open_until - time.monotonic()
        if left <= 0 and not state.trying:
            state.trying = True
            return
        when = f"tried again in {left:.1f} s" if left > 0 else "being tried just now"
        raise BreakerOpenError(f"{whom} has failed {breaker.failures} times of late, {when}")

    def told(self, whom: str, breaker: Breaker, now: datetime) -> StepBreaker:
        """How it is, `now` by the clock of a journal."""
        state = self._states.get(whom, _State())
        moment = time.monotonic()
        count = sum(moment - one <= breaker.within for one in state.failures)
        if state.trying:
            return StepBreaker(state="half-open", whom=whom, failures=count)
        if not state.open_until:
            return StepBreaker(state="closed", whom=whom, failures=count)
        until = now + timedelta(seconds=state.open_until - moment)
        return StepBreaker(state="open", whom=whom, failures=count, until=until)

    def succeeded(self, whom: str) -> None:
        """An attempt came through: all is well again."""
        self._states.pop(whom, None)

    def failed(self, whom: str, breaker: Breaker, ago: float = 0.0) -> None:
        """An attempt failed, so many seconds ago."""
        state = self._states.setdefault(whom, _State())
        now = time.monotonic() - ago
        state.failures.append(now)
        while state.failures and now - state.failures[0] > breaker.within:
            state.failures.popleft()
        if state.trying or len(state.failures) >= breaker.failures:
            state.open_until = now + breaker.open
            state.trying = False

    def learn(self, plan: Plan, entries: Sequence[JournalEntry], now: datetime, node: str) -> None:
        """Count what happened in a run before it was taken up, `now` by its journal's clock.

        What this planner, that of `node`, has counted itself is left out.
        """
        guarded = {step.id: step for step in plan.steps if step.breaker is not None}
        asked: dict[tuple[str, int | None], str] = {}
        begun = time.monotonic() - self._begun
        for entry in entries:
            step = guarded.get(entry.step or "")
            ago = (now - entry.time).total_seconds()
            if step is None or step.breaker is None or (entry.node == node and ago < begun):
                continue
            if ago > step.breaker.within + step.breaker.open:
                continue  # whatever it said of whom was asked, it says no more
            key = (step.id, entry.item)
            if entry.kind == "step-started":
                asked[key] = (
                    f"agent {entry.agent}" if entry.agent else f"capability {step.capability}"
                )
            elif entry.kind in _ENDS and (whom := asked.pop(key, None)) is not None:
                if entry.kind == "step-completed":
                    self.succeeded(whom)
                elif not entry.interrupted:
                    self.failed(whom, step.breaker, max(0.0, ago))

    def left(self, whom: str) -> None:
        """An attempt ended and says nothing about who was asked."""
        state = self._states.get(whom)
        if state is not None:
            state.trying = False
