"""Which endpoints fail, as far as this process has seen, and until when they are left alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sparkplug.llm.errors import NoModelError, RateLimitedError

#: Failures in a row before a model is left alone, and for how long at first and at most.
_FAILURES = 3
_COOLDOWN_S = 5.0
_LONGEST_S = 60.0


@dataclass(slots=True)
class Health:
    """One model at one endpoint."""

    failures: int = 0
    until: float = 0.0
    why: str = ""
    inflight: int = 0

    def ok(self) -> None:
        """A call ended well."""
        self.failures, self.until, self.why = 0, 0.0, ""

    def failed(self, error: NoModelError) -> None:
        """A call failed by the model's fault."""
        self.failures += 1
        self.why = error.message
        if isinstance(error, RateLimitedError) and error.retry_after:
            self.until = time.monotonic() + min(error.retry_after, _LONGEST_S)
        elif self.failures >= _FAILURES:
            wait = _COOLDOWN_S * 2 ** min(self.failures - _FAILURES, 8)
            self.until = time.monotonic() + min(wait, _LONGEST_S)

    @property
    def cooling(self) -> float:
        """Seconds it is to be left alone still; 0 when it may be asked."""
        return max(0.0, self.until - time.monotonic())
