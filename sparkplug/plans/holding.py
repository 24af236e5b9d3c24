"""Doing something for as long as a lease is held."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import nats.errors
import nats.js.errors

from sparkplug.bus.cancellation import end
from sparkplug.bus.leases import Lease
from sparkplug.schema.errors import NoMeshError, SparkplugError

_HELD_CHECK_S = 0.1
#: What is raised where the server is away, or does not do what is asked: tried again later.
AWAY = (SparkplugError, TimeoutError, nats.errors.Error, nats.js.errors.Error)


async def while_held(lease: Lease, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` while the lease, renewed meanwhile, is held.

    Raises NoMeshError as soon as it is not, with the work cancelled, and what the work raises.
    """
    task = asyncio.ensure_future(work)
    keeper = asyncio.ensure_future(lease.keep())
    try:
        while lease.held:
            done, _ = await asyncio.wait({task}, timeout=_HELD_CHECK_S)
            if done:
                task.result()
                return
        raise NoMeshError("its lease could not be kept")
    finally:
        await end(task, keeper)
