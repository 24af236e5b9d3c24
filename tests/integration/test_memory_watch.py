"""Folders of documents that change before anybody watches them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import watchfiles

from fakes.node import eventually
from sparkplug.config import load_settings
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.knowledge import Knowledge
from sparkplug.schema.memory_documents import IngestRequest


async def test_what_is_written_before_its_folder_is_watched_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "one.md").write_text("One lantern\n")
    (tmp_path / "memory").mkdir()
    catalogue = Catalogue(tmp_path / "memory")
    knowledge = Knowledge(catalogue, load_settings().memory, "here", lambda: None)
    await asyncio.to_thread(
        knowledge.ingest, IngestRequest(path=str(folder), scope="mesh"), "a person"
    )
    watches = watchfiles.awatch

    async def late(*paths: Any, **options: Any) -> AsyncGenerator[Any, None]:
        (folder / "two.md").write_text("Two anchors\n")
        async for changes in watches(*paths, **options):
            yield changes

    monkeypatch.setattr(watchfiles, "awatch", late)
    running = asyncio.create_task(knowledge.run())

    def read() -> bool:
        rows = catalogue.reader.execute("SELECT path FROM files").fetchall()
        return {Path(row["path"]).name for row in rows} == {"one.md", "two.md"}

    try:
        await eventually(read, 30)
    finally:
        knowledge.look_again()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        catalogue.close()
