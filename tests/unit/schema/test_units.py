"""Sizes and durations as people write them."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from sparkplug.schema.units import Bytes, Seconds

BYTES = TypeAdapter(Bytes)
SECONDS = TypeAdapter(Seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GiB", 16 * 1024**3),
        ("500MB", 500_000_000),
        ("1.5 MiB", 1_572_864),
        ("4k", 4000),
        ("2Ti", 2 * 1024**4),
        ("0", 0),
        (" 7b ", 7),
        (4096, 4096),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert BYTES.validate_python(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "1 parsec", "1GiB2", "0x10", "1e9"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValidationError, match="like 16GiB or 500MB"):
        BYTES.validate_python(text)


def test_a_size_is_not_negative() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        BYTES.validate_python(-1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("7d", 604_800.0),
        ("2.5", 2.5),
        (" 1s ", 1.0),
        (3, 3.0),
    ],
)
def test_durations(text: str | int, seconds: float) -> None:
    assert SECONDS.validate_python(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "-1s", "1h 30m", "m5"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValidationError, match="like 30s, 5m or 1h30m"):
        SECONDS.validate_python(text)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -0.5, "9" * 400])
def test_a_duration_is_finite_and_not_negative(value: float | str) -> None:
    with pytest.raises(ValidationError):
        SECONDS.validate_python(value)
