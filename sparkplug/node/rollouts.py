"""Rolling changes followed: what replicas report lets the next one begin, and is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.node.desired import DesiredState
from sparkplug.node.rollout import Progress, pace
from sparkplug.schema.agent import SERVING, AgentState, Assignment, ObservedAgent


class Rollouts:
    """What the placer knows of rolling changes: how replicas are, and what was told of each."""

    def __init__(self, bus: Bus, state: DesiredState, events: EventLog) -> None:
        self._bus = bus
        self._state = state
        self._events = events
        self._agents: dict[str, ObservedAgent] = {}
        self._settled = asyncio.Event()
        self._going: dict[str, Progress] = {}

    async def settled(self) -> None:
        """Return once it was read how every replica is."""
        await self._settled.wait()

    async def follow(self) -> None:
        """Follow observed state for ever; while a change is on its way, wake who places."""
        self._settled.clear()
        watch = Bucket(self._bus, subjects.BUCKET_OBSERVED).watch("agents.>")
        async with contextlib.aclosing(watch) as changes:
            async for change in changes:
                if change.reset:
                    self._agents.clear()
                    continue
                if change.entry is None:
                    self._settled.set()
                    self._state.wake()
                    continue
                key = change.entry.key
                before, after = self._agents.get(key), decode(ObservedAgent, change.entry)
                if after is None:
                    self._agents.pop(key, None)
                else:
                    self._agents[key] = after
                name = (after or before).name if after or before else ""  # type: ignore[union-attr]
                if self._settled.is_set() and name in self._going and _mark(before) != _mark(after):
                    self._state.wake()

    def pace(
        self, before: Mapping[str, Assignment], placed: Mapping[str, Assignment]
    ) -> dict[str, Assignment]:
        """The assignments as `rollout.pace` lets them be now; what came of changes is told."""
        observed = {(agent.name, agent.replica): agent for agent in self._agents.values()}
        paced = pace(self._state.specs, before, placed, observed)
        for name, progress in paced.progress.items():
            self._tell(name, self._going.get(name), progress, before)
        for name in set(self._going) - set(paced.progress):
            del self._going[name]
        return paced.assignments

    def _tell(
        self,
        name: str,
        told: Progress | None,
        now: Progress,
        before: Mapping[str, Assignment],
    ) -> None:
        fresh = told is None or told.generation != now.generation
        if fresh:
            old = [a for a in before.values() if a.agent == name and a.generation < now.generation]
            if not old:
                return
            self._emit(name, "began", now)
        if now.stopped and (fresh or told is None or not told.stopped):
            self._emit(name, "stopped", now)
        if now.finished and not now.stopped:
            self._emit(name, "finished", now)
            self._going.pop(name, None)
            return
        self._going[name] = now

    def _emit(self, name: str, state: str, now: Progress) -> None:
        data: dict[str, object] = {
            "state": state,
            "generation": now.generation,
            "done": now.done,
            "replicas": now.total,
        }
        if now.stopped:
            data["reason"] = now.stopped
        self._events.emit("agent:rollout", name, data=data)


def _mark(agent: ObservedAgent | None) -> tuple[object, ...]:
    """What of a replica's state a change waits for."""
    if agent is None:
        return ()
    return agent.generation, agent.state in SERVING, agent.state is AgentState.ERROR
