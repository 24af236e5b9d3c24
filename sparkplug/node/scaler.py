"""The scaler: the elected placer's look at the load of agents that scale by it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.clock import until_next
from sparkplug.node.desired import DesiredState
from sparkplug.node.orders import Orders
from sparkplug.node.scaling import Scaling, load_of
from sparkplug.schema.agent import DesiredAgent, ObservedAgent, ScaledAgent

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_FENCE = "placer"


class Scaler:
    """Looks once a second and writes how many replicas there are to be, in the bucket `scale`.

    What a person wrote in the spec is left as it is: it has the bounds.
    """

    def __init__(
        self,
        bus: Bus,
        state: DesiredState,
        orders: Orders,
        events: EventLog,
        replicas: Callable[[], Iterable[ObservedAgent]],
    ) -> None:
        self._bucket = Bucket(bus, subjects.BUCKET_SCALE)
        self._state = state
        self._orders = orders
        self._events = events
        self._replicas = replicas
        self._scalings: dict[str, Scaling] = {}

    async def hold(self) -> None:
        """Scale while elected. What the server does not take is found again at the next look.

        Raises ConflictError when another placer has been elected.
        """
        self._scalings.clear()
        await self._state.settled()
        await self._orders.settled()
        fence = (_FENCE, await self._bucket.raise_fence(_FENCE))
        while True:
            await asyncio.sleep(until_next(_LOOK_EVERY_S))
            try:
                await self._look(fence)
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                log.debug("scaling waits for the server: %s", error)

    async def _look(self, fence: tuple[str, int]) -> None:
        specs = self._state.specs
        scaling = {name: wanted for name, wanted in specs.items() if wanted.spec.scale}
        for name in [name for name in self._orders.scaled if name not in scaling]:
            await self._bucket.delete(name, fence=fence)
            self._orders.scaled.pop(name, None)
        for name in [name for name in self._scalings if name not in scaling]:
            del self._scalings[name]
        if not scaling:
            return
        by_name: dict[str, list[ObservedAgent]] = {name: [] for name in scaling}
        for agent in self._replicas():
            if not agent.foreign and agent.name in by_name:
                by_name[agent.name].append(agent)
        for name, wanted in scaling.items():
            await self._scale(name, wanted, by_name[name], fence)

    async def _scale(
        self, name: str, wanted: DesiredAgent, seen: list[ObservedAgent], fence: tuple[str, int]
    ) -> None:
        spec, rule = wanted.spec, self._scalings.setdefault(name, Scaling())
        if not wanted.run:
            rule.forget()
            return
        before = self._orders.scaled.get(name)
        replicas = before.replicas if before is not None else spec.first
        step = rule.step(time.monotonic(), spec, replicas, load_of(spec, seen))
        if step is None:
            return
        scaled = ScaledAgent(agent=name, replicas=step.replicas, why=step.why)
        await self._bucket.put(name, scaled, fence=fence)
        self._orders.scaled[name] = scaled
        self._state.touch()
        self._events.emit(
            "agent:scaled",
            name,
            data={"from": replicas, "to": step.replicas, "why": step.why},
        )
