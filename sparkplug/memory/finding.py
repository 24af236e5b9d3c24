"""Looking for what is known: searches, lists, all about one item; and who was given what."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from sparkplug.memory import looking
from sparkplug.memory.access import Caller
from sparkplug.memory.fitting import fit, room
from sparkplug.memory.indexing import BEHIND
from sparkplug.memory.parts import Parts
from sparkplug.memory.search import BESIDE_MEANINGS, BESIDE_WORDS, POOL, by_words, hybrid
from sparkplug.memory.vectors import Space
from sparkplug.schema.errors import RefusedError
from sparkplug.schema.memory import MemoryDescription, MemoryItem, MemoryState, MemoryVersion
from sparkplug.schema.memory_requests import (
    ItemRequest,
    ListReply,
    ListRequest,
    SearchReply,
    SearchRequest,
)

log = logging.getLogger(__name__)

_TOTAL_AGE_S = 1.0
_LOAD_WAIT_S = 20.0
#: So long a store is waited for; one that did not answer in that is left alone for a while.
_STORE_S = 10.0
_STORE_REST_S = 10.0

#: Ids and likenesses, or None and why there are none; and the space that was asked.
Nearest = tuple[list[tuple[str, float]] | None, str, Space | None]


class Finding:
    """What only reads. `note_reads` runs beside it and writes down who read."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._totals: tuple[float, dict[str, int]] = (0.0, {})
        self._indexed = 0
        self._store_rests = 0.0
        self._reads: list[tuple[list[int], str, str]] = []
        self._read_noted = asyncio.Event()

    async def search(self, caller: Caller, request: SearchRequest) -> SearchReply:
        """What is like a question, by meaning and by words, of what the caller may read."""
        began = time.perf_counter()
        parts, indexing = self._parts, self._parts.indexing
        scopes = await parts.access.readable(caller, request.scopes, request.run)
        if indexing.serving is None and not indexing.loaded.is_set():
            await asyncio.to_thread(indexing.loaded.wait, _LOAD_WAIT_S)
        total, within = await self._share(scopes)
        space = indexing.serving
        meant = self._meant(space, request.query, scopes, within, total)
        worded = parts.on_reader(self._worded, request.query, scopes, total)
        (semantic, note, space), lexical = await asyncio.gather(meant, worded)
        pairs = await parts.on_reader(
            self._put_together, space, semantic, lexical, scopes, request.limit
        )
        if pairs and not caller.is_person:
            run = request.run if await self._was_in(caller, request.run) else ""
            self._reads.append(([row["row"] for row, _ in pairs], caller.agent, run))
            self._read_noted.set()
        hits = [hit for _, hit in pairs]
        self._fit(hits)
        if not note and total - self._indexed >= BEHIND:
            note = f"{self._indexed} of {total} memories are compared by meaning yet, all by words"
        return SearchReply.model_construct(
            v=1,
            hits=hits,
            took_ms=round((time.perf_counter() - began) * 1000, 2),
            embedder=space.name if space is not None else "",
            note=note,
        )

    async def _was_in(self, caller: Caller, run: str) -> bool:
        return bool(run) and caller.agent in await self._parts.company.run_agents(run)

    async def _meant(
        self, space: Space | None, query: str, scopes: list[str] | None, within: int, total: int
    ) -> Nearest:
        """What is nearest by meaning; of a store that does not answer nothing, and that is said."""
        away = "compared by words alone: "
        if space is None:
            indexing = self._parts.indexing
            why = indexing.error or (
                "the embedder before is not there, the next one is filling"
                if indexing.loaded.is_set()
                else "the embedder is still being loaded"
            )
            return None, away + why, None
        silent = f"{away}{self._parts.settings.store} does not answer"
        if time.monotonic() < self._store_rests:
            return None, silent, space
        try:
            async with asyncio.timeout(_STORE_S):
                asked = (space, query, scopes, within, total)
                return await self._parts.on_store(self._nearest, *asked)
        except TimeoutError:
            log.warning("the store did not answer within %g s", _STORE_S)
            self._store_rests = time.monotonic() + _STORE_REST_S
            return None, silent, space

    def _nearest(
        self, space: Space, query: str, scopes: list[str] | None, within: int, total: int
    ) -> Nearest:
        try:
            return space.search(query, scopes, POOL, within, total), "", space
        except Exception as error:  # noqa: BLE001  the stores' own kinds: words still find
            successor = self._parts.indexing.serving
            if successor is not None and successor is not space:
                # It was taken down in the middle of this: the next one has all of it.
                return self._nearest(successor, query, scopes, within, total)
            log.warning("vectors are not searched: %s", error)
            why = f"compared by words alone: {type(error).__name__}: {error}"[:200]
            return None, why, space

    def _worded(self, query: str, scopes: list[str] | None, total: int) -> Any:
        return by_words(self._parts.catalogue.reader, query, scopes, total=total)

    def _put_together(
        self,
        space: Space | None,
        semantic: Any,
        lexical: Any,
        scopes: list[str] | None,
        limit: int,
    ) -> Any:
        compares_words = space is not None and space.name.startswith("lexical-")
        return hybrid(
            self._parts.catalogue.reader,
            semantic,
            lexical,
            scopes,
            limit=limit,
            half_life=self._parts.half_life,
            beside=BESIDE_WORDS if compares_words else BESIDE_MEANINGS,
            unlike=space.unlike if space is not None else 0.0,
        )

    async def _share(self, scopes: list[str] | None) -> tuple[int, int]:
        """How many memories there are, and how many of them are in some scopes."""
        read, totals = self._totals
        if time.monotonic() - read > _TOTAL_AGE_S or not totals:
            totals, self._indexed = await self._parts.on_reader(self._count)
            self._totals = (time.monotonic(), totals)
        total = sum(totals.values())
        if scopes is None:
            return total, total
        return total, sum(totals.get(scope, 0) for scope in scopes)

    def _count(self) -> tuple[dict[str, int], int]:
        """How many memories each scope has, and how many of all have a vector."""
        sql = "SELECT scope, count(*) AS n FROM items WHERE state = 'kept' GROUP BY scope"
        rows = self._parts.catalogue.reader.execute(sql)
        return {row["scope"]: row["n"] for row in rows}, self._parts.indexing.indexed()

    async def list(self, caller: Caller, request: ListRequest) -> ListReply:
        """A page of items, the newest first."""
        scopes = await self._parts.access.readable(caller, request.scopes, "")
        if not caller.is_person and request.state is not MemoryState.KEPT:
            raise RefusedError("what is in quarantine or deleted is for people")

        def work() -> ListReply:
            reader = self._parts.catalogue.reader
            return looking.list_items(reader, request, scopes, self._parts.half_life)

        made = await self._parts.on_reader(work)
        self._fit(made.items)
        return made

    async def describe(self, caller: Caller, request: ItemRequest) -> MemoryDescription:
        """All that is known of one item, and how the runs that read it ended."""
        parts = self._parts
        row = await parts.on_reader(parts.catalogue.find, request.id)
        if not caller.is_person:
            await parts.access.check_seen(caller, row["scope"], row["state"])
        made = await parts.on_reader(looking.describe, parts.catalogue, row, parts.half_life)
        made.run_ended = await parts.company.run_state(made.item.run)
        for read in made.reads[:20]:
            read.ended = await parts.company.run_state(read.run)
        self._fit([made.item, *made.versions])
        return made

    def _fit(self, records: Sequence[MemoryItem | MemoryVersion]) -> None:
        """Have an answer be one that a message holds."""
        fit(records, lambda one: one.text, _cut, room(self._parts.bus.nc.max_payload))

    async def note_reads(self) -> None:
        """Write down who was given what, after the answer went out; for ever."""
        while True:
            await self._read_noted.wait()
            self._read_noted.clear()
            reads, self._reads = self._reads, []
            for rows, agent, run in reads:
                await self._parts.on_writer(self._parts.catalogue.note_reads, rows, agent, run)


def _cut(record: MemoryItem | MemoryVersion, text: str) -> None:
    record.text = text
