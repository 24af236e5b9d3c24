"""The clocks of a run: what time it is by the journal, and how much of the plan's time is used."""

from __future__ import annotations

import time
from datetime import datetime, timedelta


class RunClock:
    """`opened` is the time by the server's clock when the journal was opened. The plan's clock
    stands until it is told to go."""

    def __init__(self, opened: datetime) -> None:
        self._opened = (opened, time.monotonic())
        self._used = 0.0
        self._mark = time.monotonic()
        self._goes = False

    def now(self) -> datetime:
        """The time by the server's clock, as far as it is known."""
        opened, at = self._opened
        return opened + timedelta(seconds=time.monotonic() - at)

    def used_before(self, seconds: float) -> None:
        """So many seconds of work were used before."""
        self._used, self._mark = seconds, time.monotonic()

    def used(self) -> float:
        """Seconds that the run was worked on."""
        now = time.monotonic()
        if self._goes:
            self._used += now - self._mark
        self._mark = now
        return self._used

    @property
    def goes(self) -> bool:
        """Whether it goes: not while the run is paused or only waits for people."""
        return self._goes

    def turn(self, *, on: bool) -> bool:
        """Have it go, or stand. Whether that is another than before."""
        self.used()
        changed, self._goes = on is not self._goes, on
        return changed
