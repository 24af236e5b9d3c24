"""Asking voters that are agents: a prompt with the action `vote`, whose answer does not matter.

An agent votes by `ctx.vote`, which is signed. One that has no such action, does not answer or is
gone holds nothing up: the round ends without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sparkplug.bus import synadia
from sparkplug.bus.connection import Bus
from sparkplug.schema.agent import Target
from sparkplug.schema.decision import HUMAN, DecisionView
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)

#: Invitations under way at the same time, over all decisions.
_AT_ONCE = 64

#: The replicas that answer to a name now: an agent's, or agent/replica.
FindTarget = Callable[[str], Target | None]


class Invitations:
    """The invitations of one keeper. `find` gives the replica to ask for a voter."""

    def __init__(self, bus: Bus, find: FindTarget) -> None:
        self._bus = bus
        self._find = find
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, view: DecisionView, voters: list[str], why: str, seconds: float) -> None:
        """Invite voters to this round, for as long as it is open. Waits for nobody."""
        last = view.tallies[-1] if view.tallies else None
        given = {
            "decision": view.id,
            "question": view.proposal.question,
            "options": list(view.proposal.options),
            "round": view.round,
            "why": why,
            "standing": dict(last.weights) if last is not None else {},
        }
        for voter in voters:
            if voter == HUMAN or voter.startswith(f"{HUMAN}:"):
                continue
            task = asyncio.create_task(self._invite(voter, given, seconds), name=f"invite {voter}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _invite(self, voter: str, given: dict[str, object], seconds: float) -> None:
        async with self._slots:
            target = self._find(voter)
            if target is None:
                log.info("%s is not there to vote on %s", voter, given["decision"])
                return
            try:
                async with asyncio.timeout(seconds):
                    await synadia.call(self._bus, target, "vote", given, deadline=seconds)
            except (SparkplugError, TimeoutError) as error:
                log.info("%s was asked to vote on %s: %s", voter, given["decision"], error)

    async def close(self) -> None:
        """Give up those under way; who was asked may still vote."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
