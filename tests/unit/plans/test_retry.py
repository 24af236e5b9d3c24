"""Waiting between attempts."""

from __future__ import annotations

import random

from sparkplug.plans.retry import MAX_DELAY_S, delay
from sparkplug.schema.plan import Retry


def test_without_jitter_the_wait_grows_by_its_factor_up_to_a_limit() -> None:
    retry = Retry(max=9, backoff=0.5, factor=3, jitter=False)
    chance = random.Random(1)
    assert [delay(retry, n, chance) for n in (1, 2, 3)] == [0.5, 1.5, 4.5]
    assert delay(retry, 90, chance) == MAX_DELAY_S
    assert delay(retry, 100_000, chance) == MAX_DELAY_S


def test_full_jitter_spreads_over_the_whole_wait() -> None:
    retry = Retry(max=9, backoff=1, factor=2)
    chance = random.Random(1)
    waits = [delay(retry, 3, chance) for _ in range(2000)]
    assert min(waits) < 0.1
    assert 3.9 < max(waits) <= 4.0
    assert 1.9 < sum(waits) / len(waits) < 2.1
