"""Placement on real nodes: previews, cordon and drain with one owner at a time, scaling, GPUs."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node, eventually
from sparkplug.client import agents, node_orders, placement
from sparkplug.client.events import read_events
from sparkplug.client.hosts import list_hosts
from sparkplug.client.prompts import prompt
from sparkplug.client.session import Client
from sparkplug.schema.agent import SERVING, ObservedAgent, Target
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.event import Event
from sparkplug.telemetry.gpu.fake.build import NoCompilerError
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment

#: Holds a lock while its process lives, and writes down when another process holds it: the
#: kernel is who knows whether two owned it at a time.
SOLO = textwrap.dedent("""
    import asyncio
    import fcntl
    import os

    book = open(os.environ["BOOK"], "a")
    try:
        fcntl.flock(book, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("owned", file=book, flush=True)
    except OSError:
        print("double", file=book, flush=True)


    async def handle(ctx, request):
        await asyncio.sleep(float(request.text))
        return ctx.host
""")

GPUS = textwrap.dedent("""\
    driver 580.95.05
    nvml 13.580.95.05
    cuda 13000
    period 3600
    loop no
    gpu NVIDIA H100 80GB HBM3
    memory_total 80GiB
    memory_used 75GiB
    process 4194001 74GiB train.py
    gpu NVIDIA H100 80GB HBM3
    memory_total 80GiB
    memory_used 1GiB
    lost step 0:0 1:1
    gpu NVIDIA H100 80GB HBM3
    memory_total 80GiB
    memory_used 40GiB
""")

SEES = textwrap.dedent("""
    import os


    async def handle(ctx, request):
        return os.environ["CUDA_VISIBLE_DEVICES"]
""")

BUSY = textwrap.dedent("""
    import asyncio
    import os


    async def handle(ctx, request):
        while not os.path.exists(request.text):
            await asyncio.sleep(0.05)
        return "done"
""")


class Seen:
    """The mesh as a client sees it, without a process for each look."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def rows(self, name: str = "") -> list[ObservedAgent]:
        """The replicas of an agent, or all."""
        found = await agents.list_agents(self._client)
        return [row for row in found if name in ("", row.name)]

    async def serving(self, name: str, count: int) -> bool:
        """Whether so many replicas there are, and all serve."""
        found = await self.rows(name)
        return len(found) == count and all(row.state in SERVING for row in found)

    async def hosts(self, name: str) -> set[str | None]:
        """Where the replicas of an agent run."""
        return {row.host for row in await self.rows(name)}

    async def events(self, kind: str) -> list[Event]:
        """The events of a kind, in order."""
        found = await read_events(self._client)
        return [event for event in found if event.name.startswith(kind)]

    async def names(self, kind: str) -> list[str]:
        """Their names."""
        return [event.name for event in await self.events(kind)]


@pytest.fixture
def two(home: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes of one mesh, `a` with the server and `b`."""
    first = Node(home, {"SPARKPLUG_NODE_NAME": "a"})
    other = Path(tempfile.mkdtemp(prefix="sp-"))
    nodes = [first]
    try:
        first.up()
        env = first.json("env")
        second = Node(
            other / "state",
            {
                "SPARKPLUG_NODE_NAME": "b",
                "SPARKPLUG_NATS_URL": env["NATS_URL"],
                "SPARKPLUG_NATS_CREDS": env["NATS_CREDS"],
            },
        )
        nodes.append(second)
        second.up()
        yield first, second
    finally:
        try:
            for node in reversed(nodes):
                node.close()
        finally:
            shutil.rmtree(other, ignore_errors=True)


async def test_cordon_drain_and_uncordon(two: tuple[Node, Node], tmp_path: Path) -> None:
    node, _ = two
    async with node.client() as client:
        seen = Seen(client)
        specs = {"spread": node.write_agent(tmp_path / "s", "spread", replicas=4)}
        tried = json.loads(
            node.cli("agents", "deploy", str(specs["spread"]), "--dry-run", "--json").stdout
        )
        goes = {row["replica"]: row["node"] for row in tried["placement"]}
        assert sorted(goes.values()) == ["a", "a", "b", "b"]
        assert all(row["what"] == "goes" and row["why"] for row in tried["placement"])
        assert await seen.rows() == []
        pinned = node.write_agent(tmp_path / "p", "rooted", placement={"hosts": "b"})
        node.cli("agents", "deploy", str(specs["spread"]))
        # The preview was the placer's own answer.
        assert {int(row.replica): row.host for row in await seen.rows()} == goes
        node.cli("agents", "deploy", str(pinned))

        node.cli("hosts", "cordon", "a", "--reason", "new disk")
        assert "ready, cordoned" in node.cli("hosts", "a").stdout
        assert "cordoned by" in node.cli("status").stdout
        book = tmp_path / "book"
        solo = node.write_agent(tmp_path / "l", "solo", SOLO, env={"BOOK": str(book)})
        node.cli("agents", "deploy", str(solo))
        assert await seen.hosts("solo") == {"b"}
        kept = await placement.preview_deploy(client, [(await described(client, "spread"))])
        assert {row.what for row in kept} == {"stays"}
        await node_orders.uncordon(client, "a")

        assert node.cli("hosts", "drain", "b", check=False).returncode == 4
        shown = node.cli("hosts", "drain", "b", "--dry-run").stdout
        assert "moves to a" in shown
        assert "rooted/0 stays on b" in shown
        with subprocess.Popen(
            [sys.executable, "-m", "sparkplug", "prompt", "solo", "2"],
            env=node.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as asked:
            assert await eventually(lambda: busy(seen, "solo"))
            drained = node.cli("hosts", "drain", "b", "--yes", "--timeout", "60s")
            # It finished what it had in hand before it moved.
            assert asked.communicate(timeout=30)[0].strip() == "b"
        assert drained.stdout.strip() == "b: drained; pinned to it and left: rooted/0"
        assert await eventually(lambda: seen.serving("spread", 4))
        assert await eventually(lambda: seen.serving("solo", 1))
        assert await seen.hosts("spread") == await seen.hosts("solo") == {"a"}
        assert await seen.hosts("rooted") == {"b"}
        assert book.read_text().split() == ["owned", "owned"]

        assert await eventually(lambda: seen.events("host:drained"))
        told = [name for name in await seen.names("host:") if name.endswith("cordoned")]
        assert told == ["host:cordoned", "host:uncordoned", "host:cordoned"]
        assert await node_orders.drain(client, "b", stop_pinned=True)
        assert await eventually(lambda: waits(seen, "rooted", "b is draining"))
        assert await node_orders.uncordon(client, "b")
        assert await eventually(lambda: seen.serving("rooted", 1))
        # What runs is not moved for the sake of balance.
        assert await seen.hosts("spread") == {"a"}
        with pytest.raises(NotFoundError):
            await node_orders.cordon(client, "nowhere")


async def described(client: Client, name: str) -> AgentSpec:
    found = (await agents.describe(client, name)).desired
    assert found is not None
    return found.spec


async def busy(seen: Seen, name: str) -> bool:
    return any(row.inflight for row in await seen.rows(name))


async def other_reason(seen: Seen, name: str, reason: str) -> bool:
    return (await seen.rows(name))[0].reason != reason


async def waits(seen: Seen, name: str, why: str) -> bool:
    return all(row.pid is None and why in (row.reason or "") for row in await seen.rows(name))


async def test_gpu_memory_is_reserved_shared_waited_for_and_given_when_it_comes(
    home: Path, tmp_path: Path
) -> None:
    scenario = tmp_path / "three.scenario"
    scenario.write_text(GPUS)
    try:
        environ = fake_nvml_environment(scenario, tmp_path)
    except NoCompilerError as error:
        pytest.skip(error.message)
    node = Node(home, environ)
    node.up()
    try:
        async with node.client() as client:
            seen = Seen(client)
            assert await eventually(lambda: seen.events("gpu:lost"))
            sample = (await list_hosts(client))[0].sample
            assert sample is not None
            uuids = [gpu.uuid for gpu in sample.gpus]
            needs = {"gpus": 1, "gpu_memory": "15GiB"}
            pair = node.write_agent(tmp_path / "p", "pair", SEES, resources=needs, replicas=2)
            node.cli("agents", "deploy", str(pair))
            # Two share the only GPU that has the room; nobody else's memory is given away.
            assert [row.gpus for row in await seen.rows("pair")] == [[uuids[2]]] * 2
            assert node.cli("prompt", "pair", "which").stdout.strip() == uuids[2]
            late = node.write_agent(tmp_path / "l", "late", SEES, resources=needs)
            tried = node.cli("agents", "deploy", str(late), "--dry-run").stdout
            assert "late/0 waits" in tried
            assert "GPU 0 has 5GiB free, GPU 1 is lost, GPU 2 has 10GiB free" in tried
            node.cli("agents", "deploy", str(late), "--no-wait")
            assert await eventually(lambda: waits(seen, "late", "GPU 1 is lost"))
            (waiting,) = await seen.rows("late")
            assert waiting.state == "waiting-gpu"
            # What it lacks is another figure now; it waits for as long as it does.
            small = {"gpus": 1, "gpu_memory": "1GiB"}
            node.cli(
                "agents", "deploy", str(node.write_agent(tmp_path / "s", "small", resources=small))
            )
            reason = waiting.reason or ""
            assert await eventually(lambda: other_reason(seen, "late", reason))
            assert (await seen.rows("late"))[0].state_since == waiting.state_since
            await agents.scale(client, "pair", 1)
            assert await eventually(lambda: seen.serving("late", 1))
            assert (await seen.rows("late"))[0].gpus == [uuids[2]]
    finally:
        node.close()


async def test_load_scales_an_agent_up_and_its_end_scales_it_down(
    node: Node, tmp_path: Path
) -> None:
    scale = {"min": 1, "max": 3, "queue": 2, "up_after": "1s", "down_after": "2s"}
    path = node.write_agent(tmp_path, "elastic", BUSY, concurrency=4, scale=scale)
    node.cli("agents", "deploy", str(path))
    assert "1 (1..3) running" in node.cli("agents", "describe", "elastic").stdout
    refused = node.cli("agents", "scale", "elastic", "2", check=False)
    assert refused.returncode == 4
    assert "scaled by load" in refused.stderr
    release = tmp_path / "release"
    async with node.client() as client:
        seen = Seen(client)
        target = await agents.target(client, "elastic")
        asked = [asyncio.create_task(ask(client, target, str(release))) for _ in range(4)]
        assert await eventually(lambda: seen.serving("elastic", 2))
        release.touch()
        assert await asyncio.gather(*asked) == ["done"] * 4
        assert await eventually(lambda: seen.serving("elastic", 1))
        assert await eventually(lambda: steps(seen, 2))
        assert await steps(seen, 2) == [(1, 2), (2, 1)]
        assert all(event.data["why"] for event in await seen.events("agent:scaled"))
    assert "needed for 2 s" in node.cli("agents", "describe", "elastic").stdout


async def ask(client: Client, target: Target, text: str) -> str:
    pieces = [chunk.text async for chunk in prompt(client, target, text) if chunk.kind == "text"]
    return "".join(pieces)


async def steps(seen: Seen, least: int) -> list[tuple[int, int]]:
    found = [(e.data["from"], e.data["to"]) for e in await seen.events("agent:scaled")]
    return found if len(found) >= least else []
