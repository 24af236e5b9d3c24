"""Latency in classes: quantiles near the truth, and what came since."""

from __future__ import annotations

import random
import statistics

from sparkplug.schema.usage import Latency


def test_quantiles_are_within_ten_percent() -> None:
    generator = random.Random(3)
    times = [generator.lognormvariate(-2, 1) for _ in range(5000)]
    latency = Latency()
    for seconds in times:
        latency.note(seconds)
    cuts = statistics.quantiles(times, n=100)
    for share, truth in ((0.5, cuts[49]), (0.95, cuts[94])):
        found = latency.quantile(share)
        assert found is not None
        assert abs(found - truth) / truth < 0.1


def test_none_without_answers_and_any_length_is_taken() -> None:
    latency = Latency()
    assert latency.quantile(0.5) is None
    latency.note(0.0)
    latency.note(1e9)
    assert sum(latency.buckets.values()) == 2
    assert (latency.quantile(0.1) or 1) < 0.002
    assert (latency.quantile(1.0) or 0) > 3600


def test_since_leaves_out_what_was_there() -> None:
    before = Latency()
    before.note(10.0)
    now = Latency(before.buckets)
    now.note(0.1)
    found = now.since(before).quantile(0.95)
    assert found is not None
    assert found < 0.2
