"""Leases: the only keys that expire. One holder at a time, renewed well within the TTL.

`kv.update` would drop the TTL and make a lease permanent, so a lease is written by raw
publish with `Nats-TTL` and the expected last sequence of its key (0, then the revision).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.clock import until_next
from sparkplug.schema.errors import NoMeshError

log = logging.getLogger(__name__)

#: Goes on while the machine is suspended, as the server's clock does (Linux).
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def lease_clock() -> float:
    """Seconds by the clock that leases are counted with: the same in all processes of a host."""
    return time.clock_gettime(_CLOCK)


class Lease:
    """A named lease, held by at most one process of the mesh.

    `ttl` in whole seconds, at least 1. A holder that cannot renew stops believing in its
    lease before the server lets it lapse. With `own`, a lease that stands under the same
    holder's name was taken by an earlier process of ours and is taken over: `holder` must then
    name one place where never two such processes run.
    """

    def __init__(self, bus: Bus, key: str, holder: str, ttl: int = 3, *, own: bool = False) -> None:
        self._bus = bus
        self.key = key
        self.holder = holder
        self.ttl = ttl
        self._own = own
        self._revision = 0
        self._valid_until = 0.0
        #: When the last request that the server granted was sent (`lease_clock`); 0: none was.
        self.renewed = 0.0
        #: Counts up whenever the lease was taken anew, and not just renewed.
        self.taken = 0

    @property
    def held(self) -> bool:
        """True while this process may act under the lease (by this machine's own clock)."""
        return lease_clock() < self._valid_until

    @property
    def left(self) -> float:
        """Seconds for which it is held unless it is renewed; 0 when it is not."""
        return max(0.0, self._valid_until - lease_clock())

    async def acquire(self) -> bool:
        """Take or renew the lease. False when another holds it or the server is away."""
        asked = lease_clock()
        anew = not self.held
        try:
            revision = await self._publish(0 if anew else self._revision)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            log.debug("lease %s: %s", self.key, error)
            if not isinstance(error, nats.js.errors.APIError):
                return self.held
            self._valid_until = 0.0
            taken = await self._take_over() if self._own else 0
            if not taken:
                return False
            revision, anew = taken, True
        self._revision = revision
        self.taken += anew
        # Counted from before the request left: never later than the server counts.
        self._valid_until = asked + self.ttl
        self.renewed = asked
        return True

    async def _publish(self, expected: int) -> int:
        ack = await self._bus.js.publish(
            f"$KV.{subjects.BUCKET_LEASES}.{self.key}",
            self.holder.encode(),
            headers={
                "Nats-Expected-Last-Subject-Sequence": str(expected),
                "Nats-TTL": f"{self.ttl}s",
            },
            timeout=max(0.5, self.ttl / 3),
        )
        return int(ack.seq)

    async def _take_over(self) -> int:
        """Renew what an earlier process of ours took. 0 when it is another's."""
        try:
            entry = await Bucket(self._bus, subjects.BUCKET_LEASES).get(self.key)
            if entry is not None and entry.value != self.holder.encode():
                return 0
            return await self._publish(entry.revision if entry is not None else 0)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            log.debug("lease %s: %s", self.key, error)
            return 0

    async def release(self) -> None:
        """Give the lease up, so that the next holder need not wait for it to lapse."""
        if not self.held:
            return
        self._valid_until = 0.0
        try:
            # By sequence: a lease that another holder has taken meanwhile is not touched.
            await self._bus.js.delete_msg(f"KV_{subjects.BUCKET_LEASES}", self._revision)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            log.debug("lease %s not given back: %s", self.key, error)

    async def keep(self) -> None:
        """Renew until the lease is lost, then return. One that has lapsed is not taken anew:
        another may have had it meanwhile, as when this machine was suspended."""
        while self.held:
            await asyncio.sleep(until_next(self.ttl / 3))
            if self.held:
                await self.acquire()


async def while_held(lease: Lease, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` while the lease, renewed meanwhile, is held.

    Raises NoMeshError as soon as it is not, with the work cancelled, and what the work raises.
    """
    task = asyncio.ensure_future(work)
    keeper = asyncio.ensure_future(lease.keep())
    try:
        # The keeper returns when another has the lease; when it just lapses, time tells.
        while lease.held:
            await asyncio.wait(
                {task, keeper}, timeout=lease.left, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                task.result()
                return
            if keeper.done():
                break
        raise NoMeshError("its lease could not be kept")
    finally:
        await end(task, keeper)
