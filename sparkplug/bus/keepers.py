"""Asking for what one node of the mesh keeps at a time, also while it changes hands."""

from __future__ import annotations

import asyncio
import time
from typing import TypeVar

import nats.errors
import nats.js.errors
from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call
from sparkplug.schema.errors import DeadlineError, NoMeshError

ReplyT = TypeVar("ReplyT", bound=BaseModel)

#: The lease of a keeper that was killed lapses within it, and another takes over.
_TAKEOVER_S = 15.0
#: What a busy host, or a keeper that reads much, may take for that.
_LONGEST_TAKEOVER_S = 60.0
_AGAIN_S = 0.2
_LOOK_S = 2.0


async def ask_keeper(
    bus: Bus,
    subject: str,
    request: BaseModel,
    reply: type[ReplyT],
    *,
    lease: str | None,
    deadline: float,
    wait: float = 0.0,
    signed: bool = False,
) -> ReplyT:
    """Ask whoever keeps it, again while nobody answers. What is asked must be the same twice.

    `wait`: seconds that may pass, as asked, before there is an answer; `deadline` those beside
    it. It is asked for 15 s, and for up to a minute while some node holds `lease`: one that has
    taken over answers soon. None: whether one does is not asked, as agents may not look.
    Raises what the keeper raises, NoMeshError when nobody keeps it, DeadlineError.
    """
    began = time.monotonic()
    while True:
        try:
            return await call(bus, subject, request, reply, deadline=deadline + wait, signed=signed)
        except (NoMeshError, DeadlineError):
            # Whoever was asked may have been killed before it answered.
            passed = time.monotonic() - began - wait
            if bus.nc.is_closed or passed >= _LONGEST_TAKEOVER_S:
                raise
            if passed >= _TAKEOVER_S and lease is not None and not await _is_held(bus, lease):
                raise
        await asyncio.sleep(_AGAIN_S)


async def _is_held(bus: Bus, lease: str) -> bool:
    try:
        async with asyncio.timeout(_LOOK_S):
            return await Bucket(bus, subjects.BUCKET_LEASES).get(lease) is not None
    except (TimeoutError, nats.errors.Error, nats.js.errors.Error):
        return False
