"""How long is waited before a model is asked again, and how long one is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from sparkplug.llm.errors import ModelUnavailableError, RateLimitedError
from sparkplug.llm.health import Health
from sparkplug.llm.waits import backoff, retry_after


def test_waits_are_spread_over_the_whole_of_a_span_that_doubles() -> None:
    for tries, longest in ((1, 0.25), (2, 0.5), (3, 1.0), (6, 8.0), (50, 8.0)):
        found = [backoff(tries) for _ in range(400)]
        assert 0 <= min(found) < longest * 0.1
        assert longest * 0.9 < max(found) <= longest


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "-2"}, 0.0),
        ({"retry-after-ms": "150", "retry-after": "9"}, 0.15),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    when = datetime.now(UTC) + timedelta(seconds=60)
    found = retry_after({"retry-after": format_datetime(when, usegmt=True)})
    assert found is not None
    assert 0 < found <= 60


def test_one_that_fails_on_is_left_alone_for_longer_each_time() -> None:
    health = Health()
    left = []
    for _ in range(9):
        health.failed(ModelUnavailableError("no"))
        left.append(round(health.cooling))
    assert left == [0, 0, 5, 10, 20, 40, 60, 60, 60]
    health.ok()
    assert health.cooling == 0
    health.failed(ModelUnavailableError("no"))
    assert health.cooling == 0


def test_one_that_says_for_how_long_is_left_alone_so_long_at_once() -> None:
    health = Health()
    health.failed(RateLimitedError("slow down", retry_after=7.0))
    assert round(health.cooling) == 7
    health.failed(RateLimitedError("slow down", retry_after=3600.0))
    assert round(health.cooling) == 60
