"""Reading a stream in order, through the end of the server and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from fakes.mesh_server import MeshServer
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.reading import Mark, follow
from sparkplug.schema.errors import NotFoundError

Until = Callable[..., Awaitable[None]]


def from_there(after: int) -> ConsumerConfig:
    """Everything, or what comes after a sequence."""
    if after:
        return ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1
        )
    return ConsumerConfig(deliver_policy=DeliverPolicy.ALL)


async def test_nothing_is_missed_or_told_twice_when_the_server_is_killed(
    mesh_server: MeshServer, until: Until
) -> None:
    bus = await mesh_server.connect()
    told: list[str] = []

    async def read() -> None:
        async with contextlib.aclosing(follow(bus, subjects.STREAM_DEAD, from_there)) as items:
            async for item in items:
                told.append(item.data.decode() if isinstance(item, Msg) else item.name)

    await bus.js.publish("sparkplug.dead.x", b"1")
    reader = asyncio.create_task(read())
    await until(lambda: "READY" in told)
    assert told == ["BEGIN", "1", "READY"]
    await bus.js.publish("sparkplug.dead.x", b"2")
    await until(lambda: "2" in told)
    process = mesh_server.server.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await mesh_server.restart()
    assert await bus.wait_connected(10)
    await bus.js.publish("sparkplug.dead.x", b"3")
    await until(lambda: "3" in told)
    assert [item for item in told if item.isdigit()] == ["1", "2", "3"]
    reader.cancel()


async def test_a_reading_that_ends_leaves_no_consumer(
    mesh_server: MeshServer, until: Until
) -> None:
    bus = await mesh_server.connect()
    bucket = Bucket(bus, subjects.BUCKET_SPECS)
    await bucket.put("a", b"1")
    for _ in range(5):
        assert [entry.key for entry in await bucket.entries()] == ["a"]

    async def consumers() -> int:
        return len(await bus.js.consumers_info(f"KV_{subjects.BUCKET_SPECS}"))

    async with asyncio.timeout(60):
        while await consumers():
            await asyncio.sleep(0.02)


async def test_a_stream_that_is_not_there_is_named(mesh_server: MeshServer) -> None:
    bus = await mesh_server.connect()
    with pytest.raises(NotFoundError, match="no stream NOWHERE"):
        async for item in follow(bus, "NOWHERE", from_there):
            assert item is Mark.BEGIN, "nothing can be read"
