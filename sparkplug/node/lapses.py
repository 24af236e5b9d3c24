"""Which nodes are gone: the placer's judgement, by their leases and never by clocks of two hosts.

A node is gone when the server has let its lease lapse. Then its fence is raised, so that what it
still has on its way is refused, and only then may others take what ran on it.
"""

from __future__ import annotations

import logging

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.leases import lease_clock
from sparkplug.node.desired import DesiredState
from sparkplug.node.observed import agent_key, node_key
from sparkplug.schema.agent import AgentState, Assignment, ObservedAgent
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError
from sparkplug.schema.node import NodeState, ObservedNode
from sparkplug.schema.node_lease import TTL_S

log = logging.getLogger(__name__)

#: A node that knows no leases writes its record every 5 s.
_SILENT_AFTER_S = 15.0
_GONE = frozenset({NodeState.STOPPED, NodeState.STALE})


class Lapses:
    """Finds the nodes whose lease has lapsed, and says so once, to all."""

    def __init__(self, bus: Bus, state: DesiredState, events: EventLog) -> None:
        self._bus = bus
        self._state = state
        self._events = events
        self._leases = Bucket(bus, subjects.BUCKET_LEASES)
        self._observed = Bucket(bus, subjects.BUCKET_OBSERVED)
        self._since = lease_clock()

        async def on_reconnect() -> None:
            self._since = lease_clock()

        bus.on_reconnect(on_reconnect)

    async def judge(self) -> bool:
        """Mark the nodes that are gone. True when one is. Raises what the server answers."""
        gone = False
        # While a server is away nobody can renew: all get the time to, once it is back.
        if not self._bus.connected or lease_clock() - self._since < TTL_S:
            return False
        for node in list(self._state.nodes.values()):
            if node.state in _GONE:
                continue
            silent = lease_clock() - max(self._state.heard.get(node.name, 0.0), self._since)
            if silent >= (TTL_S if node.epoch else _SILENT_AFTER_S):
                gone |= await self._judge(node, silent)
        return gone

    async def _judge(self, node: ObservedNode, silent: float) -> bool:
        key = subjects.node_lease(node.name)
        # In this order: a node that comes back now raises its fence after it has its lease, so
        # either its lease is seen or our fence is refused.
        standing = await self._observed.fence(key)
        if await self._leases.get(key) is not None:
            return False
        try:
            fence = key, await self._observed.raise_fence(key, standing)
            gone = node.model_copy(
                update={
                    "state": NodeState.STALE,
                    "reason": "its lease lapsed",
                    "silent_seconds": silent,
                }
            )
            await self._observed.put(node_key(node.name), gone, fence=fence)
        except ConflictError:
            log.info("%s is back in the moment its lease lapsed", node.name)
            return False
        self._state.nodes[node_key(node.name)] = gone
        log.warning("%s is gone: its lease lapsed", node.name)
        self._events.emit("host:stale", node.name, data={"epoch": node.epoch})
        for assignment in list(self._state.assignments.values()):
            if assignment.node == node.name and assignment.agent in self._state.specs:
                await self._lose(assignment, gone, fence)
        return True

    async def _lose(
        self, assignment: Assignment, node: ObservedNode, fence: tuple[str, int]
    ) -> None:
        """Say how a replica of a node that is gone is, until it is known again."""
        desired = self._state.specs[assignment.agent]
        if not desired.run:
            return
        reason = why_it_stays(self._state, assignment)
        agent, replica = assignment.agent, str(assignment.replica)
        data = {"node": node.name, "reason": reason or "it is started elsewhere"}
        self._events.emit("agent:lost", f"{agent}/{replica}", data=data)
        entry = await self._observed.get(agent_key(agent, replica))
        observed = decode(ObservedAgent, entry) if entry is not None else None
        if observed is None or observed.node != node.name:
            return
        lost = observed.model_copy(
            update={
                "state": AgentState.STALE,
                "state_since": utc_now(),
                "reason": reason or f"{node.name} is gone; it is started elsewhere",
            }
        )
        try:
            await self._observed.put(agent_key(agent, replica), lost, fence=fence)
        except ConflictError:
            log.info("%s is back and tells of %s/%s itself", node.name, agent, replica)


def why_it_stays(state: DesiredState, assignment: Assignment) -> str:
    """Why a replica stays assigned to a node that is gone; empty when others may take it."""
    node = state.nodes.get(node_key(assignment.node))
    desired = state.specs.get(assignment.agent)
    if node is None or node.state is not NodeState.STALE or desired is None:
        return ""
    name = assignment.node
    placement = desired.spec.placement
    if placement.pinned:
        named = placement.hosts if isinstance(placement.hosts, str) else placement.hosts[0]
        # Named another host meanwhile: that is the word of somebody who knows.
        if named != name:
            return ""
    if not placement.stops_when_cut_off:
        why = "it is pinned there" if placement.pinned else "its placement says keep"
        return f"{name} is silent; {why}, so it may run on and is started nowhere else"
    if placement.pinned:
        return f"{name} is silent; it is pinned there and waits for it"
    if node.alone:
        return f"{name} is silent; it was alone in this mesh, so it may run on there"
    return ""
