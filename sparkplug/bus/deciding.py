"""Asking the keeper of the decisions: for agents and faces alike, signed where there is a key.

The keeper may move to another node meanwhile; what is asked carries an id and is sent again, so
that a vote counts once.
"""

from __future__ import annotations

import time

from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.keepers import ask_keeper
from sparkplug.schema.decision import (
    DECISION_ENDED,
    CloseRequest,
    DecisionRequest,
    DecisionView,
    ProposeRequest,
    VoteRequest,
)

#: Longer than a keeper waits until it knows the key of an agent that has just begun.
_ANSWER_S = 5.0
#: A keeper that goes does not say so to who waits: asked anew so often.
_LONGEST_WAIT_S = 5.0


async def propose(bus: Bus, request: ProposeRequest, *, lease: str | None = None) -> DecisionView:
    """Open a decision; `request.id` must be set. Raises ConflictError, NoMeshError.

    `lease` of the keeper, here and below, for who may look whether it is held.
    """
    return await _ask(bus, subjects.DECISIONS_PROPOSE, request, lease=lease, signed=True)


async def vote(bus: Bus, request: VoteRequest, *, lease: str | None = None) -> DecisionView:
    """Cast a vote. `request.vote` must be set. Raises RefusedError for one that does not count,
    NotFoundError, NoMeshError."""
    return await _ask(bus, subjects.DECISIONS_VOTE, request, lease=lease, signed=True)


async def close(bus: Bus, request: CloseRequest) -> DecisionView:
    """End a decision without an outcome. Raises NotFoundError, ConflictError, NoMeshError."""
    return await _ask(bus, subjects.DECISIONS_CLOSE, request, lease=subjects.DECISIONS_LEASE)


async def wait_decided(
    bus: Bus, decision: str, seconds: float, *, lease: str | None = None
) -> DecisionView:
    """A decision once it has ended, or as it is when the time (seconds) is up. Raises
    NotFoundError, NoMeshError."""
    until = time.monotonic() + seconds
    while True:
        left = max(0.0, until - time.monotonic())
        asked = DecisionRequest(decision=decision, seconds=min(left, _LONGEST_WAIT_S))
        view = await _ask(bus, subjects.DECISIONS_GET, asked, lease=lease, wait=asked.seconds)
        if view.state in DECISION_ENDED or time.monotonic() >= until:
            return view


async def _ask(
    bus: Bus,
    subject: str,
    request: BaseModel,
    *,
    lease: str | None,
    signed: bool = False,
    wait: float = 0.0,
) -> DecisionView:
    return await ask_keeper(
        bus,
        subject,
        request,
        DecisionView,
        lease=lease,
        deadline=_ANSWER_S,
        wait=wait,
        signed=signed,
    )
