"""What the node looks at again and again of its replicas: silence, logs, blocked event loops."""

from __future__ import annotations

import asyncio
import time

from sparkplug.agents.stalls import Stall, any_stalls, read_stalls
from sparkplug.bus.connection import Bus
from sparkplug.clock import until_next
from sparkplug.node.supervisor import Supervisor
from sparkplug.paths import Paths

_STALLS_EVERY_S = 0.25
_ROTATE_S = 5.0


async def watch_health(supervisor: Supervisor, bus: Bus, paths: Paths) -> None:
    """Mark the silent ones, and keep the logs within their limits."""
    rotated = 0.0
    while True:
        await asyncio.sleep(until_next(1.0))
        if bus.connected:
            for replica in supervisor.replicas():
                replica.check_silence()
        if time.monotonic() - rotated >= _ROTATE_S:
            rotated = time.monotonic()
            await asyncio.to_thread(supervisor.logs.rotate)
        await supervisor.shared.tidy(paths.agent_logs)


async def watch_stalls(supervisor: Supervisor, paths: Paths) -> None:
    """Show those as blocked whose event loop does not turn, while it does not."""
    while True:
        await asyncio.sleep(until_next(_STALLS_EVERY_S))
        stalls: dict[str, Stall] = {}
        replicas = supervisor.replicas()
        # Nearly always there is none, and a thread to read nothing costs more than a look.
        if replicas and any_stalls(paths.stalls):
            stalls = await asyncio.to_thread(read_stalls, paths.stalls)
            replicas = supervisor.replicas()
        for replica in replicas:
            replica.blocked(stalls.get(replica.process))
