"""The journal of runs on a real server: order, fences, doubles, following, outages."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fakes.mesh_server import MeshServer
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import follow_journal, list_runs, read_journal
from sparkplug.plans.asking import ask_cancel
from sparkplug.plans.journal import MAX_ENTRY_BYTES, JournalWriter, accept
from sparkplug.schema.errors import ConflictError, InvalidError, NoMeshError, NotFoundError
from sparkplug.schema.journal_fold import fold
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import JournalEntry, RunState, StepState

Until = Callable[..., Awaitable[None]]

PLAN = Plan.model_validate(
    {"name": "two", "steps": [{"id": step, "agent": "a", "prompt": "go"} for step in ("x", "y")]}
)


def accepted(run: str, **what: Any) -> JournalEntry:
    return JournalEntry(run=run, kind="accepted", plan=PLAN, inputs={}, **what)


async def opened(bus: Bus, run: str) -> JournalWriter:
    writer = JournalWriter(bus, run, lambda: True)
    await writer.open()
    return writer


async def test_entries_are_read_in_the_order_of_the_stream(mesh_bus: Bus) -> None:
    await accept(mesh_bus, accepted("r"))
    writer = await opened(mesh_bus, "r")
    for kind, step in [("started", None), ("step-started", "x"), ("step-completed", "x")]:
        await writer.write(
            JournalEntry(run="r", kind=kind, step=step, attempt=1, output={"n": 1, "of": ["a"]})
        )
    entries = await read_journal(mesh_bus, "r")
    assert [entry.kind for entry in entries] == [
        "accepted",
        "started",
        "step-started",
        "step-completed",
    ]
    view = fold(entries)
    assert view.state is RunState.RUNNING
    assert view.steps[0].state is StepState.DONE
    assert view.steps[0].output == {"n": 1, "of": ["a"]}
    assert view.steps[1].state is StepState.PENDING
    times = [entry.time for entry in entries]
    assert times == sorted(times)
    assert writer.opened is not None
    assert times[0] <= writer.opened <= times[1]


async def test_the_fence_refuses_the_old_holder(mesh_bus: Bus) -> None:
    await accept(mesh_bus, accepted("r"))
    old = await opened(mesh_bus, "r")
    await old.write(JournalEntry(run="r", kind="started"))
    new = await opened(mesh_bus, "r")
    with pytest.raises(ConflictError):
        await old.write(JournalEntry(run="r", kind="step-started", step="x", attempt=1))
    await new.write(JournalEntry(run="r", kind="resumed"))
    kinds = [entry.kind for entry in await read_journal(mesh_bus, "r")]
    assert kinds == ["accepted", "started", "resumed"]


async def test_a_fence_of_one_run_leaves_the_others_alone(mesh_bus: Bus) -> None:
    await accept(mesh_bus, accepted("r"))
    await accept(mesh_bus, accepted("s"))
    writer = await opened(mesh_bus, "r")
    await opened(mesh_bus, "s")
    await writer.write(JournalEntry(run="r", kind="started"))
    assert len(await read_journal(mesh_bus, "r")) == 2


async def test_a_run_is_accepted_once(mesh_bus: Bus) -> None:
    await accept(mesh_bus, accepted("r", node="one"))
    with pytest.raises(ConflictError):
        await accept(mesh_bus, accepted("r", node="two"))
    assert [entry.node for entry in await read_journal(mesh_bus, "r")] == ["one"]


async def test_an_entry_sent_again_is_stored_once(mesh_bus: Bus) -> None:
    """What the writer does when the server's answer was lost: the same id, the same fence."""
    await accept(mesh_bus, accepted("r"))
    fence = await mesh_bus.js.publish(subjects.journal_fence("r"), b"")
    headers = {
        "Nats-Expected-Last-Subject-Sequence": str(fence.seq),
        "Nats-Expected-Last-Subject-Sequence-Subject": subjects.journal_fence("r"),
        "Nats-Msg-Id": "one",
    }
    data = JournalEntry(run="r", kind="started").model_dump_json().encode()
    first = await mesh_bus.js.publish(subjects.journal("r"), data, headers=dict(headers))
    again = await mesh_bus.js.publish(subjects.journal("r"), data, headers=dict(headers))
    assert again.duplicate
    assert again.seq == first.seq
    assert len(await read_journal(mesh_bus, "r")) == 2


async def test_accepting_outlives_lost_answers(mesh_server: MeshServer, until: Until) -> None:
    """Answers are lost on a connection of its own whose server stops in the middle."""
    bus = await mesh_server.connect()
    process = mesh_server.server.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        accepting = asyncio.create_task(accept(bus, accepted("r")))
        # The first answer is not waited for longer than a second: by then it is sent again.
        await until(lambda: bus.nc.stats["out_msgs"] >= 2)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        await accepting
    assert [entry.kind for entry in await read_journal(bus, "r")] == ["accepted"]


async def test_an_entry_that_is_too_large_is_refused_whole(mesh_bus: Bus) -> None:
    await accept(mesh_bus, accepted("r"))
    writer = await opened(mesh_bus, "r")
    large = JournalEntry(run="r", kind="step-completed", step="x", output="x" * MAX_ENTRY_BYTES)
    with pytest.raises(InvalidError, match=str(MAX_ENTRY_BYTES)):
        await writer.write(large)
    assert len(await read_journal(mesh_bus, "r")) == 1
    await writer.write(JournalEntry(run="r", kind="started"))
    assert len(await read_journal(mesh_bus, "r")) == 2


async def test_runs_are_listed_newest_first(mesh_bus: Bus) -> None:
    assert await list_runs(mesh_bus) == []
    for run in ("a", "b", "c"):
        await accept(mesh_bus, accepted(run))
    writer = await opened(mesh_bus, "a")
    await writer.write(JournalEntry(run="a", kind="failed", error="because"))
    runs = await list_runs(mesh_bus)
    assert [run.id for run in runs] == ["c", "b", "a"]
    assert runs[2].state is RunState.FAILED
    assert runs[2].error == "because"
    assert [run.id for run in await list_runs(mesh_bus, limit=2)] == ["c", "b", "a"]


async def test_cancel_is_asked_of_runs_that_have_not_ended(mesh_bus: Bus) -> None:
    with pytest.raises(NotFoundError):
        await ask_cancel(mesh_bus, "r", "me")
    await accept(mesh_bus, accepted("r"))
    await ask_cancel(mesh_bus, "r", "me")
    writer = await opened(mesh_bus, "r")
    await writer.write(JournalEntry(run="r", kind="cancelled"))
    with pytest.raises(ConflictError, match="already ended"):
        await ask_cancel(mesh_bus, "r", "me")
    entries = await read_journal(mesh_bus, "r")
    assert [(entry.kind, entry.actor) for entry in entries[1:]] == [
        ("cancel-asked", "me"),
        ("cancelled", ""),
    ]


async def test_following_gives_what_is_there_and_what_comes_and_ends(mesh_bus: Bus) -> None:
    with pytest.raises(NotFoundError):
        async for _ in follow_journal(mesh_bus, "r"):
            pass
    await accept(mesh_bus, accepted("r"))
    writer = await opened(mesh_bus, "r")

    async def follow() -> list[str]:
        return [entry.kind async for entry in follow_journal(mesh_bus, "r")]

    async with asyncio.timeout(60):
        following = asyncio.create_task(follow())
        await writer.write(JournalEntry(run="r", kind="started"))
        await writer.write(JournalEntry(run="r", kind="completed"))
        assert await following == ["accepted", "started", "completed"]


async def test_following_and_writing_outlive_the_server(
    mesh_server: MeshServer, until: Until
) -> None:
    bus = await mesh_server.connect()
    await accept(bus, accepted("r"))
    writer = await opened(bus, "r")
    seen: list[str] = []

    async def follow() -> None:
        async for entry in follow_journal(bus, "r"):
            seen.append(entry.kind)

    following = asyncio.create_task(follow())
    await until(lambda: seen == ["accepted"])
    assert mesh_server.server.process is not None
    os.kill(mesh_server.server.process.pid, signal.SIGKILL)
    await until(lambda: not bus.connected)
    writing = asyncio.create_task(writer.write(JournalEntry(run="r", kind="started")))
    await mesh_server.restart()
    async with asyncio.timeout(60):
        await writing
        await writer.write(JournalEntry(run="r", kind="completed"))
        await following
    assert seen == ["accepted", "started", "completed"]


async def test_a_writer_without_its_lease_gives_up(mesh_server: MeshServer, until: Until) -> None:
    bus = await mesh_server.connect()
    await accept(bus, accepted("r"))
    held = True
    writer = JournalWriter(bus, "r", lambda: held)
    await writer.open()
    assert mesh_server.server.process is not None
    os.kill(mesh_server.server.process.pid, signal.SIGKILL)
    await until(lambda: not bus.connected)
    held = False
    async with asyncio.timeout(60):
        with pytest.raises(NoMeshError):
            await writer.write(JournalEntry(run="r", kind="started"))


async def test_what_is_no_entry_is_passed_over(mesh_bus: Bus) -> None:
    await accept(mesh_bus, accepted("r"))
    await mesh_bus.js.publish(subjects.journal("r"), b'{"run": "r", "kind": "unheard-of"}')
    writer = await opened(mesh_bus, "r")
    await writer.write(JournalEntry(run="r", kind="started"))
    assert [entry.kind for entry in await read_journal(mesh_bus, "r")] == ["accepted", "started"]
