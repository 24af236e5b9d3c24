"""From one node to another: a replica is given away only once its node has let go of it.

A node that lives is asked to end it and says when it has; one that is gone lets go with its lease.
Every assignment names the node's epoch under which it was given: one of an earlier epoch is not
begun, until the placer has given it anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.node.desired import DesiredState
from sparkplug.node.lapses import why_it_stays
from sparkplug.node.observed import agent_key, node_key
from sparkplug.node.placing import Placed
from sparkplug.schema.agent import Assignment, ObservedAgent
from sparkplug.schema.node import NodeState, ObservedNode

_LET_GO = frozenset({NodeState.STOPPED, NodeState.STALE})
#: It ends what it runs by itself, or is about to take it up again.
_BUSY = frozenset({NodeState.STOPPING, NodeState.STARTING, NodeState.JOINING})


class Handovers:
    """Holds back what placing decided until it may be."""

    def __init__(self, bus: Bus, state: DesiredState, count: Callable[[str], int]) -> None:
        self._state = state
        #: How many replicas an agent is to have now.
        self._count = count
        self._observed = Bucket(bus, subjects.BUCKET_OBSERVED)
        #: Whether a node was asked to let go of something.
        self.pending = False

    async def released(self) -> set[str]:
        """The assignments whose nodes were asked to let go of them, and have."""
        leaving = [(key, given) for key, given in self._state.assignments.items() if given.leave]
        return {key for key, given in leaving if await self._left(given)}

    async def hold_back(self, placed: Placed) -> Placed:
        """What may be written now of `placed`; the rest stays as it is or is asked for."""
        state = self._state
        assignments = dict(placed.assignments)
        unplaced = dict(placed.unplaced)
        self.pending = False
        for key, current in list(state.assignments.items()):
            if not self._wanted(current):
                continue
            given = assignments.get(key)
            if given is not None and given.node == current.node:
                leave = (current.leave or secrets.token_hex(4)) if given.leaving else ""
                self.pending = self.pending or bool(leave)
                assignments[key] = given.model_copy(update={"leave": leave})
                continue
            kept = await self._kept(current)
            if kept is not None:
                assignments[key] = kept
                unplaced.pop((current.agent, str(current.replica)), None)
        for key, given in list(assignments.items()):
            if key not in state.assignments and await self._runs_elsewhere(given):
                del assignments[key]
                self.pending = True
            else:
                assignments[key] = self._under_epoch(given)
        return replace(placed, assignments=assignments, unplaced=unplaced)

    def lives(self, name: str) -> bool:
        """Whether a node is there to tell of its replicas."""
        node = self._node(name)
        return node is not None and node.state not in _LET_GO

    def _wanted(self, assignment: Assignment) -> bool:
        return assignment.replica < self._count(assignment.agent)

    def _node(self, name: str) -> ObservedNode | None:
        return self._state.nodes.get(node_key(name))

    def _under_epoch(self, assignment: Assignment) -> Assignment:
        node = self._node(assignment.node)
        if node is None or node.state is NodeState.STALE or node.epoch == assignment.epoch:
            return assignment
        return assignment.model_copy(update={"epoch": node.epoch})

    async def _kept(self, current: Assignment) -> Assignment | None:
        """The assignment while its node has not let go of it; None once it has."""
        node = self._node(current.node)
        if node is None or (node.state in _LET_GO and not why_it_stays(self._state, current)):
            return None
        if node.state in _LET_GO or node.state in _BUSY:
            return current
        if current.leave and await self._left(current):
            return None
        self.pending = True
        return current.model_copy(update={"leave": current.leave or secrets.token_hex(4)})

    async def _left(self, assignment: Assignment) -> bool:
        observed = await self._read(assignment)
        return observed is not None and observed.left == assignment.leave

    async def _runs_elsewhere(self, given: Assignment) -> bool:
        """Whether another node still ends the replica: it was removed and is wanted again."""
        if len(self._state.nodes) < 2:
            return False
        observed = await self._read(given)
        if observed is None or observed.pid is None or observed.node in (None, given.node):
            return False
        return self.lives(observed.node or "")

    async def _read(self, assignment: Assignment) -> ObservedAgent | None:
        key = agent_key(assignment.agent, str(assignment.replica))
        entry = await self._observed.get(key)
        return decode(ObservedAgent, entry) if entry is not None else None
