"""What people want of nodes, and how many replicas load calls for: followed from the bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent import ScaledAgent
from sparkplug.schema.node import NodeOrder

ModelT = TypeVar("ModelT", bound=BaseModel)


class Orders:
    """A live copy of the buckets `nodes` and `scale`; `changed` is called after each difference."""

    def __init__(self, bus: Bus, changed: Callable[[], None]) -> None:
        self._bus = bus
        self._changed = changed
        self.nodes: dict[str, NodeOrder] = {}
        self.scaled: dict[str, ScaledAgent] = {}
        self._read = {
            subjects.BUCKET_NODES: asyncio.Event(),
            subjects.BUCKET_SCALE: asyncio.Event(),
        }

    async def settled(self) -> None:
        """Return once both were read as they are."""
        for read in self._read.values():
            await read.wait()

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(subjects.BUCKET_NODES, NodeOrder, self.nodes))
            tasks.create_task(self._follow(subjects.BUCKET_SCALE, ScaledAgent, self.scaled))

    async def _follow(self, bucket: str, model: type[ModelT], into: dict[str, ModelT]) -> None:
        fresh: dict[str, ModelT] | None = None
        watch = Bucket(self._bus, bucket).watch()
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    fresh = {}
                    continue
                if change.entry is None:
                    if fresh is not None:
                        into.clear()
                        into.update(fresh)
                        fresh = None
                    self._read[bucket].set()
                else:
                    taking = into if fresh is None else fresh
                    value = decode(model, change.entry)
                    if value is None:
                        taking.pop(change.entry.key, None)
                    else:
                        taking[change.entry.key] = value
                if fresh is None:
                    self._changed()
