"""The ledger on a real server: what is noted is written once, whatever the server does."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from fakes.mesh_server import MeshServer
from fakes.node import eventually
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.client.models import add_up, read_calls
from sparkplug.llm.ledger import Ledger
from sparkplug.schema.llm import CallRecord


def record(number: int, **more: Any) -> CallRecord:
    given = {"id": f"call-{number}", "agent": "a", "model": "m", "tokens_in": 2, "tokens_out": 3}
    return CallRecord.model_validate({**given, **more})


def face(bus: Bus) -> Any:
    return type("Face", (), {"bus": bus})()


async def test_all_of_it_is_written_in_batches_and_added_up(mesh_bus: Bus) -> None:
    ledger = Ledger(mesh_bus, "thinker", "1")
    for number in range(600):
        ledger.note(record(number, run=f"run-{number % 3}", outcome="ok", cost=0.5, currency="EUR"))
    ledger.note(record(600, outcome="model_broken", tokens_estimated=True, joules=2.5))
    await ledger.drain(30)
    calls = await read_calls(face(mesh_bus))
    assert len(calls) == 601
    info = await mesh_bus.js.stream_info(subjects.STREAM_LEDGER)
    assert info.state.messages == 3
    # Whose calls they are the subject tells, which the server checked, not the record.
    (used,) = add_up(calls)
    assert (used.key, used.calls, used.failed, used.tokens_out) == ("thinker", 601, 1, 1803)
    assert (used.cost, used.currency, used.joules, used.estimated) == (300.0, "EUR", 2.5, True)
    by_run = {one.key: one.calls for one in add_up(calls, "run")}
    assert by_run == {"run-0": 200, "run-1": 200, "run-2": 200, "no run": 1}


async def test_a_server_that_is_killed_costs_nothing(mesh_server: MeshServer) -> None:
    bus = await mesh_server.connect("thinker")
    ledger = Ledger(bus, "thinker", "0")
    ledger.note(record(1))
    await ledger.drain(30)
    process = mesh_server.server.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    ledger.note(record(2))
    writing = asyncio.create_task(ledger.flush())
    await mesh_server.restart()
    async with asyncio.timeout(60):
        await writing

    async def both() -> bool:
        return len(await read_calls(face(bus))) == 2

    assert await eventually(both)


async def test_what_is_no_batch_is_left_out(mesh_bus: Bus) -> None:
    for body in (b"", b"rubbish", b"x\x9cK\x04\x00\x00b\x00b"):
        await mesh_bus.js.publish(subjects.ledger("a", "0"), body)
    assert await read_calls(face(mesh_bus)) == []
