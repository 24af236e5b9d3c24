"""Noticing that the agent a step waits for is no longer the process that was asked.

The protocol has no word for it: a caller whose agent died would wait until its time is up.
The node that runs the agent knows at once, and says so in the `observed` bucket.
"""

from __future__ import annotations

import asyncio
import contextlib

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent import SERVING, AgentState, ObservedAgent, Target

_ENDED = frozenset({AgentState.STOPPED, AgentState.ERROR})
_BEGINNING = frozenset({AgentState.DEPLOYING, AgentState.STARTING})


class Replicas:
    """What is observed of every replica, followed for as long as `run` runs."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, ObservedAgent] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def run(self) -> None:
        """Follow the bucket for ever."""
        bucket = Bucket(self._bus, subjects.BUCKET_OBSERVED)
        gone: set[str] | None = None
        async with contextlib.aclosing(bucket.watch()) as changes:
            async for change in changes:
                if change.entry is None:
                    if change.reset:
                        gone = set(self._known)
                    elif gone is not None:
                        for key in gone:
                            self._take(key, None)
                        gone = None
                elif not change.entry.key.startswith("nodes."):
                    if gone is not None:
                        gone.discard(change.entry.key)
                    self._take(change.entry.key, decode(ObservedAgent, change.entry))

    def _take(self, key: str, observed: ObservedAgent | None) -> None:
        if observed is None:
            self._known.pop(key, None)
        else:
            self._known[key] = observed
        for event in self._waiting.get(key, ()):
            event.set()

    async def lost(self, target: Target) -> str:
        """Wait until the replica is not the process any more that it is now; say what became of it.

        A replica nobody has observed yet is waited for, and taken as it is first seen.
        """
        key = (
            f"foreign.{target.name}.{target.owner}.{target.replica}"
            if target.foreign
            else f"agents.{target.name}.{target.replica}"
        )
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(key, set())
        waiting.add(changed)
        try:
            before = self._known.get(key)
            while True:
                changed.clear()
                now = self._known.get(key)
                if before is not None:
                    reason = difference(before, now)
                    if reason is not None:
                        return f"agent {target.name}/{target.replica} {reason}"
                before = now or before
                await changed.wait()
        finally:
            waiting.discard(changed)
            if not waiting:
                self._waiting.pop(key, None)


def difference(before: ObservedAgent, now: ObservedAgent | None) -> str | None:
    """What became of a replica that was asked when it was as `before`; None while it is the same.

    A silent one (stale) may still answer, and a stopping one finishes what it has in hand.
    """
    if now is None:
        return "was removed while working"
    was = (before.pid, before.instance)
    for old, new in zip(was, (now.pid, now.instance), strict=True):
        if old and new and old != new:
            return "was restarted while working"
    if before.state in SERVING:
        if now.state in _ENDED:
            return f"ended while working: {now.reason or now.state.value}"
        if now.state in _BEGINNING:
            return "was restarted while working"
    return None
