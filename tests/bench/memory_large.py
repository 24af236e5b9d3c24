"""The memory with 100,000 items on a real node: how long a search takes, and the pane to open.

The store is made once, by importing a file of JSON lines, and kept for the next time in the
folder `MEMORY_BENCH_STORE` when that is set; `MEMORY_BENCH_ITEMS` chooses another size.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figure, p50, p95
from bench.pty_meter import Meter
from fakes.node import Node
from sparkplug.client import memory
from sparkplug.client.session import Client
from sparkplug.schema.memory import MemoryItem, MemoryVersion
from sparkplug.schema.memory_export import ExportedMemory
from sparkplug.schema.memory_requests import ListRequest, SearchRequest

_WORDS = "disk cable fan rack probe kernel driver tensor batch queue token shard cache".split()  # noqa: SIM905
_SEARCHES = 100
_OPENINGS = 5
_BUILD_S = 3600.0
#: On the screen when the pane is there: what only the newest memory says.
_NEWEST = "the newest of all"
_SETTLED_S = 3.0


def run() -> Iterator[Figure]:
    """All figures."""
    count = int(os.environ.get("MEMORY_BENCH_ITEMS", "100000"))
    kept = os.environ.get("MEMORY_BENCH_STORE", "")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="sp-memory-large-"))
    folder.mkdir(parents=True, exist_ok=True)
    node = Node(folder / "s", {"SPARKPLUG_MEMORY_EMBEDDER": "lexical"})
    node.up()
    try:
        yield from asyncio.run(_asked(node, folder, count))
        yield Figure("the pane opens, p50", 1000 * p50(list(_openings(node))), "ms", bar=300)
    finally:
        node.close()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


async def _asked(node: Node, folder: Path, count: int) -> list[Figure]:
    async with node.client() as client:
        await _fill(client, folder, count)
        figures = []
        for title, scopes in (("all", []), ("one scope", ["agent:a3"]), ("mesh", ["mesh"])):
            spent = []
            for number in range(_SEARCHES):
                request = SearchRequest(query=_question(number), scopes=scopes, limit=10)
                began = time.perf_counter()
                await memory.search(client, request)
                spent.append((time.perf_counter() - began) * 1000)
            name = f"search among {count}, {title}, p95"
            figures.append(Figure(name, p95(spent), "ms", bar=100))
        began = time.perf_counter()
        await memory.list_items(client, ListRequest(limit=200))
        spent_list = (time.perf_counter() - began) * 1000
        figures.append(Figure("what the pane asks before its first rows", spent_list, "ms"))
        return figures


def _question(number: int) -> str:
    return f"{_WORDS[number % 13]} {_WORDS[number // 3 % 13]} {number * 37} on gpu-{number % 64}"


async def _fill(client: Client, folder: Path, count: int) -> None:
    """Import what is missing, and wait until all of it has a vector."""
    if (await memory.stats(client)).items < count:
        path = folder / "all.jsonl"
        await asyncio.to_thread(_write_lines, path, count)
        await memory.import_lines(client, path)
        path.unlink()
    deadline = time.monotonic() + _BUILD_S
    while (found := await memory.stats(client)).indexed < found.items:
        assert time.monotonic() < deadline, "the vectors are not made"
        await asyncio.sleep(1.0)


def _write_lines(path: Path, count: int) -> None:
    now = datetime.now(UTC)
    with path.open("w") as file:
        for n in range(count):
            text = (
                f"{_WORDS[n % 13]} {_WORDS[n // 13 % 13]} number {n} on host gpu-{n % 64}"
                f" at {n % 97} degrees"
            )
            if n == count - 1:
                text = f"{_NEWEST}: {text}"
            created = now - timedelta(seconds=count - n)
            item = MemoryItem(
                id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"large {n}")),
                text=text,
                scope="mesh" if n % 3 else f"agent:a{n % 40}",
                agent="" if n % 3 else f"a{n % 40}",
                author="bench",
                created=created,
                updated=created,
            )
            version = MemoryVersion(version=1, text=text, time=created, author="bench")
            file.write(ExportedMemory(item=item, versions=[version]).model_dump_json() + "\n")


def _openings(node: Node) -> Iterator[float]:
    """Seconds from the pane's key until its newest row is on the screen, in fresh centres."""
    code = "from sparkplug.tui.main import main; raise SystemExit(main(pane='overview'))"
    for _ in range(_OPENINGS):
        with Meter([sys.executable, "-c", code], node.env) as meter:
            meter.painted()
            meter.read(_SETTLED_S)
            yield meter.key_time(b"7", _NEWEST.encode())
