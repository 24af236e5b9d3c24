"""Quantities as people write them in files: `16GiB`, `250ms`, `10m`. Stored in SI units."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_BYTES = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1000,
    "m": 1000**2,
    "mb": 1000**2,
    "g": 1000**3,
    "gb": 1000**3,
    "t": 1000**4,
    "tb": 1000**4,
    "kib": 1 << 10,
    "ki": 1 << 10,
    "mib": 1 << 20,
    "mi": 1 << 20,
    "gib": 1 << 30,
    "gi": 1 << 30,
    "tib": 1 << 40,
    "ti": 1 << 40,
}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER_UNIT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_bytes(value: Any) -> Any:
    """Bytes from `16GiB`, `500MB` or a plain number; anything else is an error naming the form."""
    if not isinstance(value, str):
        return value
    match = _NUMBER_UNIT.match(value)
    factor = _BYTES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError("a size is a number with a unit, like 16GiB or 500MB")
    return int(float(match[1]) * factor)


def parse_seconds(value: Any) -> Any:
    """Seconds from `30s`, `5m`, `1h30m`, `250ms` or a plain number of seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("a duration is a number with a unit, like 30s, 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)]
Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0, allow_inf_nan=False)]


def bytes_text(value: int) -> str:
    """Bytes as `parse_bytes` reads them, in the largest unit that needs no fraction."""
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        whole, rest = divmod(value, 1 << power)
        if whole and not rest and int(float(whole)) == whole:
            return f"{whole}{unit}"
    return str(value)


def seconds_text(value: float) -> str:
    """Seconds as `parse_seconds` reads them: `30s`, `1h30m`, `250ms`; the same value again."""
    exact = f"{Decimal(repr(value)):f}"
    texts = [f"{exact}s"]
    if 0 < value < 1:
        texts.insert(0, f"{Decimal(repr(value)) * 1000:f}".rstrip("0").rstrip(".") + "ms")
    elif value >= 60 and value == int(value):
        rest, found = int(value), ""
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
            count, rest = divmod(rest, size)
            found += f"{count}{unit}" if count else ""
        texts.insert(0, found)
    elif value == int(value):
        texts.insert(0, f"{int(value)}s")
    return next((text for text in texts if parse_seconds(text) == value), exact)
