"""The placer: the one elected writer of assignments (replica to node and GPUs)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import Lease
from sparkplug.node.desired import DesiredState
from sparkplug.node.observed import ObservedState, agent_key
from sparkplug.node.placing import Candidate, place
from sparkplug.node.rollouts import Rollouts
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)

_LEASE = "placer"
_TTL_S = 3


def _candidates(state: DesiredState) -> list[Candidate]:
    return [
        Candidate(node.name, node.labels, tuple(node.gpus))
        for node in sorted(state.live_nodes(), key=lambda node: node.name)
    ]


class Placer:
    """Stands for election on every node; the holder of the lease places."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        owner: str,
        state: DesiredState,
        observed: ObservedState,
        events: EventLog,
    ) -> None:
        self._lease = Lease(bus, _LEASE, node, _TTL_S)
        self._bucket = Bucket(bus, subjects.BUCKET_ASSIGNMENTS)
        self._owner = owner
        self._state = state
        self._observed = observed
        self._rollouts = Rollouts(bus, state, events)
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
        watching = asyncio.create_task(self._rollouts.follow(), name="rollouts")
        try:
            # Every later write carries this fence: a placer that was replaced is refused.
            fence = (_LEASE, await self._bucket.raise_fence(_LEASE))
            while self._lease.held:
                await self._state.settled()
                await self._rollouts.settled()
                seen = self._state.version
                await self._place(fence)
                changed = asyncio.create_task(self._state.changed(seen))
                await asyncio.wait({changed, keeper}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        except (
            TimeoutError,
            nats.errors.Error,
            nats.js.errors.Error,
            SparkplugError,
        ) as error:
            log.info("placing is interrupted: %s", error)
        finally:
            keeper.cancel()
            await end(watching)

    async def _place(self, fence: tuple[str, int]) -> None:
        state = self._state
        placed = place(state.specs, state.assignments, _candidates(state))
        for key, assignment in self._rollouts.pace(state.assignments, placed.assignments).items():
            if state.assignments.get(key) != assignment:
                await self._bucket.put(key, assignment, fence=fence)
                state.assignments[key] = assignment
        for key in [key for key in state.assignments if key not in placed.assignments]:
            await self._bucket.delete(key, fence=fence)
            state.assignments.pop(key, None)
        self._tell_unplaced(placed.unplaced)

    def _tell_unplaced(self, unplaced: Mapping[tuple[str, str], str]) -> None:
        """Until a node has it, the placer is who knows how a replica is."""
        for key, why in unplaced.items():
            if self._told.get(key) == why:
                continue
            desired = self._state.specs[key[0]]
            waiting_gpu = desired.spec.resources.gpus > 0 and "GPU" in why
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
                    state=AgentState.WAITING_GPU if waiting_gpu else AgentState.DEPLOYING,
                    reason=why,
                    generation=desired.generation,
                ),
            )
        for name, replica in self._told:
            gone = name not in self._state.specs or (
                int(replica) >= self._state.specs[name].spec.replicas
            )
            if gone and (name, replica) not in unplaced:
                self._observed.remove(agent_key(name, replica))
        self._told = dict(unplaced)
