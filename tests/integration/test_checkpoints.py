"""The JetStream checkpointer: the public conformance suite, and who may read what."""

from __future__ import annotations

import asyncio
import itertools
import operator
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import nats.errors
import nats.js.errors
import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.graph import END, START, StateGraph

from fakes.mesh_server import MeshServer, started
from sparkplug.agents.runtimes.langgraph.checkpoints import JetStreamSaver
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.kept import Kept, kept_token, pack, unpack
from sparkplug.bus.service import Services, call
from sparkplug.node.checkpoints import Checkpoints
from sparkplug.node.permissions import agent_permissions
from sparkplug.schema.checkpoint import KEPT, CheckpointsReply, CheckpointsRequest
from sparkplug.schema.errors import NoMeshError, SparkplugError


async def as_agent(mesh: MeshServer, agent: str, replica: str = "0") -> Bus:
    """A connection with the user of an agent's process."""
    bus = await connect(
        mesh.url,
        name=f"agent {agent}/{replica}",
        inbox_prefix=subjects.inbox("agent", f"{agent}={replica}"),
        credentials=mesh.keys.user(f"agent {agent}", agent_permissions(agent, "tester", replica)),
    )
    mesh.buses.append(bus)
    return bus


async def serve(mesh: MeshServer) -> None:
    """Answer about checkpoints, as a node does."""
    bus = await mesh.connect("node")
    await Checkpoints(bus).serve(Services(bus))
    await bus.flush()


async def test_langgraphs_own_suite_for_checkpointers_passes_whole(tmp_path: Path) -> None:
    """Base and extended, by an agent's own user: it needs no more than it may."""
    async with started(tmp_path) as mesh:
        await serve(mesh)
        bus = await as_agent(mesh, "graphy")

        @checkpointer_test(name="jetstream")
        async def saver() -> AsyncGenerator[Any, None]:
            yield JetStreamSaver(bus, "graphy", "0")

        report = await validate(saver)
        failed = {
            name: result.failures for name, result in report.results.items() if not result.passed
        }
        assert not failed
        assert all(result.detected for result in report.results.values())
        assert report.conformance_level() == "FULL"
        assert sum(result.tests_passed for result in report.results.values()) >= 81


async def test_an_agent_reads_and_writes_nothing_of_another(mesh_server: MeshServer) -> None:
    """By hand, with the plain client: every way there is to a checkpoint."""
    mesh = mesh_server
    await serve(mesh)
    owner, thief = await as_agent(mesh, "owner"), await as_agent(mesh, "thief")
    name = f"{kept_token('t')}.{kept_token('')}.c.1"
    await Kept(owner, "owner").put(name, b"secret")
    assert await Kept(owner, "owner").get(name) == b"secret"

    stream, subject = subjects.STREAM_CHECKPOINTS, f"sparkplug.checkpoint.owner.{name}"
    asked = [
        (f"$JS.API.DIRECT.GET.{stream}.{subject}", b""),
        (f"$JS.API.DIRECT.GET.{stream}", b'{"last_by_subj": "%s"}' % subject.encode()),
        (f"$JS.API.DIRECT.GET.{stream}", b'{"seq": 1}'),
        (f"$JS.API.STREAM.MSG.GET.{stream}", b'{"seq": 1}'),
        (f"$JS.API.STREAM.INFO.{stream}", b'{"subjects_filter": ">"}'),
        (f"$JS.API.STREAM.PURGE.{stream}", b""),
        (f"$JS.API.CONSUMER.CREATE.{stream}", b'{"stream_name": "%s"}' % stream.encode()),
        (subjects.agent_service("owner", "0", "checkpoints"), b'{"verb": "list"}'),
        (subject, b"forged"),
    ]
    for where, body in asked:
        with pytest.raises(nats.errors.Error):
            await thief.nc.request(where, body, timeout=0.3)
    with pytest.raises((nats.errors.Error, nats.js.errors.Error, TimeoutError)):
        await thief.nc.subscribe("sparkplug.checkpoint.owner.>")
        await thief.nc.request(subject, b"x", timeout=0.3)
    # Through the node it is told of its own alone, whatever it asks for.
    own = subjects.agent_service("thief", "0", "checkpoints")
    reply = await call(thief, own, CheckpointsRequest(verb="list"), CheckpointsReply)
    assert reply.found == []
    with pytest.raises(SparkplugError):
        await call(
            thief, own, CheckpointsRequest(verb="list", thread="../owner.>"), CheckpointsReply
        )
    assert await Kept(owner, "owner").get(name) == b"secret"


async def test_what_is_larger_than_a_message_is_kept_whole(mesh_server: MeshServer) -> None:
    bus = await as_agent(mesh_server, "large")
    kept = Kept(bus, "large")
    name = f"{kept_token('a thread. with > dots')}.{kept_token('')}.c.1"
    for size in (bus.nc.max_payload - 1, bus.nc.max_payload * 2 + 7):
        data = bytes(range(256)) * (size // 256 + 1)
        await kept.put(name, data[:size])
        assert await kept.get(name) == data[:size]


@pytest.mark.parametrize("deltas", [False, True])
async def test_of_a_long_thread_the_oldest_go_and_its_state_stays(
    mesh_server: MeshServer, deltas: bool
) -> None:
    """With delta channels what the newest is rebuilt from stays too."""
    kept: Any = DeltaChannel(lambda said, writes: [*said, *itertools.chain(*writes)], list)
    made: Any = TypedDict(
        "made", {"said": Annotated[list[int], kept if deltas else operator.add], "turn": int}
    )

    def turn(state: Any) -> Any:
        number = state["turn"] + 1
        # Written so seldom that its last snapshot is older than what is kept.
        return {"turn": number, **({"said": [number]} if number % 40 == 0 else {})}

    graph = StateGraph(made)
    graph.add_node("turn", turn)
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", lambda state: END if state["turn"] == 220 else "turn")
    await serve(mesh_server)
    saver = JetStreamSaver(await as_agent(mesh_server, "graphy"), "graphy", "0")
    run = graph.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "long"}, "recursion_limit": 300}
    given = {"said": [], "turn": 0}
    before = await run.ainvoke(given, config, durability="sync")
    assert before["said"] == [40, 80, 120, 160, 200]
    # The second reading is of what the first one left.
    for _ in range(2):
        assert (await run.aget_state(config)).values == before
    left = [one async for one in saver.alist(config)]
    assert len(left) >= KEPT if deltas else len(left) == KEPT


async def test_a_write_waits_for_a_server_that_was_killed(mesh_server: MeshServer) -> None:
    bus = await as_agent(mesh_server, "patient")
    kept = Kept(bus, "patient")
    await kept.put("t.%.c.1", b"before")
    process = mesh_server.server.process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    writing = asyncio.create_task(kept.put("t.%.c.2", b"after"))
    await mesh_server.restart()
    assert await writing
    assert await kept.get("t.%.c.1") == b"before"
    assert await kept.get("t.%.c.2") == b"after"


async def test_without_a_node_it_says_so(mesh_server: MeshServer) -> None:
    saver = JetStreamSaver(await as_agent(mesh_server, "alone"), "alone", "0")
    with pytest.raises(NoMeshError, match="nothing answers"):
        await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}})


def test_any_text_is_a_token_of_a_subject() -> None:
    hostile = ["", " ", ".", "*", ">", "a.b", "ä\n", "x" * 5000, "%", "%%", "\ud800"]
    tokens = [kept_token(text) for text in hostile]
    assert len(set(tokens)) == len(hostile)
    for token in tokens:
        assert token
        assert len(token) < 300
        assert not set(token) & set("*>. \t\n")


def test_what_is_not_ours_is_refused() -> None:
    head, parts = unpack(pack({"v": 1}, b"one", b""))
    assert (head, parts) == ({"v": 1}, [b"one", b""])
    for data in (b"", b"\x00", b"secret", pack({"v": 1}, b"one")[:-1], b"\xff" * 64):
        with pytest.raises(ValueError, match=r"kept|Expecting"):
            unpack(data)
