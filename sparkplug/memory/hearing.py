"""Taking what is said: who may, stored at once or left to a model, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from nats.aio.msg import Msg
from pydantic import ValidationError

from sparkplug.memory import outcomes
from sparkplug.memory.access import Caller, caller_of
from sparkplug.memory.extraction import Extraction
from sparkplug.memory.intake import Intake
from sparkplug.memory.parts import Parts
from sparkplug.memory.writing import Taken, Write
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.memory_requests import MemoryAdd, MemoryOutcome, OutcomeRequest

log = logging.getLogger(__name__)


class Hearing:
    """What comes through the queue. Its `intake` runs beside it, its `extraction` in a thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._outcomes = asyncio.Condition()
        self.intake = Intake(parts.bus, self._take)
        self.extraction = Extraction(
            parts.catalogue, parts.writing, parts.indexing, parts.llm, self._tell_from_thread
        )

    async def _take(self, messages: Sequence[Msg]) -> None:
        writes = []
        for message in messages:
            write = await self._read(message)
            if write is not None:
                writes.append(write)
        if not writes:
            return
        taken = await self._parts.on_writer(self._parts.writing.take, writes)
        self._parts.indexing.wake()
        if any(outcome.state == "extracting" for outcome in taken.outcomes):
            self.extraction.wake()
        await self._tell(taken)

    async def _read(self, message: Msg) -> Write | None:
        """A write as it came; one that may not be is told so. None for what is none."""
        caller = caller_of(message.subject.split(".")[3:])
        try:
            request = MemoryAdd.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("no write on %s: %s", message.subject, error.errors()[:1])
            return None
        if caller is None:
            log.warning("a write on %s names nobody", message.subject)
            return None
        write = Write(caller, request)
        access = self._parts.access
        try:
            write.scope = request.scope or access.default_scope(caller, request.run)
            await access.check_write(caller, write.scope)
        except SparkplugError as error:
            write.refused = error.message
            log.warning("a write of %s is refused: %s", caller.author, error.message)
        return write

    def _tell_from_thread(self, taken: Taken) -> None:
        asyncio.run_coroutine_threadsafe(self._tell(taken), self._loop)

    async def _tell(self, taken: Taken) -> None:
        for (scope, author), ids in taken.added.items():
            self._parts.tell("memory:added", scope, author, ids)
        async with self._outcomes:
            self._outcomes.notify_all()

    def _found(self, write: str) -> MemoryOutcome | None:
        return outcomes.outcome(self._parts.catalogue.reader, write)

    async def outcome(self, caller: Caller, request: OutcomeRequest) -> MemoryOutcome:
        """What became of a write, waited for as long as is asked."""
        self._parts.access.check_enabled(caller)
        deadline = time.monotonic() + request.wait
        async with self._outcomes:
            while True:
                found = await self._parts.on_reader(self._found, request.write)
                if found is not None and found.state != "extracting":
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    return found or MemoryOutcome(write=request.write, state="waiting")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._outcomes.wait()
