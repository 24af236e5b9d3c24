"""The placer: the one elected writer of assignments (replica to node and GPUs)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.leases import Lease
from sparkplug.node.desired import DesiredState
from sparkplug.node.observed import ObservedState, agent_key
from sparkplug.node.placement import Placement
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)

_LEASE = "placer"
_TTL_S = 3


class Placer:
    """Stands for election on every node; the holder of the lease places."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        owner: str,
        state: DesiredState,
        observed: ObservedState,
        placement: Placement,
    ) -> None:
        self._lease = Lease(bus, _LEASE, node, _TTL_S)
        self._bucket = Bucket(bus, subjects.BUCKET_ASSIGNMENTS)
        self._owner = owner
        self._state = state
        self._observed = observed
        self._placement = placement
        self._told: dict[tuple[str, str], str] = {}

    @property
    def elected(self) -> bool:
        """True while this node is the one that places."""
        return self._lease.held

    async def run(self) -> None:
        """Stand for election for ever, and place while elected."""
        try:
            while True:
                if await self._lease.acquire():
                    await self._hold_office()
                await asyncio.sleep(_TTL_S / 3)
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await self._lease.release()

    async def _hold_office(self) -> None:
        keeper = asyncio.create_task(self._lease.keep())
        duties = asyncio.create_task(self._placement.hold())
        try:
            # Every later write carries this fence: a placer that was replaced is refused.
            fence = (_LEASE, await self._bucket.raise_fence(_LEASE))
            while self._lease.held:
                await self._state.settled()
                await self._placement.orders.settled()
                seen = self._state.version
                await self._place(fence)
                changed = asyncio.create_task(self._state.changed(seen))
                await asyncio.wait({changed, keeper, duties}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if duties.done():
                    duties.result()
        except (
            TimeoutError,
            nats.errors.Error,
            nats.js.errors.Error,
            SparkplugError,
        ) as error:
            log.info("placing is interrupted: %s", error)
        finally:
            keeper.cancel()
            await end(duties)

    async def _place(self, fence: tuple[str, int]) -> None:
        state = self._state
        placed = self._placement.place()
        for key, assignment in placed.assignments.items():
            if state.assignments.get(key) != assignment:
                revision = await self._bucket.put(key, assignment, fence=fence)
                self._placement.written(key, revision)
                state.assignments[key] = assignment
        for key in [key for key in state.assignments if key not in placed.assignments]:
            await self._bucket.delete(key, fence=fence)
            state.assignments.pop(key, None)
            self._placement.removed(key)
        self._tell_unplaced(placed.unplaced, placed.waiting_gpu)

    def _tell_unplaced(
        self, unplaced: Mapping[tuple[str, str], str], waiting: Collection[tuple[str, str]]
    ) -> None:
        """Until a node has it, the placer is who knows how a replica is."""
        for key, why in unplaced.items():
            if self._told.get(key) == why:
                continue
            desired = self._state.specs[key[0]]
            self._observed.set(
                agent_key(*key),
                ObservedAgent(
                    name=key[0],
                    replica=key[1],
                    runtime=desired.spec.runtime,
                    type=desired.spec.type,
                    description=desired.spec.description,
                    capabilities=desired.spec.capabilities,
                    owner=self._owner,
                    state=AgentState.WAITING_GPU if key in waiting else AgentState.DEPLOYING,
                    reason=why,
                    generation=desired.generation,
                ),
            )
        for name, replica in self._told:
            gone = int(replica) >= self._placement.count(name)
            if gone and (name, replica) not in unplaced:
                self._observed.remove(agent_key(name, replica))
        self._told = dict(unplaced)
