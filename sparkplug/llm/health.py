"""Which endpoints fail, as far as this process has seen, and until when they are left alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkplug.llm.errors import NoModelError, RateLimitedError
from sparkplug.schema.base import utc_now

#: Failures in a row before a model is left alone, and for how long at first and at most.
_FAILURES = 3
_COOLDOWN_S = 5.0
_LONGEST_S = 60.0


@dataclass(slots=True)
class Health:
    """One model at one endpoint."""

    failures: int = 0
    until: float = 0.0
    #: The same by the clock, as others are told.
    until_told: datetime | None = None
    why: str = ""
    inflight: int = 0

    def ok(self) -> None:
        """A call ended well."""
        self.failures, self.until, self.until_told, self.why = 0, 0.0, None, ""

    def failed(self, error: NoModelError) -> None:
        """A call failed by the model's fault."""
        self.failures += 1
        self.why = error.message
        if isinstance(error, RateLimitedError) and error.retry_after:
            self._leave(min(error.retry_after, _LONGEST_S))
        elif self.failures >= _FAILURES:
            wait = _COOLDOWN_S * 2 ** min(self.failures - _FAILURES, 8)
            self._leave(min(wait, _LONGEST_S))

    def _leave(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.until_told = utc_now() + timedelta(seconds=seconds)

    @property
    def cooling(self) -> float:
        """Seconds it is to be left alone still; 0 when it may be asked."""
        return max(0.0, self.until - time.monotonic())
