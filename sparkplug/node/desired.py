"""What the mesh wants and who is there: specs, assignments and nodes, followed from the bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent import Assignment, DesiredAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.node import NodeState, ObservedNode

log = logging.getLogger(__name__)

ModelT = TypeVar("ModelT", bound=BaseModel)

#: A node that has not written its record for so long is stale (it writes every 5 s).
STALE_AFTER_S = 15.0


class DesiredState:
    """A live copy of specs, assignments and node records; `changed` wakes on every difference."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.specs: dict[str, DesiredAgent] = {}
        self.assignments: dict[str, Assignment] = {}
        self.nodes: dict[str, ObservedNode] = {}
        self.version = 0
        self._ready = {"specs": False, "assignments": False, "nodes": False}
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, once all three were read."""
        self._listeners.append(listener)

    async def settled(self) -> None:
        """Return once all three were read as they are."""
        await self._settled.wait()

    async def changed(self, since: int) -> None:
        """Return once `version` is past `since`: nothing that happened between is missed."""
        while self.version <= since:
            await self._changed.wait()

    def wake(self) -> None:
        """Wake all who wait for a change: what they look at beside these three differs."""
        self._notify()

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self._follow(subjects.BUCKET_SPECS, ">", DesiredAgent, self.specs, "specs")
            )
            tasks.create_task(
                self._follow(
                    subjects.BUCKET_ASSIGNMENTS, ">", Assignment, self.assignments, "assignments"
                )
            )
            tasks.create_task(
                self._follow(subjects.BUCKET_OBSERVED, "nodes.>", ObservedNode, self.nodes, "nodes")
            )

    async def _follow(
        self, bucket: str, pattern: str, model: type[ModelT], into: dict[str, ModelT], what: str
    ) -> None:
        seen: set[str] | None = None
        watch = Bucket(self._bus, bucket).watch(pattern)
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    seen = set()
                elif change.entry is None:
                    for key in set(into) - (seen or set()):
                        del into[key]
                    seen = None
                    self._ready[what] = True
                    if all(self._ready.values()):
                        self._settled.set()
                else:
                    key = change.entry.key
                    value = decode(model, change.entry)
                    if value is None:
                        into.pop(key, None)
                    else:
                        into[key] = value
                        if seen is not None:
                            seen.add(key)
                if seen is None:
                    self._notify()

    def _notify(self) -> None:
        if not self._settled.is_set():
            return
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()
        for listener in self._listeners:
            listener()

    def by_replica(self) -> Mapping[tuple[str, str], Assignment]:
        """The assignments by (agent, replica)."""
        return {(a.agent, str(a.replica)): a for a in self.assignments.values()}

    def live_nodes(self) -> list[ObservedNode]:
        """The nodes that are up and were heard of lately."""
        oldest = utc_now() - timedelta(seconds=STALE_AFTER_S)
        return [
            node
            for node in self.nodes.values()
            if node.state in (NodeState.READY, NodeState.DEGRADED) and node.seen > oldest
        ]
