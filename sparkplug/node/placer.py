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
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import Lease
from sparkplug.clock import until_next
from sparkplug.node.desired import DesiredState
from sparkplug.node.handovers import Handovers
from sparkplug.node.lapses import Lapses
from sparkplug.node.observed import ObservedState, agent_key
from sparkplug.node.placement import Placement
from sparkplug.node.rollouts import Rollouts
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import AgentState, ReasonKind, StateSource
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)

_LEASE = "placer"
_TTL_S = 3
#: How often leases are looked at, and nodes that are to let go of a replica.
_LOOK_S = 1.0
_LEAVING_LOOK_S = 0.2


class Placer:
    """Stands for election on every node; the holder of the lease places."""

    def __init__(
        self,
        bus: Bus,
        holder: str,
        owner: str,
        state: DesiredState,
        observed: ObservedState,
        events: EventLog,
        placement: Placement,
    ) -> None:
        self._bus = bus
        self._lease = Lease(bus, _LEASE, holder, _TTL_S, own=True)
        self._bucket = Bucket(bus, subjects.BUCKET_ASSIGNMENTS)
        self._owner = owner
        self._state = state
        self._observed = observed
        self._placement = placement
        self._lapses = Lapses(bus, state, events)
        self._handovers = Handovers(bus, state, placement.count)
        self._rollouts = Rollouts(bus, state, events)
        #: What was said last of the replicas that no node has.
        self._told: dict[tuple[str, str], ObservedAgent] = {}

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
        watching = asyncio.create_task(self._rollouts.follow(), name="rollouts")
        try:
            # Every later write carries this fence: a placer that was replaced is refused.
            fence = (_LEASE, await self._bucket.raise_fence(_LEASE))
            self._told = await self._told_before()
            seen = -1
            while self._lease.held:
                await self._state.settled()
                await self._placement.orders.settled()
                await self._rollouts.settled()
                gone = await self._lapses.judge()
                if gone or self._handovers.pending or seen != self._state.version:
                    seen = self._state.version
                    await self._place(fence)
                changed = asyncio.create_task(self._state.changed(seen))
                await asyncio.wait(
                    {changed, keeper, duties},
                    timeout=_LEAVING_LOOK_S if self._handovers.pending else until_next(_LOOK_S),
                    return_when=asyncio.FIRST_COMPLETED,
                )
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
            await end(duties, watching)

    async def _place(self, fence: tuple[str, int]) -> None:
        state = self._state
        placed = self._placement.place(await self._handovers.released())
        placed = await self._handovers.hold_back(placed)
        for key, assignment in self._rollouts.pace(state.assignments, placed.assignments).items():
            if state.assignments.get(key) != assignment:
                await self._bucket.put(key, assignment, fence=fence)
                state.assignments[key] = assignment
        for key, assignment in list(state.assignments.items()):
            if key in placed.assignments:
                continue
            await self._bucket.delete(key, fence=fence)
            # By then it may have been heard of as deleted.
            state.assignments.pop(key, None)
            waits = (assignment.agent, str(assignment.replica)) in placed.unplaced
            if not waits and not self._handovers.lives(assignment.node):
                # Nobody else is there to say that it is no more.
                self._observed.remove(agent_key(assignment.agent, str(assignment.replica)))
        self._tell_unplaced(placed.unplaced, placed.waiting_gpu)

    async def _told_before(self) -> dict[tuple[str, str], ObservedAgent]:
        """What placers said of the replicas that no node has."""
        bucket = Bucket(self._bus, subjects.BUCKET_OBSERVED)
        found = await bucket.read_all(ObservedAgent, "agents.>")
        return {(agent.name, agent.replica): agent for agent in found.values() if not agent.node}

    def _tell_unplaced(
        self, unplaced: Mapping[tuple[str, str], str], waiting: Collection[tuple[str, str]]
    ) -> None:
        """Until a node has it, the placer is who knows how a replica is."""
        told = {}
        for key, why in unplaced.items():
            desired, before = self._state.specs.get(key[0]), self._told.get(key)
            if desired is None or (before is not None and before.reason == why):
                if before is not None:
                    told[key] = before
                continue
            state = AgentState.WAITING_GPU if key in waiting else AgentState.DEPLOYING
            told[key] = made = ObservedAgent(
                name=key[0],
                replica=key[1],
                runtime=desired.spec.runtime,
                type=desired.spec.type,
                description=desired.spec.description,
                capabilities=desired.spec.capabilities,
                owner=self._owner,
                state=state,
                state_source=StateSource.PLACER,
                reason=why,
                reason_kind=ReasonKind.NO_ROOM,
                generation=desired.generation,
            )
            if before is not None and before.state is state:
                # It waits on, be it for another reason: what it lacks is another figure.
                made.state_since = before.state_since
            self._observed.set(agent_key(*key), made)
        for name, replica in self._told:
            gone = int(replica) >= self._placement.count(name)
            if gone and (name, replica) not in unplaced:
                self._observed.remove(agent_key(name, replica))
        self._told = told
