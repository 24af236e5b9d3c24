"""The memory's process, killed in the middle of many adds: what was acknowledged is there, once.

What was acknowledged is written down here, outside of the memory, and compared with all that it
lists afterwards. Items that were deleted before a kill are had back after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field

import psutil

from fakes.node import Node, eventually
from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.client import memory
from sparkplug.client.session import Client
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.memory_requests import ListRequest, MemoryAdd

_SETTLE_S = 240.0
_PAGE = 2000
_DELETED = 20
_PAUSE_S = 0.05


def process_of(node: Node) -> psutil.Process | None:
    """The memory's process: a child of the daemon."""
    with contextlib.suppress(psutil.Error, KeyError):
        for process in psutil.Process(node.run_file("node.json")["pid"]).children():
            if "sparkplug.memory" in process.cmdline():
                return process
    return None


@dataclass
class MemoryArena:
    """A node, what was acknowledged in each round, and what came out wrong."""

    node: Node
    generator: random.Random
    writers: int = 16
    kills: int = 0
    acknowledged: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)

    async def round(self, client: Client, number: int, adds: int) -> None:
        """So many adds with a kill among them; then all is looked through."""
        scope = f"group:round-{number}"
        told: list[str] = []
        todo = iter(range(adds))
        killing = asyncio.create_task(self._kill_at(told, self.generator.randrange(1, adds)))
        async with asyncio.TaskGroup() as group:
            for _ in range(self.writers):
                group.create_task(self._write(client, scope, todo, told))
        await killing
        self.acknowledged += len(told)
        if not await eventually(lambda: self._stored(client, scope, len(told)), _SETTLE_S):
            self.faults.append(f"round {number}: not all {len(told)} were stored in time")
        found = await self._all(client, scope)
        self._compare(number, told, found)
        await self._undo(client, number, list(found)[:_DELETED])

    async def _write(self, client: Client, scope: str, todo: object, told: list[str]) -> None:
        caller = subjects.memory_face(client.actor)
        for number in todo:  # type: ignore[attr-defined]  # an iterator that all writers share
            text = f"event {number} of {scope} was seen by a writer"
            request = MemoryAdd(text=text, scope=scope, infer=False)
            while True:
                try:
                    await wire.write(client.bus, caller, request)
                    break
                except SparkplugError:  # the queue is full: that is back-pressure
                    self.refused += 1
                    await asyncio.sleep(_PAUSE_S)
            told.append(text)

    async def _kill_at(self, told: list[str], count: int) -> None:
        """Kill the process once so many were acknowledged, while it works."""
        while len(told) < count:
            await asyncio.sleep(0.001)
        running = await eventually(lambda: process_of(self.node), _SETTLE_S)
        assert running
        os.kill(running.pid, signal.SIGKILL)
        self.kills += 1

    async def _stored(self, client: Client, scope: str, count: int) -> bool:
        with contextlib.suppress(SparkplugError):
            request = ListRequest(scopes=[scope], limit=1)
            return (await memory.list_items(client, request)).total >= count
        return False

    async def _all(self, client: Client, scope: str) -> dict[str, str]:
        found: dict[str, str] = {}
        while True:
            request = ListRequest(scopes=[scope], offset=len(found), limit=_PAGE)
            page = await memory.list_items(client, request)
            found |= {item.id: item.text for item in page.items}
            if not page.items:
                return found

    def _compare(self, number: int, told: list[str], found: dict[str, str]) -> None:
        counts = Counter(found.values())
        lost = [text for text in told if text not in counts]
        twice = [text for text, count in counts.items() if count > 1]
        strange = counts.keys() - set(told)
        for what, texts in (("lost", lost), ("twice", twice), ("never acknowledged", strange)):
            if texts:
                self.faults.append(f"round {number}: {len(texts)} {what}: {sorted(texts)[:3]}")

    async def _undo(self, client: Client, number: int, ids: list[str]) -> None:
        """What was deleted before a kill is had back after it."""
        gone = await memory.many(client, "delete", ids)
        running = process_of(self.node)
        if running is not None:
            os.kill(running.pid, signal.SIGKILL)
            self.kills += 1
        back = await memory.many(client, "undo", ids)
        if not set(ids) == set(gone.changed) == set(back.changed):
            self.faults.append(f"round {number}: undo: {gone.left} {back.left}")

    def report(self) -> str:
        """What happened, in a line."""
        return (
            f"memory: {self.acknowledged} adds acknowledged, {self.refused} told to wait,"
            f" {self.kills} kills, {len(self.faults)} faults"
        )


async def kill_in_adds(node: Node, rounds: int, adds: int, seed: int) -> MemoryArena:
    """So many rounds of so many adds, with a kill in the middle of each."""
    arena = MemoryArena(node, random.Random(seed))
    async with node.client() as client:
        await memory.stats(client)
        for number in range(rounds):
            await arena.round(client, number, adds)
            print(f"{number + 1} of {rounds}: {arena.report()}", flush=True)
    return arena
