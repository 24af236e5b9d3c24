"""A host that says a hundred times what it should say once: it costs little, others are heard."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from fakes.crowd import Crowd, Size
from fakes.mesh_server import MeshServer
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.client import hearing, hosts
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.paths import Paths
from sparkplug.schema.node import NodeState, ObservedNode

#: A second of it: as many samples, and as much rubbish.
_BABBLE = 200


async def join(bus: Bus, name: str) -> None:
    node = ObservedNode(
        name=name, host=name, state=NodeState.READY, version="1", pid=1, silent_seconds=-3600.0
    )
    body = node.model_dump_json().encode()
    await Bucket(bus, subjects.BUCKET_OBSERVED).put(f"nodes.{name}", body)


async def speak(bus: Bus, crowd: Crowd, host: str, times: int, pause: float) -> None:
    subject = subjects.telemetry(host)
    while True:
        for _ in range(times):
            await bus.nc.publish(subject, crowd.sample(host, 1).model_dump_json().encode())
            if times > 1:
                await bus.nc.publish(subject, b"{" * 500)
        await asyncio.sleep(pause)


async def test_a_host_that_babbles_is_received_a_few_times_a_second_and_the_others_always(
    mesh_server: MeshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "_CALM_S", 2.0)
    monkeypatch.setattr(hearing, "_LOOK_S", 0.5)
    speaker, listener = await mesh_server.connect("speaker"), await mesh_server.connect("listener")
    settings = load_settings(environ={"SPARKPLUG_HOME": str(tmp_path)})
    client = Client(listener, Paths(tmp_path), settings, private=True)
    crowd = Crowd(mesh_server, Size())
    for name in ("quiet", "loud"):
        await join(speaker, name)
    found: dict[str, int] = {}
    async with asyncio.timeout(60), contextlib.aclosing(hosts.follow(client)) as samples:
        talk = [asyncio.create_task(speak(speaker, crowd, "quiet", 1, 0.5))]
        loud = asyncio.create_task(speak(speaker, crowd, "loud", _BABBLE // 20, 0.1))
        received: list[tuple[float, int]] = []
        loop = asyncio.get_running_loop()
        async for sample in samples:
            found[sample.host] = found.get(sample.host, 0) + 1
            received.append((loop.time(), listener.nc.stats["in_msgs"]))
            if found.get("quiet", 0) == 4:
                # One that comes meanwhile is heard as well.
                await join(speaker, "late")
                talk.append(asyncio.create_task(speak(speaker, crowd, "late", 1, 0.5)))
            if found.get("late", 0) >= 3 and found.get("loud", 0) >= 3:
                break
        # What it said in its last three seconds was, but for a little, not received.
        last = [item for item in received if item[0] > received[-1][0] - 3]
        seconds = last[-1][0] - last[0][0]
        assert last[-1][1] - last[0][1] < _BABBLE * seconds / 3
        # One that keeps quiet again is heard like the others.
        loud.cancel()
        talk.append(asyncio.create_task(speak(speaker, crowd, "loud", 1, 0.3)))
        again = found["loud"]
        async for sample in samples:
            found[sample.host] = found.get(sample.host, 0) + 1
            if found["loud"] > again + 6:
                break
        for task in talk:
            task.cancel()
