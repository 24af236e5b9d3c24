"""A private nats-server with the streams and buckets of a mesh, and connections to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.keys import FACE_CREDS, MeshKeys, ensure_keys, read_creds
from sparkplug.bus.server import PrivateServer, ServerSettings
from sparkplug.bus.streams import ensure_streams

_SETTINGS = ServerSettings("test", 0, 256 << 20, 4 << 30, 8 << 20)


@dataclass
class MeshServer:
    """A running private server, its keys, and the connections made to it."""

    folder: Path
    keys: MeshKeys
    server: PrivateServer
    buses: list[Bus] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where clients connect."""
        url = self.server.url
        assert url is not None
        return url

    @property
    def credentials(self) -> Credentials:
        """Those of a face."""
        return read_creds(self.folder / "keys" / FACE_CREDS)

    async def connect(self, name: str = "test") -> Bus:
        """One more connection; closed when the test ends."""
        bus = await connect(
            self.url,
            name=name,
            inbox_prefix=subjects.inbox("node", name),
            credentials=self.credentials,
        )
        self.buses.append(bus)
        return bus

    async def restart(self) -> None:
        """Start the server again on the same port, after it was killed."""
        await self.server.wait_ended()
        await self.server.start(_SETTINGS)


@contextlib.asynccontextmanager
async def started(folder: Path) -> AsyncIterator[MeshServer]:
    """A fresh mesh in a folder; its server and connections end with the block."""
    for name in ("keys", "nats", "run", "logs"):
        (folder / name).mkdir(mode=0o700)
    keys = ensure_keys(folder / "keys")
    server = PrivateServer(folder / "nats", folder / "run", folder / "logs", keys)
    await server.start(_SETTINGS)
    mesh = MeshServer(folder, keys, server)
    try:
        bus = await mesh.connect("setup")
        await ensure_streams(bus, max_store=4 << 30, events_max=512 << 20, events_keep=7 * 86400.0)
        yield mesh
    finally:
        for bus in mesh.buses:
            await bus.close()
        await server.stop()
