"""What agents say they used. Whoever meters models tells it the same way."""

from __future__ import annotations

import json
from typing import Any

#: How a status chunk begins that tells what was used: `usage {"total_tokens": 12}`.
USAGE_PREFIX = "usage "
_MOST = 1 << 40


def tokens_in_status(text: str) -> int:
    """The tokens that a status of an agent tells of; 0 when it tells of none."""
    if not text.startswith(USAGE_PREFIX):
        return 0
    try:
        return _total(json.loads(text.removeprefix(USAGE_PREFIX)))
    except ValueError:
        return 0


def tokens_in_answer(answer: Any) -> int:
    """The tokens that an answer tells of under `usage`, as model APIs do; else 0."""
    return _total(answer.get("usage")) if isinstance(answer, dict) else 0


def _total(usage: Any) -> int:
    if not isinstance(usage, dict):
        return 0
    total = usage.get("total_tokens", usage.get("tokens"))
    if total is None:
        total = sum(
            value
            for key in ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")
            if isinstance(value := usage.get(key), int)
        )
    if isinstance(total, bool) or not isinstance(total, int | float):
        return 0
    return int(min(max(total, 0), _MOST))
