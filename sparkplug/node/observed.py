"""The node's writer of observed state: the newest value of each key, coalesced, never lost.

Every write carries the node's fence. A value that the server refuses is of a node that lost its
lease: it is dropped, since another may have written that key meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.schema.base import Record
from sparkplug.schema.errors import ConflictError, SparkplugError

log = logging.getLogger(__name__)

_AGENTS = "agents."


class ObservedState:
    """Values waiting to be written. A key set twice before it is written is written once.

    `fence` gives the fence of the moment, None while nothing may be written; `refused` is called
    when the server refused one.
    """

    def __init__(
        self,
        bus: Bus,
        fence: Callable[[], tuple[str, int] | None],
        refused: Callable[[], None],
    ) -> None:
        self._bucket = Bucket(bus, subjects.BUCKET_OBSERVED)
        self._fence = fence
        self._refused = refused
        self._dirty: dict[str, Record | None] = {}
        #: What each key was set to last: what did not change is not written again.
        self._set: dict[str, Record] = {}
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()

    def set(self, key: str, value: Record) -> None:
        """Write `value` soon, when it is another than the last."""
        if self._set.get(key) == value:
            return
        self._dirty.pop(key, None)
        self._dirty[key] = self._set[key] = value.model_copy(deep=True)
        self._wake.set()

    def remove(self, key: str) -> None:
        """Delete the key soon."""
        self._set.pop(key, None)
        self._dirty.pop(key, None)
        self._dirty[key] = None
        self._wake.set()

    def forget(self, key: str) -> None:
        """Have what the key is set to next written, though it be what it was set to last."""
        self._set.pop(key, None)

    def drop_late(self) -> None:
        """Forget what was said of replicas under the epoch before: they may be elsewhere now."""
        for key in [key for key in self._dirty if key.startswith(_AGENTS)]:
            del self._dirty[key]
        # It is to be said again, though it be the same.
        self._set = {k: value for k, value in self._set.items() if not k.startswith(_AGENTS)}

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
        async with self._writing:
            while self._dirty:
                fence = self._fence()
                if fence is None:
                    return False
                key = next(iter(self._dirty))
                value = self._dirty.pop(key)
                try:
                    await self._write(key, value, fence)
                except ConflictError:
                    log.warning("%s is refused: it was written under an old epoch", key)
                    if not key.startswith(_AGENTS):
                        self._dirty.setdefault(key, value)
                    else:
                        self._set.pop(key, None)
                    if fence == self._fence():
                        self._refused()
                    return False
                except (
                    TimeoutError,
                    nats.errors.Error,
                    nats.js.errors.Error,
                    SparkplugError,
                ) as error:
                    log.debug("%s is written later: %s", key, error)
                    self._keep(key, value, fence)
                    return False
            return True

    def _keep(self, key: str, value: Record | None, fence: tuple[str, int]) -> None:
        """Try again, unless the epoch passed while the server did not answer."""
        if key not in self._dirty and not (key.startswith(_AGENTS) and fence != self._fence()):
            self._dirty = {key: value, **self._dirty}

    async def _write(self, key: str, value: Record | None, fence: tuple[str, int]) -> None:
        if value is None:
            await self._bucket.delete(key, fence=fence)
        else:
            await self._bucket.put(key, value, fence=fence)


def agent_key(name: str, replica: str) -> str:
    """Where a replica's observed state is."""
    return f"{_AGENTS}{name}.{replica}"


def foreign_key(name: str, owner: str, session: str) -> str:
    """Where a foreign agent's observed state is."""
    return f"foreign.{name}.{owner}.{session}"


def node_key(name: str) -> str:
    """Where a node's observed state is."""
    return f"nodes.{name}"
