"""Circuit breakers: who has failed too often is not asked for a while.

Each planner counts for itself, over all the runs that it works on.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.plan_policies import Breaker


class BreakerOpenError(SparkplugError):
    """Not asked: it has failed too often of late."""

    code = "breaker_open"


@dataclass
class _State:
    failures: deque[float] = field(default_factory=deque)
    open_until: float = 0.0
    trying: bool = False


class Breakers:
    """The breakers of one planner, by whom they are for."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}

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

    def succeeded(self, whom: str) -> None:
        """An attempt came through: all is well again."""
        self._states.pop(whom, None)

    def failed(self, whom: str, breaker: Breaker) -> None:
        """An attempt failed."""
        state = self._states.setdefault(whom, _State())
        now = time.monotonic()
        state.failures.append(now)
        while state.failures and now - state.failures[0] > breaker.within:
            state.failures.popleft()
        if state.trying or len(state.failures) >= breaker.failures:
            state.open_until = now + breaker.open
            state.trying = False

    def left(self, whom: str) -> None:
        """An attempt ended and says nothing about who was asked."""
        state = self._states.get(whom)
        if state is not None:
            state.trying = False
