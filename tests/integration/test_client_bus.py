"""The client over a real server: wanting agents, watching them come, and what happened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.service import Services
from sparkplug.client import agents, doctor_mesh, events, hosts, readiness, topology
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.paths import Paths
from sparkplug.schema.agent import AgentState, ObservedAgent, ResolveReply, ResolveRequest, Target
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import (
    ConflictError,
    DeadlineError,
    InvalidError,
    NoMeshError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)
from sparkplug.schema.event import Event
from sparkplug.schema.node import NodeState, ObservedNode

if TYPE_CHECKING:
    from tests.integration.conftest import MeshServer

SPEC = AgentSpec(name="echo", entrypoint="m:f")
FOLDER = Path("/agents")


@pytest.fixture
def client(mesh_bus: Bus, tmp_path: Path) -> Client:
    settings = load_settings(environ={"SPARKPLUG_HOME": str(tmp_path)})
    return Client(mesh_bus, Paths(tmp_path), settings, private=True)


async def observe(
    client: Client, state: AgentState, *, generation: int = 1, replica: str = "0", **more: object
) -> None:
    """Write observed state as a node does."""
    fields = {"name": "echo", "replica": replica, "runtime": "python", "owner": "o", "node": "n"}
    agent = ObservedAgent.model_validate(
        {**fields, "state": state, "generation": generation, **more}
    )
    await Bucket(client.bus, subjects.BUCKET_OBSERVED).put(f"agents.echo.{replica}", agent)


async def test_a_name_is_taken_once_and_free_again_after_removal(client: Client) -> None:
    assert await agents.deploy(client, SPEC, FOLDER)
    assert not await agents.deploy(client, SPEC, FOLDER)
    other = SPEC.model_copy(update={"entrypoint": "m:g"})
    with pytest.raises(ConflictError, match="the name echo is taken"):
        await agents.deploy(client, other, FOLDER)
    assert await agents.deploy(client, other, FOLDER, replace=True)
    assert (await agents.desired(client))["echo"].generation == 2
    await agents.remove(client, "echo")
    assert await agents.desired(client) == {}
    assert await agents.deploy(client, SPEC, FOLDER)
    assert (await agents.desired(client))["echo"].spec == SPEC


async def test_only_what_needs_new_processes_raises_the_generation(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    more = SPEC.model_copy(update={"replicas": 4})
    await agents.deploy(client, more, FOLDER, replace=True)
    assert (await agents.desired(client))["echo"].generation == 1
    assert await agents.scale(client, "echo", 2)
    assert not await agents.scale(client, "echo", 2)
    wanted = (await agents.desired(client))["echo"]
    assert (wanted.generation, wanted.spec.replicas) == (1, 2)
    await agents.restart(client, "echo")
    assert (await agents.desired(client))["echo"].generation == 2
    with pytest.raises(InvalidError):
        await agents.scale(client, "echo", -1)


async def test_stopping_and_starting_change_what_is_wanted_once(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    assert not await agents.start(client, "echo")
    assert await agents.stop(client, "echo")
    assert not await agents.stop(client, "echo")
    assert not (await agents.desired(client))["echo"].run
    assert await agents.start(client, "echo")
    wanted = (await agents.desired(client))["echo"]
    assert (wanted.run, wanted.generation, wanted.reason) == (True, 1, "start")
    assert wanted.changed_by == client.actor


async def test_an_agent_that_gave_up_is_tried_anew(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    await observe(client, AgentState.ERROR)
    assert await agents.start(client, "echo")
    assert (await agents.desired(client))["echo"].generation == 2
    assert await agents.deploy(client, SPEC, FOLDER)
    assert (await agents.desired(client))["echo"].generation == 3


async def test_a_name_nobody_has_is_told_with_the_nearest(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    for call in (agents.stop, agents.start, agents.restart, agents.remove, agents.describe):
        with pytest.raises(NotFoundError, match="no agent ecko, did you mean echo"):
            await call(client, "ecko")


async def test_of_two_who_change_the_same_revision_one_is_told(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    results = await asyncio.gather(
        *(agents.scale(client, "echo", count) for count in (2, 3, 4, 5)), return_exceptions=True
    )
    refused = [r for r in results if isinstance(r, ConflictError)]
    assert refused
    assert len(refused) + results.count(True) == 4


async def test_every_change_is_an_event_with_who_and_why(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    await agents.stop(client, "echo")
    await agents.remove(client, "echo")
    found = await events.read_events(client)
    assert [event.data["what"] for event in found] == ["deploy", "stop", "remove"]
    assert {(e.name, e.subject, e.actor) for e in found} == {
        ("agent:changed", "echo", client.actor)
    }
    sequences = [event.sequence or 0 for event in found]
    assert sequences == sorted(sequences)
    after = await events.read_events(client, after=sequences[0])
    assert [event.sequence for event in after] == sequences[1:]
    assert await events.read_events(client, since=0.0) == []


async def test_following_events_begins_with_those_there_and_outlives_the_server(
    client: Client, mesh_server: MeshServer, until: Callable[..., Awaitable[None]]
) -> None:
    seen: list[Event | None] = []

    async def follow() -> None:
        async with contextlib.aclosing(events.follow_events(client)) as stream:
            async for event in stream:
                seen.append(event)

    await client.emit("agent:changed", "one")
    task = asyncio.create_task(follow())
    try:
        await until(lambda: seen and seen[-1] is None)
        process = mesh_server.server.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await mesh_server.restart()
        assert await client.bus.wait_connected(10)
        await client.emit("agent:changed", "two")
        await until(lambda: len(seen) == 3)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [event.subject if event else None for event in seen] == ["one", None, "two"]


async def test_waiting_ends_when_every_replica_of_this_generation_serves(client: Client) -> None:
    await agents.deploy(client, SPEC.model_copy(update={"replicas": 2}), FOLDER)
    await agents.restart(client, "echo")
    await observe(client, AgentState.ERROR, generation=1)
    waiting = asyncio.create_task(readiness.wait_ready(client, ["echo"], 10.0))
    await observe(client, AgentState.IDLE, generation=2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.2)
    await observe(client, AgentState.RUNNING, generation=2, replica="1")
    found = await waiting
    assert [agent.state for agent in found["echo"]] == [AgentState.IDLE, AgentState.RUNNING]


async def test_waiting_ends_at_once_with_the_reason_of_an_error(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    await observe(client, AgentState.ERROR, reason="there is no module m")
    with pytest.raises(SparkplugError, match="echo/0 failed: there is no module m"):
        await readiness.wait_ready(client, ["echo"], 10.0)


async def test_waiting_says_what_it_waited_for(client: Client) -> None:
    await agents.deploy(client, SPEC, FOLDER)
    with pytest.raises(DeadlineError, match="echo is not taken by a node"):
        await readiness.wait_ready(client, ["echo"], 0.2)
    await observe(client, AgentState.STARTING)
    with pytest.raises(DeadlineError, match="echo is starting"):
        await readiness.wait_ready(client, ["echo"], 0.2)
    with pytest.raises(DeadlineError, match="echo has not stopped"):
        await readiness.wait_stopped(client, "echo", 0.2)
    await observe(client, AgentState.STOPPED)
    await readiness.wait_stopped(client, "echo", 10.0)


async def test_a_target_is_what_the_directory_says_and_its_absence_has_a_reason(
    client: Client,
) -> None:
    with pytest.raises(NoMeshError):
        await agents.target(client, "echo")
    there = [Target(name="echo", replica="1", owner="o", subject="s")]

    async def resolve(request: ResolveRequest) -> ResolveReply:
        return ResolveReply(targets=there if request.name == "echo" else [])

    services = Services(client.bus)
    await services.serve(subjects.AGENTS_RESOLVE, ResolveRequest, resolve)
    assert (await agents.target(client, "echo")).replica == "1"
    with pytest.raises(NotFoundError, match="no agent ecko"):
        await agents.target(client, "ecko")
    await agents.deploy(client, SPEC, FOLDER)
    await observe(client, AgentState.ERROR, reason="out of memory")
    with pytest.raises(NotFoundError, match="echo has no replica 7"):
        await agents.target(client, "echo", "7")
    there.clear()
    with pytest.raises(ConflictError, match="it is error: out of memory"):
        await agents.target(client, "echo")
    # What is written down as ready is found, though the directory has yet to hear of it.
    await observe(client, AgentState.IDLE, subject="agents.prompt.echo.o.0", instance="i")
    found = await agents.target(client, "echo")
    assert (found.subject, found.instance) == ("agents.prompt.echo.o.0", "i")
    await services.close()


async def test_a_server_that_says_nothing_is_told_as_such() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NoMeshError, match=f":{port}: no answer in time"):
            await connect(
                f"nats://127.0.0.1:{port}", name="t", inbox_prefix="_INBOX.t", deadline=0.5
            )


async def test_a_foreign_agent_is_shown_and_not_managed(client: Client) -> None:
    foreign = ObservedAgent(
        name="cc",
        replica="s1",
        runtime="claude-code",
        owner="ana",
        state=AgentState.IDLE,
        foreign=True,
    )
    await Bucket(client.bus, subjects.BUCKET_OBSERVED).put("foreign.cc.ana.s1", foreign)
    assert [agent.name for agent in await agents.list_agents(client)] == ["cc"]
    with pytest.raises(RefusedError, match="cc is a foreign agent"):
        await agents.stop(client, "cc")


async def test_a_host_that_does_not_answer_is_shown_with_its_age(client: Client) -> None:
    node = ObservedNode(name="n", host="n", state=NodeState.READY, version="1", pid=1)
    await Bucket(client.bus, subjects.BUCKET_OBSERVED).put("nodes.n", node)
    [view] = await hosts.list_hosts(client)
    assert (view.name, view.state, view.sample) == ("n", NodeState.READY, None)
    with pytest.raises(NotFoundError, match="no host m"):
        await hosts.describe(client, "m")
    with pytest.raises(NoMeshError):
        await topology.read_topology(client)


async def test_the_doctor_finds_a_mesh_that_answers_sound(client: Client) -> None:
    checks = {check.name: check for check in [await run(client) for run in doctor_mesh.MESH_CHECKS]}
    assert {name for name, check in checks.items() if check.state == "ok"} == {
        "server",
        "identity",
        "versions",
        "streams",
        "storage",
        "clock",
        "agents",
    }
    assert checks["hosts"].fix == "sparkplug up"
    await client.bus.js.delete_stream(subjects.STREAM_DEAD)
    missing = await doctor_mesh.streams(client)
    assert (missing.state, missing.text) == ("fail", f"missing: {subjects.STREAM_DEAD}")
    await client.bus.js.delete_stream(f"KV_{subjects.BUCKET_OBSERVED}")
    with pytest.raises(NotFoundError, match="this mesh has no stream"):
        await hosts.list_hosts(client)


async def test_once_flushed_the_server_has_read_what_was_subscribed(
    mesh_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    transport = mesh_bus.nc._transport
    write, writelines = transport.write, transport.writelines

    def note(data: bytes) -> None:
        sent.append(bytes(data))
        write(data)

    def note_lines(lines: list[bytes]) -> None:
        sent.extend(map(bytes, lines))
        writelines(lines)

    monkeypatch.setattr(transport, "write", note)
    monkeypatch.setattr(transport, "writelines", note_lines)
    await mesh_bus.nc.subscribe("asked.here", cb=mesh_bus.nc._error_cb)
    await mesh_bus.flush()
    said = b"".join(sent)
    # The server answers in the order it reads: the last question comes after the subscription.
    assert 0 <= said.index(b"SUB asked.here") < said.rindex(b"PING")
