"""A private nats-server for each test that asks for one, and connections to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

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


@pytest.fixture
async def mesh_server(tmp_path: Path) -> AsyncIterator[MeshServer]:
    """A fresh private server with the streams and buckets of a mesh."""
    for name in ("keys", "nats", "run", "logs"):
        (tmp_path / name).mkdir(mode=0o700)
    keys = ensure_keys(tmp_path / "keys")
    server = PrivateServer(tmp_path / "nats", tmp_path / "run", tmp_path / "logs", keys)
    await server.start(_SETTINGS)
    mesh = MeshServer(tmp_path, keys, server)
    try:
        bus = await mesh.connect("setup")
        await ensure_streams(bus, max_store=4 << 30, events_max=512 << 20, events_keep=7 * 86400.0)
        yield mesh
    finally:
        for bus in mesh.buses:
            await bus.close()
        await server.stop()


@pytest.fixture
async def mesh_bus(mesh_server: MeshServer) -> Bus:
    """A connection to a fresh mesh."""
    return await mesh_server.connect()


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(lambda: condition)`: waits for a condition, at most `deadline` seconds."""

    async def wait(condition: Callable[[], object], deadline: float = 10.0) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while not condition():
                    await asyncio.sleep(0.01)
        assert condition(), f"did not come true within {deadline:g} s"

    return wait
