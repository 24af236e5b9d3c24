"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sparkplug.cli import figures


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "—"),
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0KiB"),
        (512 << 20, "512MiB"),
        (61 << 30, "61.0GiB"),
        (3 << 50, "3.0PiB"),
        (5000 << 50, "5000PiB"),
    ],
)
def test_size(count: int | None, text: str) -> None:
    assert figures.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (-3, "0s"),
        (59.9, "59s"),
        (131, "2m11s"),
        (3 * 3600 + 300, "3h05m"),
        (4 * 86400 + 7200, "4d2h"),
    ],
)
def test_span(seconds: float | None, text: str) -> None:
    assert figures.span(seconds) == text


def test_what_is_not_supported_is_a_dash_and_never_zero() -> None:
    assert figures.percent(None) == figures.number(None) == figures.age(None) == "—"
    assert figures.percent(0.0) == "0%"


def test_age() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert figures.age(now - timedelta(seconds=8), now) == "8s"
