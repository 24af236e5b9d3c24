"""A face that meets a node of another release works, or says what differs."""

from __future__ import annotations

import json

from fakes.mesh_server import MeshServer
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.client.versions import differing
from sparkplug.schema.node import PROTOCOL, NodeState, ObservedNode


def _node(name: str, **changes: object) -> ObservedNode:
    values = {"name": name, "host": name, "state": NodeState.READY, "version": "9.9.9", "pid": 1}
    return ObservedNode.model_validate({**values, "protocol": PROTOCOL, **changes})


async def test_another_protocol_is_told_and_another_version_alone_is_not(
    mesh_server: MeshServer, mesh_bus: Bus
) -> None:
    bucket = Bucket(mesh_bus, subjects.BUCKET_OBSERVED)
    assert await differing(mesh_bus) is None, "no node yet"
    await bucket.put("nodes.a", _node("a"))
    assert await differing(mesh_bus) is None
    await bucket.put("nodes.b", _node("b", protocol=PROTOCOL + 1))
    told = await differing(mesh_bus)
    assert told is not None
    assert told.startswith(f"node b (9.9.9) speaks protocol {PROTOCOL + 1}")
    await bucket.put("nodes.c", _node("c", protocol=PROTOCOL - 1))
    told = await differing(mesh_bus)
    assert told is not None
    assert "node c is 9.9.9" in told


async def test_what_the_release_before_wrote_is_read_and_what_the_next_writes_too(
    mesh_server: MeshServer, mesh_bus: Bus
) -> None:
    bucket = Bucket(mesh_bus, subjects.BUCKET_OBSERVED)
    before = _node("a").model_dump(mode="json", exclude={"protocol"})
    after = {**before, "protocol": PROTOCOL, "something": {"new": [1]}}
    for written in (before, after):
        await bucket.put("nodes.a", json.dumps(written).encode())
        assert await differing(mesh_bus) is None
        found = await bucket.read_all(ObservedNode, "nodes.>")
        assert found["nodes.a"].protocol == PROTOCOL
