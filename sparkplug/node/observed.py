"""The node's writer of observed state: the newest value of each key, coalesced, never lost."""

from __future__ import annotations

import asyncio
import logging

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.schema.base import Record
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)


class ObservedState:
    """Values waiting to be written. A key set twice before it is written is written once."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, subjects.BUCKET_OBSERVED)
        self._dirty: dict[str, Record | None] = {}
        #: What each key was set to last: what did not change is not written again.
        self._set: dict[str, Record] = {}
        self._wake = asyncio.Event()

    def set(self, key: str, value: Record) -> None:
        """Write `value` soon, when it is another than the last."""
        if self._set.get(key) == value:
            return
        self._dirty[key] = self._set[key] = value.model_copy(deep=True)
        self._wake.set()

    def remove(self, key: str) -> None:
        """Delete the key soon."""
        self._set.pop(key, None)
        self._dirty[key] = None
        self._wake.set()

    async def run(self) -> None:
        """Write for ever; what the server did not take is tried again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self.flush():
                self._wake.set()
                await asyncio.sleep(0.2)

    async def flush(self) -> bool:
        """Write all that waits. False when something could not be written."""
        while self._dirty:
            key = next(iter(self._dirty))
            value = self._dirty.pop(key)
            try:
                if value is None:
                    await self._bucket.delete(key)
                else:
                    await self._bucket.put(key, value)
            except (
                TimeoutError,
                nats.errors.Error,
                nats.js.errors.Error,
                SparkplugError,
            ) as error:
                log.debug("%s is written later: %s", key, error)
                self._dirty.setdefault(key, value)
                return False
        return True


def agent_key(name: str, replica: str) -> str:
    """Where a replica's observed state is."""
    return f"agents.{name}.{replica}"


def foreign_key(name: str, owner: str, session: str) -> str:
    """Where a foreign agent's observed state is."""
    return f"foreign.{name}.{owner}.{session}"


def node_key(name: str) -> str:
    """Where a node's observed state is."""
    return f"nodes.{name}"
