"""Values that cost too much to read every second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Paced(Generic[Value]):
    """A value read again no sooner than after `at_least` seconds, and so seldom that reading it
    takes at most `share` of one core's time: dear on a host with thousands of processes, it is
    then read less often instead of costing more."""

    def __init__(self, read: Callable[[], Value], *, at_least: float, share: float) -> None:
        self._read = read
        self._at_least = at_least
        self._share = share
        # The clock may count from the host's boot: what is due at once is due before it.
        self._due = -math.inf
        self._value: Value

    def get(self) -> Value:
        """The value, read now when it is due."""
        now = time.monotonic()
        if now >= self._due:
            began = time.thread_time()
            self._value = self._read()
            cost = time.thread_time() - began
            # A little less than the period, so that a tick a moment early still reads.
            self._due = now + max(self._at_least * 0.9, cost / self._share)
        return self._value
