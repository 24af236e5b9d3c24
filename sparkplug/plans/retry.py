"""How long to wait before the next attempt: exponential backoff with full jitter."""

from __future__ import annotations

import random

from sparkplug.schema.plan import Retry

#: However often a step failed, its next attempt is at most this far away (seconds).
MAX_DELAY_S = 300.0


def delay(retry: Retry, failures: int, chance: random.Random) -> float:
    """Seconds to wait after the `failures`-th failure (from 1).

    `backoff * factor ** (failures - 1)`, at most MAX_DELAY_S; with jitter a uniformly chosen
    share of it. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
    2015 ("full jitter").
    """
    try:
        longest = min(MAX_DELAY_S, retry.backoff * retry.factor ** (failures - 1))
    except OverflowError:
        longest = MAX_DELAY_S
    return chance.uniform(0.0, longest) if retry.jitter else longest
