"""Keeping the private server alive, and starting it again where it is to be reached."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from sparkplug.bus.server import PrivateServer, ServerSettings
from sparkplug.config import Settings
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.mesh import parse_address, parse_addresses

log = logging.getLogger(__name__)

_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


def server_settings(settings: Settings) -> ServerSettings:
    """What of the settings concerns the private server."""
    nats = settings.nats
    listen, port = parse_address(nats.listen) if nats.listen else ("", 0)
    return ServerSettings(
        name=settings.node.name,
        port=port or nats.port,
        max_memory=nats.max_memory,
        max_store=nats.max_store,
        max_payload=nats.max_payload,
        binary=nats.server,
        listen=listen,
        names=tuple(host for host, _ in parse_addresses(nats.advertise)),
    )


class ServerKeeper:
    """Starts nats-server again when it ends; connections come back by themselves."""

    def __init__(self, server: PrivateServer, settings: ServerSettings) -> None:
        self.server = server
        self._settings = settings
        self._before: tuple[ServerSettings, Callable[[], None]] | None = None

    async def start(self) -> None:
        """Start it, or take over one that an earlier daemon left running."""
        if not self.server.adopt():
            await self.server.start(self._settings)

    async def reopen(self, settings: ServerSettings, undo: Callable[[], None]) -> None:
        """Start it anew with other settings, on the same store.

        When it does not start with them it goes on as before, and `undo` is called.
        """
        self._before = (self._settings, undo)
        self._settings = settings
        # Whoever keeps it starts it again; everybody here finds it by its record.
        await self.server.stop()

    async def keep(self, stopping: asyncio.Event) -> None:
        """Keep it running until `stopping`."""
        pause = _PAUSE_S
        while True:
            began = time.monotonic()
            await self.server.wait_ended()
            if stopping.is_set():
                return
            log.warning("nats-server ended; it is started again")
            settled = time.monotonic() - began > _LONGEST_PAUSE_S
            pause = _PAUSE_S if settled else min(_LONGEST_PAUSE_S, pause * 1.5)
            while not await self._start_again():
                await asyncio.sleep(pause)

    async def _start_again(self) -> bool:
        try:
            await self.server.start(self._settings)
        except SparkplugError as error:
            log.error("nats-server does not start: %s", error)
            if self._before is not None:
                self._settings, undo = self._before
                self._before = None
                undo()
                return await self._start_again()
            return False
        self._before = None
        return True
