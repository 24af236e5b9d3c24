"""This host's state while its node is down: the private server started for a moment, alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.jwt import Permissions
from sparkplug.bus.keys import read_keys
from sparkplug.bus.server import PrivateServer, ServerSettings
from sparkplug.config import Settings
from sparkplug.paths import Paths
from sparkplug.schema.errors import ConflictError

_CONNECT_S = 10.0


@contextlib.contextmanager
def held(paths: Paths) -> Generator[None, None, None]:
    """Keep any node of this state directory from starting. Raises ConflictError when one runs."""
    descriptor = os.open(paths.run / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                "a node runs on this state directory",
                where=str(paths.home),
                hint="`sparkplug down` stops it",
            ) from error
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def own_server(
    paths: Paths, settings: Settings, store: Path | None = None
) -> AsyncGenerator[Bus, None]:
    """The private server on its store, reached by loopback only, and a connection to it.

    `store` is another folder than `paths.nats`. For while no node runs: see `held`.
    """
    keys = read_keys(paths.keys)
    nats = settings.nats
    wanted = ServerSettings(
        name=settings.node.name,
        port=0,
        max_memory=nats.max_memory,
        max_store=nats.max_store,
        max_payload=nats.max_payload,
        binary=nats.server,
    )
    server = PrivateServer(store or paths.nats, paths.run, paths.logs, keys)
    process = await server.start(wanted)
    try:
        bus = await connect(
            process.url,
            name="sparkplug offline",
            inbox_prefix=subjects.inbox("face", f"offline-{os.getpid()}"),
            credentials=keys.user("offline", Permissions()),
            deadline=_CONNECT_S,
        )
        try:
            yield bus
        finally:
            await bus.close()
    finally:
        await server.stop()
