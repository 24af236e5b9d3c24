"""A memory service of a test's own, in its process, for the pane that shows it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tui_mesh import Mesh

from sparkplug.config import load_settings
from sparkplug.memory.access import Caller
from sparkplug.memory.quiet import keep_quiet
from sparkplug.memory.service import MemoryService
from sparkplug.memory.writing import Write, Writing
from sparkplug.schema.settings import MemorySection

ANA = Caller("ana", "o", "0")
PERSON = Caller("", "", "", "root")


def fill(service: MemoryService, writes: list[Write]) -> None:
    """Store these at once."""
    writing = Writing(service.catalogue, MemorySection(), "host", lambda _: False)
    writing.take(writes)


@contextlib.asynccontextmanager
async def serving(mesh: Mesh, folder: Path) -> AsyncIterator[MemoryService]:
    """A service that answers on the mesh."""
    folder = folder / "memory"
    folder.mkdir()
    keep_quiet(folder)
    bus = await mesh.server.connect("memory")
    service = MemoryService(bus, load_settings(environ={}), folder, "host")
    ready = asyncio.Event()
    task = asyncio.create_task(service.run(ready.set))
    try:
        await ready.wait()
        yield service
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
