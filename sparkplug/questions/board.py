"""A live copy of every question of the mesh."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from sparkplug.bus.buckets import decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.questions import questions
from sparkplug.schema.question import Question


class Board:
    """Follows the bucket. What it has may be a moment old: whoever changes reads again first."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._questions: dict[str, Question] = {}
        self._waiters: set[asyncio.Event] = set()

    async def run(self) -> None:
        """Follow for ever."""
        async with contextlib.aclosing(questions(self._bus).watch()) as changes:
            async for change in changes:
                if change.reset:
                    self._questions.clear()
                entry = change.entry
                if entry is None:
                    self._wake()
                    continue
                if not entry.key.startswith("q."):
                    continue
                found = decode(Question, entry)
                if found is None:
                    self._questions.pop(entry.key, None)
                else:
                    self._questions[entry.key] = found
                self._wake()

    def all(self) -> list[Question]:
        """Every question that is kept."""
        return list(self._questions.values())

    @contextlib.contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something changed, while the block runs."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.set()
