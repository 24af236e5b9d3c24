"""Leases: the only keys that expire. One holder at a time, renewed every third of the TTL.

`kv.update` would drop the TTL and make a lease permanent, so a lease is written by raw
publish with `Nats-TTL` and the expected last sequence of its key (0, then the revision).
"""

from __future__ import annotations

import asyncio
import logging
import time

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus

log = logging.getLogger(__name__)


class Lease:
    """A named lease, held by at most one process of the mesh.

    `ttl` in whole seconds, at least 1. A holder that cannot renew stops believing in its
    lease before the server lets it lapse.
    """

    def __init__(self, bus: Bus, key: str, holder: str, ttl: int = 3) -> None:
        self._bus = bus
        self.key = key
        self.holder = holder
        self.ttl = ttl
        self._revision = 0
        self._valid_until = 0.0

    @property
    def held(self) -> bool:
        """True while this process may act under the lease (by this machine's own clock)."""
        return time.monotonic() < self._valid_until

    async def acquire(self) -> bool:
        """Take or renew the lease. False when another holds it or the server is away."""
        asked = time.monotonic()
        expected = self._revision if self.held else 0
        try:
            ack = await self._bus.js.publish(
                f"$KV.{subjects.BUCKET_LEASES}.{self.key}",
                self.holder.encode(),
                headers={
                    "Nats-Expected-Last-Subject-Sequence": str(expected),
                    "Nats-TTL": f"{self.ttl}s",
                },
                timeout=max(0.5, self.ttl / 3),
            )
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            log.debug("lease %s: %s", self.key, error)
            if isinstance(error, nats.js.errors.APIError):
                self._valid_until = 0.0
            return self.held
        self._revision = int(ack.seq)
        # Counted from before the request left: never later than the server counts.
        self._valid_until = asked + self.ttl
        return True

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
        """Renew until the lease is lost, then return."""
        while self.held:
            await asyncio.sleep(self.ttl / 3)
            await self.acquire()
