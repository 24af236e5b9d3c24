"""Asking the memory while what works on it, or the way to it, is lost."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from nats.aio.msg import Msg

from fakes.mesh_server import MeshServer
from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import Services
from sparkplug.schema.errors import AskAgainError, DeadlineError
from sparkplug.schema.memory_requests import ManyReply, ManyRequest, MemoryAdd

PERSON = subjects.memory_face("root")


async def ask(bus: Bus, deadline: float = 40.0) -> ManyReply:
    request = ManyRequest(ids=["abcd"], request="one")
    return await wire.ask(bus, "undo", PERSON, request, ManyReply, deadline=deadline)


async def test_what_a_process_did_not_answer_is_asked_again_as_the_same(mesh_bus: Bus) -> None:
    asked: list[str] = []

    async def undo(request: ManyRequest) -> ManyReply:
        asked.append(request.request)
        if len(asked) < 3:
            raise AskAgainError("the memory's process ended before it answered")
        return ManyReply(changed=request.ids)

    services = Services(mesh_bus)
    await services.serve(subjects.memory_call("undo", ">"), ManyRequest, undo)
    assert (await ask(mesh_bus)).changed == ["abcd"]
    assert asked == ["one"] * 3
    await services.close()


async def test_an_answer_to_a_connection_that_was_lost_is_asked_for_again(
    mesh_server: MeshServer, mesh_bus: Bus
) -> None:
    face = await mesh_server.connect()
    epoch, asked = face.epoch, 0

    async def undo(request: ManyRequest, _: Msg) -> ManyReply | None:
        nonlocal asked
        asked += 1
        if asked > 1:
            return ManyReply(changed=request.ids)
        # As of a server that cuts off who reads too slowly: its answer goes nowhere.
        await face.nc._process_op_err(ConnectionResetError())
        return None

    services = Services(mesh_bus)
    await services.serve_message(subjects.memory_call("undo", ">"), ManyRequest, undo)
    await mesh_bus.flush()
    assert (await ask(face)).changed == ["abcd"]
    assert (asked, face.epoch) == (2, epoch + 1)
    await services.close()


async def test_what_a_busy_server_acknowledged_too_late_is_stored_once(
    mesh_server: MeshServer, mesh_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = mesh_server.server.process
    assert process is not None
    publish, tries = mesh_bus.js.publish, 0

    async def counted(*words: Any, **named: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 2:
            os.kill(process.pid, signal.SIGCONT)
        return await publish(*words, **named)

    monkeypatch.setattr(mesh_bus.js, "publish", counted)
    monkeypatch.setattr(wire, "_WRITE_S", 1.0)
    os.kill(process.pid, signal.SIGSTOP)
    await wire.write(mesh_bus, PERSON, MemoryAdd(text="said once"))
    info = await mesh_bus.js.stream_info(subjects.STREAM_MEMORY)
    assert (tries >= 2, info.state.messages) == (True, 1)


async def test_asking_again_ends_with_the_deadline(mesh_bus: Bus) -> None:
    async def undo(request: ManyRequest) -> ManyReply:
        raise AskAgainError("the memory's process ended before it answered")

    services = Services(mesh_bus)
    await services.serve(subjects.memory_call("undo", ">"), ManyRequest, undo)
    with pytest.raises(DeadlineError, match=r"within 0\.3 s"):
        await ask(mesh_bus, 0.3)
    await services.close()
