"""When a replica that ended is started again, and when it is held back."""

from __future__ import annotations

import time
from collections import deque

from sparkplug.agents.exits import Exit
from sparkplug.schema.agent_spec import Restart

_LONGEST_WAIT_S = 30.0
_SETTLED_S = 1.0


class RestartHistory:
    """The restarts of one replica inside its policy's window.

    The wait doubles only while the process does not come up: one that served for a while
    and then died is started again after the first wait.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._failures = 0

    def clear(self) -> None:
        """Forget: an operator asked for a fresh start."""
        self._times.clear()
        self._failures = 0

    def next_wait(self, policy: Restart, end: Exit, ready_for: float) -> float | None:
        """Seconds to wait before the next start; None when it is not to be started.

        `ready_for` is how long the process was ready (seconds), 0 when it never was.
        """
        if end.misconfigured or policy.policy == "never":
            return None
        if policy.policy == "on-failure" and end.clean:
            return None
        now = time.monotonic()
        while self._times and now - self._times[0] > policy.within:
            self._times.popleft()
        if policy.max and len(self._times) >= policy.max:
            return None
        self._times.append(now)
        self._failures = 1 if ready_for >= _SETTLED_S else self._failures + 1
        return float(min(_LONGEST_WAIT_S, policy.backoff * 2 ** (self._failures - 1)))

    def held(self, policy: Restart) -> bool:
        """True when the limit is what stops another start."""
        return bool(policy.max) and len(self._times) >= policy.max
