"""A private nats-server for each test that asks for one, and connections to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fakes.mesh_server import MeshServer, started
from sparkplug.bus.connection import Bus


@pytest.fixture
async def mesh_server(tmp_path: Path) -> AsyncIterator[MeshServer]:
    """A fresh private server with the streams and buckets of a mesh."""
    async with started(tmp_path) as mesh:
        yield mesh


@pytest.fixture
async def mesh_bus(mesh_server: MeshServer) -> Bus:
    """A connection to a fresh mesh."""
    return await mesh_server.connect()


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(lambda: condition)`: waits for a condition, at most `deadline` seconds."""

    async def wait(condition: Callable[[], object], deadline: float = 60.0) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while not condition():
                    await asyncio.sleep(0.01)
        assert condition(), f"did not come true within {deadline:g} s"

    return wait
