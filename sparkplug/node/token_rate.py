"""Tokens a second, over the last ten seconds of a count that grows."""

from __future__ import annotations

from collections import deque

_SPAN_S = 10.0


class TokenRate:
    """A count as it was, now and then. None until a model was asked at all."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, count: int, now: float) -> float | None:
        """Note the count; the rate up to now."""
        seen = self._seen
        seen.append((now, count))
        while len(seen) > 2 and now - seen[1][0] >= _SPAN_S:
            seen.popleft()
        began, before = seen[0]
        if not count:
            return None
        if now <= began:
            return 0.0
        return round(max(0, count - before) / (now - began), 1)
