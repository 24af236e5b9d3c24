"""What the rooms of the memory service share: the catalogue, its threads, who may, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.config import Settings
from sparkplug.memory.access import Access
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.company import Company
from sparkplug.memory.comparison import Comparisons
from sparkplug.memory.embedders.choose import choose_embedder
from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.indexing import Indexing
from sparkplug.memory.vectors import Space
from sparkplug.memory.writing import Write, Writing

ResultT = TypeVar("ResultT")

_TOLD_IDS = 20


class Parts:
    """One of each. All that writes runs on one thread, what reads on a few others."""

    def __init__(self, bus: Bus, settings: Settings, folder: Path, node: str) -> None:
        self.bus = bus
        self.settings = settings.memory
        self.llm = settings.llm
        self.folder = folder
        self.node = node
        self.half_life = settings.memory.half_life
        self.catalogue = Catalogue(folder)
        self.company = Company(bus)
        self.access = Access(
            settings.memory.groups,
            settings.memory.readers,
            self.company.policy_of,
            self.company.run_agents,
        )
        self.events = EventLog(bus, node, "memory")
        self.comparisons = Comparisons()
        self.indexing = Indexing(self.catalogue, self._wanted_space, self._earlier_space)
        self.writing = Writing(self.catalogue, settings.memory, node, self._extracts)
        self._writer = ThreadPoolExecutor(1, "memory-write")
        self._readers = ThreadPoolExecutor(3, "memory-read")
        self._store = ThreadPoolExecutor(3, "memory-store")

    async def on_writer(self, work: Callable[..., ResultT], *given: Any) -> ResultT:
        """Run what changes the catalogue: one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *given)

    async def on_reader(self, work: Callable[..., ResultT], *given: Any) -> ResultT:
        """Run what only reads it."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *given)

    async def on_store(self, work: Callable[..., ResultT], *given: Any) -> ResultT:
        """Run what asks the store of vectors, which may be far, or gone: it holds up no other."""
        return await asyncio.get_running_loop().run_in_executor(self._store, work, *given)

    def tell(
        self, event: str, subject: str, author: str, ids: Sequence[str], **more: object
    ) -> None:
        """Say what happened to some memories; of many the first are named."""
        data = {"ids": list(ids[:_TOLD_IDS]), "count": len(ids), **more}
        self.events.emit(event, subject, actor=author, data=data)

    def close(self) -> None:
        """Let go of the threads and the file, once all that is begun is done."""
        self.indexing.stop()
        self._writer.shutdown()
        self._readers.shutdown()
        self._store.shutdown(wait=False, cancel_futures=True)
        self.catalogue.close()

    def _wanted_space(self) -> Space:
        return Space(self.folder, self.settings, self.llm, choose_embedder(self.settings))

    def _earlier_space(self, name: str) -> Space | None:
        """The space of an embedder before, when it is one that needs nothing but us."""
        if not name.startswith("lexical-"):
            return None
        embedder = LexicalEmbedder(int(name.rpartition("-")[2]))
        return Space(self.folder, self.settings, self.llm, embedder)

    def _extracts(self, write: Write) -> bool:
        asked = write.request.infer
        if not self.llm.endpoint or self.settings.extract == "never" or asked is False:
            return False
        # What a person types is meant as it stands.
        return bool(asked) or not write.caller.is_person
