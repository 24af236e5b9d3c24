"""What a replica's requests in hand wait for, told while any of them waits for another agent.

A wait that ends within a moment is not told: only one that lasts can be part of a deadlock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import nats.errors

from sparkplug.agents.activity import Activity
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.topology import HeldRequest, Wait, WaitReport

log = logging.getLogger("sparkplug.agent")

#: A wait is told when it is this old, in seconds.
_LASTS_S = 0.3
_LOOK_S = 0.25
#: Told again, though nothing changed: who counts it may have begun since.
_AGAIN_S = 2.0
_MOST = 100


class WaitTeller:
    """Tells what one replica waits for. It sleeps while nothing is asked."""

    def __init__(self, agent: str, replica: str, concurrency: int, activity: Activity) -> None:
        self._agent = agent
        self._replica = replica
        self._concurrency = concurrency
        self._activity = activity

    async def run(self, bus: Bus) -> None:
        """Tell for ever."""
        told: frozenset[str] = frozenset()
        told_at = 0.0
        while True:
            if not told:
                await self._activity.asked.wait()
                await asyncio.sleep(_LASTS_S)
            report, lasting = self.report()
            now = time.monotonic()
            if lasting != told or (lasting and now - told_at >= _AGAIN_S):
                told, told_at = lasting, now
                with contextlib.suppress(nats.errors.Error):
                    await bus.nc.publish(
                        subjects.waits(self._agent, self._replica),
                        report.model_dump_json().encode(),
                    )
            await asyncio.sleep(_LOOK_S)

    def report(self) -> tuple[WaitReport, frozenset[str]]:
        """What is in hand now, and what of it makes the report another: requests that last."""
        now = time.monotonic()
        held = []
        lasting = set()
        for one in self._activity.requests():
            waits = [
                Wait(
                    question=question,
                    agent=wait.agent,
                    replica=wait.replica,
                    action=wait.action,
                    seconds=round(now - wait.since, 3),
                )
                for question, wait in one.waits.items()
            ]
            lasting |= {wait.question for wait in waits if wait.seconds >= _LASTS_S}
            held.append(
                HeldRequest(
                    id=one.id,
                    question=one.question,
                    action=one.action,
                    seconds=round(now - one.began, 3),
                    waits=waits[:_MOST],
                )
            )
        if lasting:
            # Who else is in hand decides whether there is room for what closes a ring.
            lasting |= {f"in hand {request.id}" for request in held}
        report = WaitReport(
            agent=self._agent,
            replica=self._replica,
            concurrency=self._concurrency,
            in_hand=len(held),
            requests=sorted(held, key=lambda request: -request.seconds)[:_MOST],
        )
        return report, frozenset(lasting)
