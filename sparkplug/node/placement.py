"""Placing as the mesh is now: who could run what, what has left, what a preview is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.service import Services
from sparkplug.node.desired import DesiredState
from sparkplug.node.orders import Orders
from sparkplug.node.placing import Candidate, Placed, place, replica_key
from sparkplug.node.scaler import Scaler
from sparkplug.schema.agent import Assignment, DesiredAgent, ObservedAgent
from sparkplug.schema.event import present
from sparkplug.schema.node import GpuRoom, NodeOrder, ObservedNode
from sparkplug.schema.placement import (
    PreviewedReplica,
    PreviewReply,
    PreviewRequest,
)

log = logging.getLogger(__name__)


class Placement:
    """What the elected placer places by. Every node has one; only the elected one's `hold` runs."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        state: DesiredState,
        events: EventLog,
        replicas: Callable[[], Iterable[ObservedAgent]],
    ) -> None:
        self._bus = bus
        self._node = node
        self._state = state
        self._events = events
        self.orders = Orders(bus, state.touch)
        self._scaler = Scaler(bus, state, self.orders, events, replicas)
        #: Draining nodes that were told of as empty.
        self._drained: set[str] | None = None

    async def run(self) -> None:
        """Follow what placing needs, for ever."""
        await self.orders.run()

    def count(self, name: str) -> int:
        """The replicas an agent is to have now; 0 when it is not wanted."""
        desired = self._state.specs.get(name)
        if desired is None:
            return 0
        scaled = self.orders.scaled.get(name)
        return scaled.of(desired.spec) if scaled is not None else desired.spec.first

    def place(self, released: Collection[str] = ()) -> Placed:
        """Where everything goes now; `released` are the leaving replicas that run no more."""
        placed = self._place(self._state.specs, released=released)
        self._tell_drained(placed.assignments)
        return placed

    def _place(
        self,
        specs: Mapping[str, DesiredAgent],
        *,
        orders: Mapping[str, NodeOrder] | None = None,
        released: Collection[str] = (),
    ) -> Placed:
        state = self._state
        orders = self.orders.nodes if orders is None else orders
        counts = {
            name: scaled.of(specs[name].spec)
            for name, scaled in self.orders.scaled.items()
            if name in specs
        }
        nodes = [_candidate(node, orders.get(node.name)) for node in state.live_nodes()]
        return place(specs, state.assignments, nodes, counts=counts, released=released)

    def _tell_drained(self, assignments: Mapping[str, Assignment]) -> None:
        """Emit host:drained once for each draining node that nothing movable is left on."""
        draining = {name for name, order in self.orders.nodes.items() if order.draining}
        busy = set()
        for given in assignments.values():
            desired = self._state.specs[given.agent]
            stays = not given.leaving and desired.spec.placement.pinned_to(given.node)
            if given.node in draining and not stays:
                busy.add(given.node)
        empty = draining - busy
        # Those that were empty when this placer was elected were told of by the one before.
        for name in sorted(empty - (empty if self._drained is None else self._drained)):
            order = self.orders.nodes[name]
            left = sorted({a.agent for a in assignments.values() if a.node == name})
            self._events.emit("host:drained", name, data=present(reason=order.reason, pinned=left))
        self._drained = empty

    async def hold(self) -> None:
        """The duties of the elected placer beside placing, until it is cancelled.

        Raises ConflictError when another placer has been elected.
        """
        self._drained = None
        services = Services(self._bus)
        await services.serve(subjects.PLACEMENT_PREVIEW, PreviewRequest, self._preview)
        try:
            await self._scaler.hold()
        finally:
            await services.close()

    async def _preview(self, request: PreviewRequest) -> PreviewReply:
        await self._state.settled()
        await self.orders.settled()
        found = self._drained_preview(request) if request.drain else self._deployed_preview(request)
        return PreviewReply(placer=self._node, replicas=found)

    def _deployed_preview(self, request: PreviewRequest) -> list[PreviewedReplica]:
        specs = dict(self._state.specs)
        for spec in request.specs:
            before = specs.get(spec.name)
            generation = before.generation if before else 1
            specs[spec.name] = DesiredAgent(spec=spec, generation=generation)
        placed = self._place(specs)
        names = {spec.name for spec in request.specs}
        # Those that would have to stop first: where they would be once they had.
        leaving = {k for k, a in placed.assignments.items() if a.leaving and a.agent in names}
        after = self._place(specs, released=leaving) if leaving else placed
        return [
            self._previewed(placed, after, name, number)
            for name in sorted(names)
            for number in range(self._count_of(specs[name]))
        ]

    def _drained_preview(self, request: PreviewRequest) -> list[PreviewedReplica]:
        name = request.drain or ""
        order = NodeOrder(name=name, cordoned=True, draining=True, stop_pinned=request.stop_pinned)
        orders = {**self.orders.nodes, name: order}
        specs = self._state.specs
        placed = self._place(specs, orders=orders)
        there = {key: a for key, a in placed.assignments.items() if a.node == name}
        leaving = {key for key, given in there.items() if given.leaving}
        after = self._place(specs, orders=orders, released=leaving)
        return [
            self._previewed(placed, after, a.agent, a.replica) for _, a in sorted(there.items())
        ]

    def _count_of(self, desired: DesiredAgent) -> int:
        scaled = self.orders.scaled.get(desired.spec.name)
        return scaled.of(desired.spec) if scaled is not None else desired.spec.first

    def _previewed(
        self, placed: Placed, after: Placed, agent: str, number: int
    ) -> PreviewedReplica:
        key = replica_key(agent, number)
        before, given = self._state.assignments.get(key), placed.assignments.get(key)
        choice = placed.choices[key]
        what: Literal["stays", "goes", "moves", "waits"] = "waits"
        why = choice.why
        if given is not None and given.leaving:
            given, choice = after.assignments.get(key), after.choices[key]
            what = "moves" if given is not None else "waits"
            # That a host is draining is why it leaves, and why nothing is left for it.
            why = f"{why}; no other host takes it" if choice.why in why else f"{why}; {choice.why}"
        elif given is not None:
            stays = before is not None and before.node == given.node
            what = "stays" if stays else "goes"
        return PreviewedReplica(
            agent=agent,
            replica=number,
            what=what,
            node=given.node if given else None,
            gpus=given.gpus if given else [],
            why=why,
            elsewhere=dict(choice.elsewhere),
        )


def _candidate(node: ObservedNode, order: NodeOrder | None) -> Candidate:
    rooms = node.gpu_room or [GpuRoom(uuid=uuid) for uuid in node.gpus]
    return Candidate(node.name, node.labels, tuple(rooms), order)
