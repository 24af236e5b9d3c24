"""How much is remembered, by whom, where, and what is still being worked on."""

from __future__ import annotations

import contextlib
from pathlib import Path

from sparkplug.memory import looking
from sparkplug.memory.access import Caller
from sparkplug.memory.folders import folders
from sparkplug.memory.hearing import Hearing
from sparkplug.memory.parts import Parts
from sparkplug.schema.memory_requests import ItemRequest
from sparkplug.schema.memory_stats import MemoryStats


class Stats:
    """Answers for the use of the memory."""

    def __init__(self, parts: Parts, hearing: Hearing) -> None:
        self._parts = parts
        self._hearing = hearing

    async def answer(self, _caller: Caller, _request: ItemRequest) -> MemoryStats:
        """All of it, now."""
        made = await self._parts.on_reader(self._read)
        made.waiting = await self._hearing.intake.waiting()
        return made

    def _read(self) -> MemoryStats:
        parts, indexing = self._parts, self._parts.indexing
        db = parts.catalogue.reader
        scopes = looking.scopes_in_use(db)
        space = indexing.serving
        flagged = db.execute(
            "SELECT count(*) AS n FROM items WHERE state = 'kept' AND flags != ''"
        ).fetchone()["n"]
        return MemoryStats(
            node=parts.node,
            items=sum(use.items for use in scopes),
            bytes=sum(use.bytes for use in scopes),
            quarantined=sum(use.quarantined for use in scopes),
            deleted=sum(use.deleted for use in scopes),
            flagged=flagged,
            scopes=scopes,
            agents=looking.agents_in_use(
                db, parts.settings.quota_items, parts.settings.quota_bytes
            ),
            growth=looking.growth(db),
            embedder=space.name if space is not None else "",
            embedder_note=space.embedder.note if space is not None else indexing.error,
            store=parts.settings.store,
            indexed=indexing.indexed(),
            reembedding=indexing.progress(),
            extraction=self._hearing.extraction.model,
            extracting=self._hearing.extraction.waiting(),
            disk_bytes=_disk(parts.folder),
            folders=folders(db),
        )


def _disk(folder: Path) -> int:
    """Bytes of all files of the memory."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                total += path.stat().st_size
    return total
