"""`isolation: shared`: many agents in one process, each on its own as far as can be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.node import Node, eventually, wait_until
from sparkplug.client import agents as room
from sparkplug.schema.agent import AgentState, ObservedAgent

CODE = """\
import asyncio
import os
import sys
import time


async def handle(ctx, request):
    print("printed by", ctx.agent, ctx.replica)
    ctx.log.info("logged %s", request.text)
    await asyncio.to_thread(print, "printed in a thread of", ctx.agent)
    match request.text.split():
        case ["exit", code]:
            sys.exit(int(code))
        case ["die"]:
            os._exit(9)
        case ["block"]:
            time.sleep(600)
        case ["stubborn"]:
            while True:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    print("I stay")
        case ["ask", name]:
            return await ctx.ask(name, "hi")
        case ["env"]:
            return os.environ.get("COLOUR", "")
    return f"{ctx.agent}/{ctx.replica}: {request.text}"
"""


HEALTH = {"interval": "1s", "timeout": "3s"}


@pytest.fixture
def node(shared_node: Node) -> Node:
    """One node for most of these: each begins with none of another's agents."""
    return shared_node


def deploy(node: Node, folder: Path, *names: str, **spec: Any) -> None:
    """Agents of one module, in one folder."""
    for name in names:
        path = node.write_agent(folder, name, CODE, isolation="shared", **spec)
        path.write_text(path.read_text().replace(f"{name}_module", "common"))
        (folder / "common.py").write_text(CODE)
    files = [str(folder / f"{name}.yaml") for name in names]
    node.cli("agents", "deploy", *(files if len(files) == 1 else [str(folder)]))


def replicas(node: Node) -> dict[str, ObservedAgent]:
    """Every replica, by name/replica; asked without a process of its own."""

    async def ask() -> list[ObservedAgent]:
        async with node.client() as client:
            return await room.list_agents(client)

    return {f"{agent.name}/{agent.replica}": agent for agent in asyncio.run(ask())}


async def connected_users(node: Node) -> dict[str, str]:
    """The NATS user behind each connection of an agent, by its name."""
    async with node.client() as client:
        reply = await client.bus.nc.request("$SYS.REQ.ACCOUNT.PING.CONNZ", b'{"auth":true}')
    found = json.loads(reply.data)["data"]["connections"]
    return {c["name"]: c["authorized_user"] for c in found if c["name"].startswith("agent ")}


def test_many_agents_in_one_process_are_each_their_own(node: Node, tmp_path: Path) -> None:
    deploy(node, tmp_path, "one", replicas=3)
    deploy(node, tmp_path, "two")
    users = asyncio.run(connected_users(node))
    assert set(users) == {"agent one/0", "agent one/1", "agent one/2", "agent two/0"}
    assert len(set(users.values())) == 4
    pids = [agent.pid for agent in replicas(node).values()]
    assert len(pids) == 4
    assert len(set(pids)) == 1
    assert node.cli("prompt", "one", "hi", "--replica", "2").stdout.strip() == "one/2: hi"
    assert node.cli("prompt", "two", "ask one").stdout.strip().endswith(": hi")
    two = node.cli("agents", "logs", "two").stdout
    for line in ("two/0 is ready", "printed by two 0", "logged ask one", "in a thread of two"):
        assert line in two
    assert "one" not in two.replace("ask one", "")
    assert "printed by one 2" in node.cli("agents", "logs", "one", "--replica", "2").stdout


def test_one_is_restarted_stopped_and_removed_alone(node: Node, tmp_path: Path) -> None:
    deploy(node, tmp_path, "one", "two")

    def instances() -> dict[str, Any]:
        return {name: row.instance for name, row in replicas(node).items()}

    before = instances()
    node.cli("agents", "restart", "one", "--yes")
    after = instances()
    assert after["one/0"] != before["one/0"]
    assert after["two/0"] == before["two/0"]
    node.cli("agents", "stop", "one", "--yes")
    assert replicas(node)["one/0"].state is AgentState.STOPPED
    node.cli("agents", "start", "one")
    node.cli("agents", "remove", "one", "--yes")
    assert instances() == {"two/0": before["two/0"]}
    assert node.cli("prompt", "two", "hi").stdout.strip() == "two/0: hi"


def test_an_exit_ends_one_and_a_crash_ends_all(node: Node, tmp_path: Path) -> None:
    deploy(node, tmp_path, "one", "two", restart={"backoff": "100ms"})
    before = replicas(node)
    node.cli("prompt", "one", "exit 3", check=False)
    assert wait_until(lambda: replicas(node)["one/0"].restarts == 1)
    assert wait_until(lambda: replicas(node)["one/0"].state is AgentState.IDLE)
    assert replicas(node)["two/0"].instance == before["two/0"].instance
    assert replicas(node)["one/0"].pid == before["two/0"].pid
    answer = node.cli("prompt", "one", "die", check=False)
    assert answer.returncode == 1
    assert wait_until(
        lambda: all(
            row.state is AgentState.IDLE and row.pid != before["two/0"].pid
            for row in replicas(node).values()
        )
    )
    rows = replicas(node)
    assert (rows["one/0"].restarts, rows["two/0"].restarts) == (2, 1)
    errors = node.cli("events", "agent:error").stdout
    assert "its shared process: exited with code 9" in errors


def test_the_next_daemon_takes_the_process_over(node: Node, tmp_path: Path) -> None:
    deploy(node, tmp_path, "one", "two")
    before = replicas(node)
    first = node.run_file("node.json")["pid"]
    os.kill(first, signal.SIGKILL)
    assert wait_until(
        lambda: (
            node.run_file("node.json").get("pid") not in (None, first)
            and node.run_file("node.json").get("state") == "ready"
        ),
        20,
    )
    node.cli("agents", "restart", "one", "--yes")
    after = replicas(node)
    assert after["two/0"].instance == before["two/0"].instance
    assert after["one/0"].instance != before["one/0"].instance
    assert {row.pid for row in after.values()} == {before["two/0"].pid}
    assert {row.restarts for row in after.values()} == {0}


def test_what_a_process_has_once_is_not_shared(node: Node, tmp_path: Path) -> None:
    deploy(node, tmp_path, "red", env={"COLOUR": "red"})
    deploy(node, tmp_path, "blue", env={"COLOUR": "blue"})
    deploy(node, tmp_path / "elsewhere", "far", env={"COLOUR": "blue"})
    assert len({agent.pid for agent in replicas(node).values()}) == 3
    assert node.cli("prompt", "red", "env").stdout.strip() == "red"
    assert node.cli("prompt", "blue", "env").stdout.strip() == "blue"


def test_gpus_and_a_memory_limit_are_not_for_one_of_many(node: Node, tmp_path: Path) -> None:
    path = node.write_agent(tmp_path, "greedy", isolation="shared", resources={"gpus": 1})
    answer = node.cli("agents", "deploy", str(path), check=False)
    assert answer.returncode == 2
    assert "isolation: shared takes no resources.gpus" in answer.stderr


@pytest.fixture
def strict_node(home: Path) -> Iterator[Node]:
    """A node that puts two agents into a process, and stops them within a second."""
    running = Node(
        home, {"SPARKPLUG_AGENTS_SHARED_MAX": "2", "SPARKPLUG_AGENTS_STOP_TIMEOUT": "1s"}
    )
    running.up()
    try:
        yield running
    finally:
        running.close()


async def test_one_that_takes_no_notice_of_its_end_is_taken_off_the_bus(
    strict_node: Node, tmp_path: Path
) -> None:
    node = strict_node
    await asyncio.to_thread(deploy, node, tmp_path, "one", "two")
    async with node.client() as client:
        before = {agent.name: agent for agent in await room.list_agents(client)}
        target = await room.target(client, "one")
        await client.bus.nc.publish(target.subject, b"stubborn")
        await room.remove(client, "one")

        async def gone() -> bool:
            names = [agent.name for agent in await room.list_agents(client)]
            return names == ["two"] and "agent one/0" not in await connected_users(node)

        assert await eventually(gone)
        (left,) = await room.list_agents(client)
        assert left.instance == before["two"].instance


async def test_a_stuck_agent_is_seen_on_all_and_ending_it_ends_the_process(
    strict_node: Node, tmp_path: Path
) -> None:
    node = strict_node
    await asyncio.to_thread(
        deploy, node, tmp_path, "one", "two", restart={"backoff": "100ms"}, health=HEALTH
    )
    await asyncio.to_thread(deploy, node, tmp_path, "three", health=HEALTH)
    async with node.client() as client:

        async def by_name() -> dict[str, ObservedAgent]:
            return {agent.name: agent for agent in await room.list_agents(client)}

        before = await by_name()
        pids = [before[name].pid for name in ("one", "two", "three")]
        assert pids[0] == pids[1]
        assert pids[2] != pids[0]
        target = await room.target(client, "one")
        await client.bus.nc.publish(target.subject, b"block")

        async def neighbour_is_stale() -> bool:
            found = await by_name()
            return found["two"].state in (AgentState.STALE, AgentState.DEGRADED)

        assert await eventually(neighbour_is_stale)
        assert (await by_name())["three"].state is AgentState.IDLE
        await room.remove(client, "one")

        async def neighbour_is_back() -> bool:
            found = await by_name()
            two = found["two"]
            return "one" not in found and two.state is AgentState.IDLE and two.pid != pids[0]

        assert await eventually(neighbour_is_back)
        assert (await by_name())["three"].instance == before["three"].instance
