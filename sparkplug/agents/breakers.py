"""A circuit breaker for every replica one asks, and the budget for asking again.

A breaker is closed while all is well. After `_FAILURES` failures in a row it is open (of errors
that the agent answered with, which may lie in the question, four times as many): nothing is sent
there for a while. Then it is half-open: one request is let through, and its end decides.

A budget lets a caller repeat at most a tenth of what it asks, and one every ten seconds: however
many callers there are, a failure of one target makes no storm of the mesh.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sparkplug.schema.agent import BreakerView
from sparkplug.schema.errors import (
    CancelledRequestError,
    InvalidError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)

_FAILURES = 5
_FIRST_PAUSE_S = 5.0
_MOST_PAUSE_S = 60.0
_MOST_SHOWN = 20
#: Nobody answered, or not in time, or who did was lost.
_UNREACHED = frozenset({"no_mesh", "timeout", "interrupted"})
_ERROR_COUNTS = 0.25
#: What says nothing of whether the target is well: it answered, and did not like the question.
_ANSWERS = (InvalidError, NotFoundError, RefusedError, CancelledRequestError)

_SHARE = 0.1
_FLOOR_PER_S = 0.1
_MOST_SAVED = 10.0


@dataclass(slots=True)
class _Breaker:
    failures: float = 0.0
    pause: float = _FIRST_PAUSE_S
    #: When it opened (by the clock); 0 while it is closed.
    opened: float = 0.0
    trying: bool = False


class Breakers:
    """The breakers of one process, by replica. `now` is the clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._of: dict[str, _Breaker] = {}

    def allows(self, target: str) -> bool:
        """Whether a request may go there now."""
        breaker = self._of.get(target)
        if breaker is None or not breaker.opened:
            return True
        return not breaker.trying and self._now() - breaker.opened >= breaker.pause

    def begin(self, target: str) -> None:
        """A request goes there: of one that is open it is the one that decides."""
        breaker = self._of.get(target)
        if breaker is not None and breaker.opened:
            breaker.trying = True

    def end(self, target: str, error: BaseException | None) -> None:
        """A request there has ended."""
        if error is None or isinstance(error, _ANSWERS):
            self._of.pop(target, None)
            return
        if not isinstance(error, Exception):
            # It was given up by who asked: nothing is known.
            breaker = self._of.get(target)
            if breaker is not None:
                breaker.trying = False
            return
        breaker = self._of.setdefault(target, _Breaker())
        reached = isinstance(error, SparkplugError) and error.code not in _UNREACHED
        breaker.failures += _ERROR_COUNTS if reached else 1
        if breaker.opened:
            breaker.pause = min(_MOST_PAUSE_S, 2 * breaker.pause)
        if breaker.opened or breaker.failures >= _FAILURES:
            breaker.opened, breaker.trying = self._now(), False

    def views(self) -> list[BreakerView]:
        """Those that are not closed."""
        now = self._now()
        return [
            BreakerView(
                target=target,
                state="half-open" if now - breaker.opened >= breaker.pause else "open",
                failures=int(breaker.failures),
            )
            for target, breaker in self._of.items()
            if breaker.opened
        ][:_MOST_SHOWN]


class RetryBudget:
    """How often one may ask again. `now` is the clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._saved = 1.0
        self._since = now()

    def asked(self) -> None:
        """A request is made for the first time."""
        self._saved = min(_MOST_SAVED, self._saved + _SHARE)

    def take(self) -> bool:
        """Whether one may ask again; that is then spent."""
        now = self._now()
        self._saved = min(_MOST_SAVED, self._saved + (now - self._since) * _FLOOR_PER_S)
        self._since = now
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
