"""Changing what is known: edits, deletes and their undo, reviews, and tidying."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from sparkplug.memory import outcomes, upkeep
from sparkplug.memory.access import Caller
from sparkplug.memory.parts import Parts
from sparkplug.memory.rows import item_of
from sparkplug.memory.suspicion import flags_of
from sparkplug.schema.errors import NotFoundError, RefusedError, SparkplugError
from sparkplug.schema.memory import MOST_TEXT_BYTES, MemoryItem, MemorySource, MemoryState
from sparkplug.schema.memory_pruning import PruneReply, PruneRequest
from sparkplug.schema.memory_requests import EditRequest, ManyReply, ManyRequest

log = logging.getLogger(__name__)

_EXPIRE_EVERY_S = 15.0
_PURGE_EVERY = 240


class Changing:
    """What is changed on request; `keep_up` runs beside it and takes out what has expired."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def edit(self, caller: Caller, request: EditRequest) -> MemoryItem:
        """Other words, another scope, another weight. An agent changes what it wrote itself."""
        parts = self._parts
        row = await parts.on_reader(parts.catalogue.find, request.id)
        await self._check_changed(caller, row)
        if request.scope is not None:
            await parts.access.check_write(caller, request.scope)
        values: dict[str, float | None] = {}
        if request.importance is not None:
            values["importance"] = request.importance
        if request.confidence is not None:
            values["confidence"] = request.confidence
        if request.expires_seconds is not None:
            ends = time.time() + request.expires_seconds
            values["expires"] = ends if request.expires_seconds > 0 else None
        text = request.text
        if text is not None and not text.strip():
            raise SparkplugError("a memory cannot be empty", hint="delete it instead")
        if text is not None and len(text.encode(errors="surrogatepass")) > MOST_TEXT_BYTES:
            raise SparkplugError(f"a memory has at most {MOST_TEXT_BYTES >> 20} MiB")
        flags = flags_of(text) if text is not None else []
        source = MemorySource.PERSON if caller.is_person else MemorySource(row["source"])

        def work() -> MemoryItem:
            if text is not None and not caller.is_person:
                parts.writing.check_edit(caller.agent, row["id"], text)
            parts.catalogue.edit(
                row["id"],
                caller.author,
                text=text,
                version=request.version,
                scope=request.scope,
                flags=flags,
                quarantine=parts.writing.keeps_back(source, flags),
                values=values,
                why=request.why[:500],
            )
            found = parts.catalogue.find(row["id"])
            return item_of(found, parts.half_life)

        item = await parts.on_writer(work)
        parts.indexing.wake()
        parts.events.emit(
            "memory:updated",
            item.scope,
            actor=caller.author,
            data={"ids": [item.id], "version": item.version},
        )
        return item

    async def _check_changed(self, caller: Caller, row: Any) -> None:
        """An agent changes what it wrote itself; all else is for people."""
        if caller.is_person:
            return
        await self._parts.access.check_seen(caller, row["scope"], row["state"])
        if row["agent"] != caller.agent:
            raise RefusedError(f"{caller.agent} did not write that memory")

    async def _each(
        self,
        caller: Caller,
        request: ManyRequest,
        event: str,
        work: Callable[[Any, str], bool],
    ) -> ManyReply:
        """Do something to each, all in one transaction; what cannot be done is told of."""
        catalogue = self._parts.catalogue
        reply = ManyReply(changed=[])
        allowed: list[str] = []
        for one in dict.fromkeys(request.ids):
            try:
                row = await self._parts.on_reader(catalogue.find, one)
                if not caller.is_person:
                    deleted = row["state"] == MemoryState.DELETED
                    undone = event == "memory:added" and _of(row["deleted_by"]) == caller.agent
                    if row["agent"] != caller.agent or (deleted and not undone):
                        raise NotFoundError("no memory of that id")
                allowed.append(row["id"])
            except SparkplugError as error:
                reply.left[one] = error.message

        def change() -> ManyReply:
            with catalogue.change() as db:
                before = outcomes.answer(db, request.request)
                if before is not None:
                    return ManyReply.model_validate_json(before)
                for known in allowed:
                    try:
                        if work(db, known):
                            reply.changed.append(known)
                        else:
                            reply.left[known] = "nothing to do"
                    except SparkplugError as error:
                        reply.left[known] = error.message
                outcomes.set_answer(db, request.request, reply.model_dump_json())
            return reply

        reply = await self._parts.on_writer(change)
        self._parts.indexing.wake()
        if reply.changed:
            why = {"why": request.why[:500]} if request.why else {}
            self._parts.tell(event, "memory", caller.author, reply.changed, **why)
        return reply

    async def delete(self, caller: Caller, request: ManyRequest) -> ManyReply:
        """Delete several; they can be had back for a while."""

        def work(db: Any, known: str) -> bool:
            return self._parts.catalogue.delete(db, known, caller.author, request.why[:500])

        return await self._each(caller, request, "memory:deleted", work)

    async def undo(self, caller: Caller, request: ManyRequest) -> ManyReply:
        """Have deleted ones back."""

        def work(db: Any, known: str) -> bool:
            self._parts.catalogue.undo(db, known, caller.author, request.why[:500])
            return True

        return await self._each(caller, request, "memory:added", work)

    async def release(self, caller: Caller, request: ManyRequest) -> ManyReply:
        """Let several out of quarantine."""
        return await self._judge(caller, request, keep=True)

    async def quarantine(self, caller: Caller, request: ManyRequest) -> ManyReply:
        """Put several into quarantine."""
        return await self._judge(caller, request, keep=False)

    async def _judge(self, caller: Caller, request: ManyRequest, *, keep: bool) -> ManyReply:
        def work(db: Any, known: str) -> bool:
            why = request.why[:500]
            self._parts.catalogue.judge(db, known, caller.author, why, keep=keep)
            return True

        return await self._each(caller, request, "memory:updated", work)

    async def prune(self, caller: Caller, request: PruneRequest) -> PruneReply:
        """What could be tidied; with `apply`, tidied."""
        parts = self._parts
        async with parts.comparisons.begin(request.request) as comparison:
            # Not where others write: it takes its time.
            reply = await parts.on_reader(
                upkeep.propose, parts.catalogue, request, parts.half_life, comparison
            )
        if request.apply:
            await parts.on_writer(self._apply, reply, caller.author, request.compact)
            parts.indexing.wake()
            if reply.deleted:
                parts.tell("memory:deleted", "memory", caller.author, reply.deleted)
        return reply

    def _apply(self, reply: PruneReply, author: str, compacts: bool) -> None:
        upkeep.apply(self._parts.catalogue, reply, author, compacts=compacts)

    async def keep_up(self) -> None:
        """Take out what has expired, and let go of what cannot be had back; for ever."""
        rounds = 0
        while True:
            gone = await self._parts.on_writer(upkeep.expire, self._parts.catalogue)
            if gone:
                self._parts.indexing.wake()
                ids = [row["id"] for row in gone]
                self._parts.tell("memory:deleted", "memory", "", ids, why="expired")
            if rounds % _PURGE_EVERY == 0:
                await self._parts.on_writer(self._purge)
            rounds += 1
            await asyncio.sleep(_EXPIRE_EVERY_S)

    def _purge(self) -> None:
        with self._parts.catalogue.change() as db:
            self._parts.catalogue.purge_old(db)


def _of(author: str) -> str:
    """The agent of an author; what a person or the memory itself did is of none."""
    agent, slash, _ = author.partition("/")
    return agent if slash else ""
