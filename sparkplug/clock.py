"""When to do what is done again and again."""

from __future__ import annotations

import time


def until_next(period: float) -> float:
    """Seconds until the clock of the loop is a multiple of `period` again.

    What is done every second is done at one moment of it: a process that sleeps is woken once.
    """
    return period - time.monotonic() % period
