"""This node's lease and epoch: what it may run and write, and since when it is cut off.

The epoch is the sequence of the fence that is raised with every lease taken anew. What the node
writes carries it, so the server refuses what a node writes late that lost its lease meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path

import nats.errors
import nats.js.errors
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.bus.leases import Lease, lease_clock
from sparkplug.clock import until_next
from sparkplug.node import run_files
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, SparkplugError
from sparkplug.schema.node_lease import (
    CUT_OFF_AFTER_S,
    KILL_AFTER_S,
    RENEW_EVERY_S,
    STOP_AFTER_S,
    TTL_S,
    LeaseTerm,
)

log = logging.getLogger(__name__)

_TICK_S = 0.25
_AGAIN_S = 0.5
_CALL_DEADLINE_S = 3.0
#: An earlier process of this host, or a host that is gone, holds the name no longer than this.
_NAME_DEADLINE_S = TTL_S + 6.0


class Standing(IntEnum):
    """How it stands with the lease; later ones are worse."""

    HELD = 0
    CUT_OFF = 1
    ENDING = 2
    OVER = 3


class NodeLease:
    """Holds the lease of one node for as long as the mesh can be reached.

    `holder` names this host's state directory, on which never two nodes run. `server_down`,
    where the mesh's server is this host's own, says whether its process is down: nobody can
    take anything meanwhile, so the term does not run on.
    """

    def __init__(
        self,
        bus: Bus,
        node: str,
        holder: str,
        path: Path,
        *,
        server_down: Callable[[], bool] | None = None,
    ) -> None:
        self._bus = bus
        self._node = node
        self._path = path
        self._server_down = server_down
        self._lease = Lease(bus, subjects.node_lease(node), holder, TTL_S, own=True)
        self._bucket = Bucket(bus, subjects.BUCKET_OBSERVED)
        self._taken = 0
        self._epoch = 0
        self._wake = asyncio.Event()
        self._joined = asyncio.Event()
        self._on_epoch: list[Callable[[], None]] = []
        self._on_standing: list[Callable[[Standing], None]] = []
        term = _read(path)
        #: Nobody else is there to take the agents: they run on, whatever becomes of the lease.
        self.alone = term is not None and term.kill_at is None
        self._renewed: float | None = None
        if term is not None:
            now = lease_clock()
            renewed = now if term.kill_at is None else term.kill_at - KILL_AFTER_S
            # The clock began anew with the host: that term was of another life.
            self._renewed = renewed if renewed <= now else None
        self.standing = Standing.HELD

    @property
    def epoch(self) -> int:
        """The epoch under which this node may write and start what may move; 0: none."""
        return self._epoch if self._lease.held else 0

    def fence(self) -> tuple[str, int] | None:
        """What every write of observed state carries; None while nothing may be written."""
        return (subjects.node_lease(self._node), self.epoch) if self.epoch else None

    @property
    def kill_at(self) -> float | None:
        """When the last of what may move is killed (`lease_clock`); None: it is not."""
        return None if self.alone or self._renewed is None else self._renewed + KILL_AFTER_S

    @property
    def cut_off(self) -> datetime | None:
        """Since when the lease was not renewed; None while it is held."""
        if self.standing is Standing.HELD or self._renewed is None:
            return None
        return utc_now() - timedelta(seconds=lease_clock() - self._renewed)

    def on_epoch(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the node has a new epoch."""
        self._on_epoch.append(listener)

    def on_standing(self, listener: Callable[[Standing], None]) -> None:
        """Call `listener` whenever the standing is another."""
        self._on_standing.append(listener)

    async def joined(self) -> None:
        """Return with the first epoch. Raises ConflictError when another host has the name."""
        try:
            async with asyncio.timeout(_NAME_DEADLINE_S):
                while not self._joined.is_set():
                    waiting = asyncio.ensure_future(self._joined.wait())
                    try:
                        await asyncio.wait({waiting}, timeout=_AGAIN_S)
                    finally:
                        waiting.cancel()
        except TimeoutError:
            if not self._bus.connected or not await self._is_anothers():
                await self._joined.wait()
                return
            raise ConflictError(
                f"another host is in this mesh as {self._node}",
                where=self._bus.shown_url,
                hint="give this one a name of its own: sparkplug config set node.name NAME",
            ) from None

    async def _is_anothers(self) -> bool:
        entry = await Bucket(self._bus, subjects.BUCKET_LEASES).get(self._lease.key)
        return entry is not None and entry.value != self._lease.holder.encode()

    def refused(self) -> None:
        """A write was refused: the mesh has given our replicas to others. Begin anew."""
        if self._epoch:
            log.warning("the mesh goes on without epoch %d of this node", self._epoch)
        self._epoch = 0
        self._taken = 0
        self._wake.set()

    def set_alone(self, alone: bool) -> None:
        """Whether others are there that could take the agents; deadlines begin or end."""
        if alone is not self.alone:
            self.alone = alone
            self._write_term()

    async def run(self) -> None:
        """Hold it for ever."""

        async def on_reconnect() -> None:
            self._wake.set()

        remove = self._bus.on_reconnect(on_reconnect)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._renew_often())
                tasks.create_task(self._watch())
        finally:
            remove()

    async def release(self) -> None:
        """Give the lease up: this node runs nothing any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CALL_DEADLINE_S):
                await self._lease.release()
        self._epoch = 0
        self._path.unlink(missing_ok=True)

    async def _renew_often(self) -> None:
        while True:
            self._wake.clear()
            # What is published while the server is away is sent later, when it means nothing.
            renewed = self._bus.connected and await self._renew()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_next(RENEW_EVERY_S) if renewed else _AGAIN_S):
                    await self._wake.wait()

    async def _renew(self) -> bool:
        try:
            async with asyncio.timeout(_CALL_DEADLINE_S):
                before = self._lease.renewed
                if not await self._lease.acquire() or self._lease.renewed == before:
                    return False
                anew = self._lease.taken != self._taken
                if anew:
                    self._epoch = 0
                    self._epoch = await self._bucket.raise_fence(subjects.node_lease(self._node))
                    self._taken = self._lease.taken
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error, SparkplugError) as error:
            log.debug("lease of %s: %s", self._node, error)
            return False
        self._renewed = self._lease.renewed
        self._write_term()
        self._stand(Standing.HELD)
        if anew:
            log.info("%s has its lease, epoch %d", self._node, self._epoch)
            self._joined.set()
            for listener in self._on_epoch:
                listener()
        return True

    def _write_term(self) -> None:
        renewed, lasts = self._renewed, not self.alone
        if renewed is None:
            return
        term = LeaseTerm(
            epoch=self._epoch,
            stop_at=renewed + STOP_AFTER_S if lasts else None,
            kill_at=renewed + KILL_AFTER_S if lasts else None,
        )
        try:
            run_files.write(self._path, term.model_dump(mode="json"))
        except OSError as error:
            log.error("the agents cannot be told of the lease: %s", error)

    async def _watch(self) -> None:
        """Know in time that the lease runs out, whatever the renewals wait for."""
        while True:
            await asyncio.sleep(until_next(_TICK_S))
            if self._renewed is None:
                continue
            age = lease_clock() - self._renewed
            if age > RENEW_EVERY_S and self._server_down is not None and self._server_down():
                self._renewed = lease_clock()
                self._write_term()
                continue
            if age < CUT_OFF_AFTER_S:
                continue
            if self.alone or age < STOP_AFTER_S:
                self._stand(Standing.CUT_OFF)
            else:
                self._stand(Standing.ENDING if age < KILL_AFTER_S else Standing.OVER)

    def _stand(self, standing: Standing) -> None:
        if standing is self.standing:
            return
        self.standing = standing
        for listener in self._on_standing:
            listener(standing)


def _read(path: Path) -> LeaseTerm | None:
    try:
        return LeaseTerm.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
