"""Asking the keeper of the decisions: for agents and faces alike, signed where there is a key.

The keeper may move to another node meanwhile; what is asked carries an id and is sent again, so
that a vote counts once.
"""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call
from sparkplug.schema.decision import (
    DECISION_ENDED,
    CloseRequest,
    DecisionRequest,
    DecisionView,
    ProposeRequest,
    VoteRequest,
)
from sparkplug.schema.errors import DeadlineError, NoMeshError

_ANSWER_S = 3.0
#: The lease of a keeper that was killed lapses within it, and another takes over.
_TAKE_OVER_S = 15.0
_AGAIN_S = 0.25
#: A keeper that goes does not say so to who waits: asked anew so often.
_LONGEST_WAIT_S = 5.0


async def propose(bus: Bus, request: ProposeRequest) -> DecisionView:
    """Open a decision; `request.id` must be set. Raises ConflictError, NoMeshError."""
    return await _ask(bus, subjects.DECISIONS_PROPOSE, request, signed=True)


async def vote(bus: Bus, request: VoteRequest) -> DecisionView:
    """Cast a vote. `request.vote` must be set. Raises RefusedError for one that does not count,
    NotFoundError, NoMeshError."""
    return await _ask(bus, subjects.DECISIONS_VOTE, request, signed=True)


async def close(bus: Bus, request: CloseRequest) -> DecisionView:
    """End a decision without an outcome. Raises NotFoundError, ConflictError, NoMeshError."""
    return await _ask(bus, subjects.DECISIONS_CLOSE, request)


async def wait_decided(bus: Bus, decision: str, seconds: float) -> DecisionView:
    """A decision once it has ended, or as it is when the time (seconds) is up. Raises
    NotFoundError, NoMeshError."""
    until = time.monotonic() + seconds
    while True:
        left = max(0.0, until - time.monotonic())
        asked = DecisionRequest(decision=decision, seconds=min(left, _LONGEST_WAIT_S))
        view = await _ask(bus, subjects.DECISIONS_GET, asked, wait=asked.seconds)
        if view.state in DECISION_ENDED or time.monotonic() >= until:
            return view


async def _ask(
    bus: Bus, subject: str, request: BaseModel, *, signed: bool = False, wait: float = 0.0
) -> DecisionView:
    until = time.monotonic() + _TAKE_OVER_S + wait
    while True:
        try:
            return await call(
                bus, subject, request, DecisionView, deadline=_ANSWER_S + wait, signed=signed
            )
        except (NoMeshError, DeadlineError):
            if time.monotonic() > until or bus.nc.is_closed:
                raise
        await asyncio.sleep(_AGAIN_S)
