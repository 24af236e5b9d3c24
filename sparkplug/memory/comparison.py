"""How far a comparison of all with all is, and stopping it: it takes its time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

from sparkplug.schema.errors import SparkplugError


class Comparison:
    """One that was asked for: it goes on in a thread, and is looked at from others."""

    def __init__(self) -> None:
        self._done = self._total = 0
        self._stopped = threading.Event()

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return min(1.0, self._done / self._total) if self._total else 0.0

    def begin(self, total: int) -> None:
        """There is so much to do."""
        self._total = total

    def went_on(self, done: int) -> None:
        """So much more of it is done. Raises SparkplugError when it is to stop."""
        self._done += done
        if self._stopped.is_set():
            raise SparkplugError("the comparison was stopped: who asked for it went away")

    def stop(self) -> None:
        """Nobody wants it any more."""
        self._stopped.set()


class Comparisons:
    """Those that go on, by the request that asked for them: one at a time, others wait."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._known: dict[str, Comparison] = {}

    @contextlib.asynccontextmanager
    async def begin(self, request: str) -> AsyncIterator[Comparison]:
        """Have its turn. Raises SparkplugError when it was stopped before that came."""
        made = Comparison()
        if request:
            self._known[request] = made
        try:
            async with self._one:
                made.went_on(0)
                yield made
        finally:
            self._known.pop(request, None)

    def find(self, request: str) -> Comparison | None:
        """The one that a request asked for; None: it is over, or did not come yet."""
        return self._known.get(request)
