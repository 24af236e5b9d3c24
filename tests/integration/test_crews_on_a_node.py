"""Crews on a real node: deployed by a file, thinking with the node's model, stopped and killed."""

from __future__ import annotations

import asyncio
import json
import queue
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.crews import kill_crews
from fakes.node import Node, eventually, wait_until
from fakes.openai_server import OpenAiServer, Reply, openai_server
from sparkplug.bus import synadia as wire
from sparkplug.client import agents, prompts
from sparkplug.client.cancelling import cancel, in_hand
from sparkplug.client.session import Client
from sparkplug.schema.errors import CancelledRequestError, DeadlineError, SparkplugError

DEADLINE_S = 60.0

TEAM = """\
agents:
  researcher:
    role: Researcher
    goal: find {topic}
    backstory: knows
    tools: ["crew_tools:nap"]
  writer: {role: Writer, goal: writes, backstory: knows}
tasks:
  find: {description: "find things on {topic}", expected_output: list, agent: researcher}
  write: {description: write them up, expected_output: text, agent: writer}
"""
TOOLS = """
import time
from crewai.tools import tool

@tool("nap")
def nap() -> str:
    "Sleeps, and hears nothing."
    time.sleep(300)
    return "slept"
"""


def final(text: str) -> Reply:
    return Reply.text(f"Thought: I now can give a great answer\nFinal Answer: {text}")


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAiServer]:
    """A scripted model in a thread of its own, for as long as the node lives."""
    ready: queue.Queue[OpenAiServer] = queue.Queue()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with openai_server(final("ready")) as server:
            ready.put(server)
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    yield ready.get(timeout=30)
    loop.call_soon_threadsafe(ended.set)
    thread.join(30)


@pytest.fixture(scope="module")
def node(model: OpenAiServer) -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    running = Node(folder / "state", {"SPARKPLUG_LLM_ENDPOINT": model.endpoint})
    try:
        running.up()
        (folder / "team.yaml").write_text(TEAM)
        (folder / "crew_tools.py").write_text(TOOLS)
        (folder / "crew.yaml").write_text(
            "name: team\nruntime: crewai\nentrypoint: team.yaml\n"
            "restart: {max: 0, backoff: 100ms}\n"
        )
        running.cli("agents", "deploy", str(folder / "crew.yaml"))
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    async with node.client() as connected:
        yield connected


def script(model: OpenAiServer, *replies: Reply) -> None:
    model.requests.clear()
    model.replies[:] = replies


async def kickoff(client: Client, deadline: float = DEADLINE_S) -> Any:
    target = await agents.target(client, "team")
    return await wire.call(
        client.bus, target, "kickoff", {"topic": "cats"}, context={}, deadline=deadline
    )


async def at(model: OpenAiServer, count: int) -> None:
    await eventually(lambda: len(model.requests) >= count, DEADLINE_S)


async def pid(client: Client) -> int:
    """The pid of the one replica, once it can be asked."""

    async def found() -> int | None:
        for one in await agents.list_agents(client):
            if one.name == "team" and one.takes_prompts and one.pid:
                return one.pid
        return None

    return int(await eventually(found, DEADLINE_S))


async def test_a_crew_file_is_deployed_and_answers(
    node: Node, client: Client, model: OpenAiServer
) -> None:
    script(model, final("facts"), final("a brief"))
    assert await kickoff(client) == {"text": "a brief"}
    script(model, final("facts"), final("a brief of dogs"))
    target = await agents.target(client, "team")
    stream = prompts.prompt(client, target, "dogs")
    said = [(chunk.kind, chunk.text) async for chunk in stream]
    assert said == [
        ("status", "ack"),
        ("status", "Researcher: find"),
        ("status", "Writer: write"),
        ("text", "a brief of dogs"),
    ]
    here = await pid(client)
    process = psutil.Process(here)
    assert process.memory_full_info().pss < process.memory_info().rss * 0.75, "pages are shared"
    zygote = process.parent()
    assert zygote is not None
    assert "crewai" in zygote.cmdline()
    assert zygote.num_threads() == 1
    events = node.json("events")
    steps = [e["data"] for e in events if e["name"] == "agent:step" and e["subject"] == "team"]
    assert {"find", "write"} <= {step["step"] for step in steps}


async def test_what_a_caller_no_longer_waits_for_is_let_go(
    client: Client, model: OpenAiServer
) -> None:
    script(model, Reply(pieces=["Thought"], hang=True))
    with pytest.raises(DeadlineError):
        await kickoff(client, deadline=2.0)
    await eventually(lambda: _idle(client), DEADLINE_S)
    assert len(model.requests) == 1


async def _idle(client: Client) -> bool:
    return all(not one.requests for one in await in_hand(client, "team"))


async def test_a_cancelled_crew_stops_and_its_caller_is_told(
    client: Client, model: OpenAiServer
) -> None:
    before = await pid(client)
    script(model, final("facts"), Reply(pieces=["Thought"], hang=True))
    task = asyncio.create_task(kickoff(client))
    await at(model, 2)
    await cancel(client, "team", reason="enough")
    with pytest.raises(CancelledRequestError, match="enough"):
        await task
    assert await pid(client) == before


async def test_one_that_does_not_stop_ends_with_its_process_and_that_is_said(
    node: Node, client: Client, model: OpenAiServer
) -> None:
    before = await pid(client)
    script(model, Reply(calls=[("nap", "{}")]))
    task = asyncio.create_task(kickoff(client))

    async def naps() -> bool:
        return any(
            "nap" in step
            for one in await in_hand(client, "team")
            for r in one.requests or []
            for step in r.steps
        )

    await eventually(naps, DEADLINE_S)
    with pytest.raises(SparkplugError, match="did not stop within 5 s"):
        await cancel(client, "team")
    with pytest.raises(SparkplugError, match=r"did not within 6 s: crew_tools.nap \(crew_tools.py"):
        await task
    script(model, final("facts"), final("again"))

    async def another() -> bool:
        return await pid(client) != before

    await eventually(another, DEADLINE_S)
    assert await kickoff(client) == {"text": "again"}
    failed = [e for e in node.json("events") if e["name"] == "agent:error"]
    assert any("did not within 6 s" in json.dumps(e["data"]) for e in failed)
    assert not psutil.pid_exists(before)


async def test_killed_in_the_midst_the_caller_is_told_and_a_step_goes_on(
    node: Node, client: Client, model: OpenAiServer, tmp_path: Path
) -> None:
    """A few of what `python -m tests.chaos.crews 20` does."""
    await kill_crews(node, model, tmp_path / "killed", 2)
    assert wait_until(lambda: not unreaped(node)), unreaped(node)


def unreaped(node: Node) -> list[int]:
    """What has ended, and whoever started it has not looked."""
    ours = {process.pid for process in node.processes()}
    return [
        process.pid
        for process in psutil.process_iter(["status", "ppid"])
        if process.info["status"] == psutil.STATUS_ZOMBIE and process.info["ppid"] in ours
    ]


HELD = """
import asyncio
import time

from sparkplug.agents.runtimes.port import ProcessMustEnd


async def handle(ctx, request):
    if request.action == "hold":
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
        raise ProcessMustEnd("a thread is held")
    return "well"
"""


async def test_a_process_that_must_end_does_though_a_thread_holds_it(
    node: Node, client: Client, tmp_path: Path
) -> None:
    path = node.write_agent(tmp_path, "held", HELD, restart={"max": 0, "backoff": "100ms"})
    node.cli("agents", "deploy", str(path))

    async def replica() -> Any:
        return next(one for one in await agents.list_agents(client) if one.name == "held")

    before = (await replica()).pid
    target = await agents.target(client, "held")
    with pytest.raises(SparkplugError, match="a thread is held"):
        await wire.call(client.bus, target, "hold", {}, context={}, deadline=DEADLINE_S)

    async def another() -> bool:
        now = await replica()
        return bool(now.takes_prompts and now.pid not in (None, before))

    await eventually(another, DEADLINE_S)
    errors = [e["data"] for e in node.json("events") if e["name"] == "agent:error"]
    assert any("a thread is held" in json.dumps(data) for data in errors)
