"""How long to wait before a call is made again."""

from __future__ import annotations

import email.utils
import random
from collections.abc import Mapping
from datetime import UTC, datetime

_BASE_S = 0.25
_CAP_S = 8.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110, 10.2.3), None when it does not."""
    text = headers.get("retry-after-ms")
    if text:
        try:
            return max(0.0, float(text) / 1000)
        except ValueError:
            pass
    text = headers.get("retry-after")
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def backoff(tries: int) -> float:
    """Seconds before the next try after `tries` that failed: exponential, with full jitter."""
    return random.uniform(0.0, min(_CAP_S, _BASE_S * 2 ** (tries - 1)))  # noqa: S311
