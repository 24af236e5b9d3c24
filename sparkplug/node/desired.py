"""What the mesh wants and who is there: specs, assignments and nodes, followed from the bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.leases import lease_clock
from sparkplug.schema.agent import Assignment, DesiredAgent
from sparkplug.schema.node import NodeState, ObservedNode

log = logging.getLogger(__name__)

ModelT = TypeVar("ModelT", bound=BaseModel)


class DesiredState:
    """A live copy of specs, assignments and node records; `changed` wakes on every difference."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.specs: dict[str, DesiredAgent] = {}
        self.assignments: dict[str, Assignment] = {}
        self.nodes: dict[str, ObservedNode] = {}
        #: When a node's lease, or its record, was last heard of (`lease_clock`), by its name.
        self.heard: dict[str, float] = {}
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

    async def run(self) -> None:
        """Follow for ever."""

        async def on_reconnect() -> None:
            # Others may have placed meanwhile: nothing is settled until all was read again.
            self._ready = dict.fromkeys(self._ready, False)
            self._settled.clear()

        self._bus.on_reconnect(on_reconnect)
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
            tasks.create_task(self._follow_leases())

    async def _follow_leases(self) -> None:
        """Hear of every renewal: it wakes nobody, since nothing differs."""
        watch = Bucket(self._bus, subjects.BUCKET_LEASES).watch(subjects.ALL_NODE_LEASES)
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.entry is not None and change.entry.value:
                    name = change.entry.key.removeprefix(subjects.node_lease(""))
                    self.heard[name] = lease_clock()

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
                    before = into.pop(key, None) if value is None else into.get(key)
                    if value is not None:
                        into[key] = value
                        if seen is not None:
                            seen.add(key)
                        if isinstance(value, ObservedNode):
                            self.heard.setdefault(value.name, lease_clock())
                            if not value.epoch:
                                # It knows no leases: its word is what is heard of it.
                                self.heard[value.name] = lease_clock()
                    if seen is None and _same(before, value):
                        continue
                if seen is None:
                    self._notify()

    def touch(self) -> None:
        """Something else that placing looks at has changed."""
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
        """The nodes that take agents. One that is gone is `stale`, once the placer has seen it."""
        return [
            node
            for node in self.nodes.values()
            if node.state in (NodeState.READY, NodeState.DEGRADED)
        ]


def _same(before: BaseModel | None, after: BaseModel | None) -> bool:
    """Whether a node's record says what it said before, but for when it says so."""
    if not isinstance(before, ObservedNode) or not isinstance(after, ObservedNode):
        return False
    return before.model_copy(update={"seen": after.seen}) == after
