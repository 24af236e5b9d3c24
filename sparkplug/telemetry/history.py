"""The last samples of a host, in memory."""

from __future__ import annotations

import time
import zlib
from collections import deque

from sparkplug.schema.host import HostSample

#: Samples younger than this are kept as they are, older ones packed: an hour of eight GPUs
#: then takes a few MiB instead of a hundred.
UNPACKED_SECONDS = 90.0


class History:
    """Samples of the last `seconds`, by when they came (monotonic), oldest first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._recent: deque[tuple[float, HostSample]] = deque()
        self._packed: deque[tuple[float, bytes]] = deque()

    def add(self, sample: HostSample) -> None:
        """Keep a sample and let go of those that are too old."""
        now = time.monotonic()
        self._recent.append((now, sample))
        while self._recent and self._recent[0][0] < now - UNPACKED_SECONDS:
            came, old = self._recent.popleft()
            self._packed.append((came, zlib.compress(old.model_dump_json().encode(), 1)))
        for kept in (self._packed, self._recent):
            while kept and kept[0][0] < now - self._seconds:
                kept.popleft()

    def window(self, seconds: float) -> list[HostSample]:
        """The samples of the last `seconds`; unpacking an hour takes a few tenths of a second."""
        since = time.monotonic() - seconds
        packed = [
            HostSample.model_validate_json(zlib.decompress(data))
            for came, data in self._packed
            if came >= since
        ]
        return packed + [sample for came, sample in self._recent if came >= since]
