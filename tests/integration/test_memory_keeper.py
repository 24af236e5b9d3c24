"""The keeper of the memory's process: what was asked of one that is killed is answered yet."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from fakes.mesh_server import MeshServer
from fakes.node import eventually
from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.node.memory_keeper import MemoryKeeper
from sparkplug.paths import Paths
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.memory_requests import (
    ListReply,
    ListRequest,
    ManyReply,
    ManyRequest,
    MemoryAdd,
    MemoryOutcome,
    OutcomeRequest,
)
from sparkplug.schema.node import NodeState, ObservedNode

PERSON = subjects.memory_face("root")
#: More than a keeper remembers of one verb.
MANY = 5_000


@dataclass
class Kept:
    """A keeper in this process, and its child."""

    bus: Bus
    home: Path
    keeper: MemoryKeeper

    async def process(self) -> psutil.Process:
        """The process there is now, or soon."""

        def found() -> psutil.Process | None:
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.Error):
                    command = child.cmdline()
                    if "sparkplug.memory" in command and str(self.home) in command:
                        return child
            return None

        child = await eventually(found, 60)
        assert isinstance(child, psutil.Process)
        return child

    async def kill(self) -> None:
        """SIGKILL, and nothing said."""
        os.kill((await self.process()).pid, signal.SIGKILL)

    async def add(self, text: str) -> str:
        """Have something remembered; its id."""
        request = MemoryAdd(text=text, infer=False)
        await wire.write(self.bus, PERSON, request)
        asked = OutcomeRequest(write=request.id, wait=20)
        made = await wire.ask(self.bus, "outcome", PERSON, asked, MemoryOutcome)
        return made.ids[0]

    async def list(self) -> ListReply:
        """Something that is answered at once."""
        return await wire.ask(self.bus, "list", PERSON, ListRequest(limit=1), ListReply)

    async def many(self, verb: str, ids: list[str]) -> ManyReply:
        """Delete or undo."""
        request = ManyRequest(ids=ids)
        return await wire.ask(self.bus, verb, PERSON, request, ManyReply, deadline=60.0)


@pytest.fixture
async def kept(mesh_server: MeshServer, tmp_path: Path) -> AsyncIterator[Kept]:
    paths = Paths(tmp_path / "home")
    for folder in (paths.home, paths.logs, paths.run):
        folder.mkdir(exist_ok=True)
    bus = await mesh_server.connect("node")
    face = await mesh_server.connect("face")
    seen = ObservedNode(name="here", host="here", state=NodeState.READY, version="1", pid=1)
    await Bucket(bus, subjects.BUCKET_OBSERVED).put("nodes.here", seen)
    keeper = MemoryKeeper(bus, "here", "here", paths, lambda: mesh_server.credentials)
    task = asyncio.create_task(keeper.run())
    assert await eventually(lambda: wire.home_of(face), 30)
    yield Kept(face, paths.home, keeper)
    # Cancelled once: it waits for its process, as a node that goes down lets it.
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_takes_long_is_answered_though_thousands_were_asked_since(kept: Kept) -> None:
    known = await kept.add("the harbour freezes in January")
    assert (await kept.many("delete", [known])).changed == [known]
    # Whoever holds the catalogue lets nothing be changed: the undo is taken, and waits.
    with contextlib.closing(sqlite3.connect(kept.home / "memory" / "catalogue.db")) as db:
        db.execute("BEGIN IMMEDIATE")
        undone = asyncio.create_task(kept.many("undo", [known]))
        for _ in range(MANY // 250):
            await asyncio.gather(*(kept.list() for _ in range(250)))
        assert not undone.done()
        await kept.kill()
    async with asyncio.timeout(45):
        assert (await undone).changed == [known]


async def test_what_is_asked_of_one_that_is_killed_as_it_starts_is_answered(kept: Kept) -> None:
    asked = asyncio.create_task(kept.list())
    for _ in range(2):
        killed = await kept.process()
        killed.kill()

        def another(killed: psutil.Process = killed) -> bool:
            return not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE

        assert await eventually(another, 30)
    assert (await asked).total == 0


async def test_one_that_is_killed_however_often_it_starts_is_told_of(kept: Kept) -> None:
    async def kill_each() -> None:
        while True:
            with contextlib.suppress(psutil.Error):
                (await kept.process()).kill()
            await asyncio.sleep(0.01)

    killing = asyncio.create_task(kill_each())
    with pytest.raises(SparkplugError, match="the memory does not start"):
        await kept.list()
    await end(killing)


async def test_what_is_said_while_it_is_looked_up_whether_anything_waits_is_stored(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await kept.list()).total == 0
    looked = asyncio.Event()
    waiting = kept.keeper._waiting

    async def waiting_and_then_something_is_said() -> bool:
        """Nothing waits as this is asked, and something does as its answer is read."""
        found = await waiting()
        if not looked.is_set():
            looked.set()
            assert not found
            await wire.write(kept.bus, PERSON, MemoryAdd(text="said in between", infer=False))
            assert await eventually(kept.keeper._wanted.is_set, 30)
        return found

    kept.keeper._wanted.clear()
    monkeypatch.setattr(kept.keeper, "_waiting", waiting_and_then_something_is_said)
    await kept.kill()
    await asyncio.wait_for(looked.wait(), 30)
    # Nobody asks anything: what was said alone has a process begin.
    assert await eventually(lambda: _written(kept.home), 60)


def _written(home: Path) -> bool:
    with contextlib.closing(sqlite3.connect(home / "memory" / "catalogue.db")) as db:
        return bool(db.execute("SELECT count(*) FROM items").fetchone()[0])
