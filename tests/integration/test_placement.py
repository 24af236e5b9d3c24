"""Placement on real nodes: previews, cordon and drain with one owner at a time, scaling, GPUs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.node import Node, wait_until
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


    async def handle(ctx, request):
        await asyncio.sleep(float(request.text))
        return "done"
""")


def rows(node: Node, name: str = "") -> list[dict[str, Any]]:
    return [row for row in node.json("agents", "list") if name in ("", row["name"])]


def serving(node: Node, name: str, count: int) -> bool:
    states = [row["state"] for row in rows(node, name)]
    return len(states) == count and set(states) <= {"idle", "running"}


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


def test_cordon_drain_and_uncordon(two: tuple[Node, Node], tmp_path: Path) -> None:
    node, _ = two
    assert wait_until(lambda: len(node.json("hosts")) == 2)
    spread = node.write_agent(tmp_path / "s", "spread", replicas=4)
    tried = json.loads(node.cli("agents", "deploy", str(spread), "--dry-run", "--json").stdout)
    goes = {row["replica"]: row["node"] for row in tried["placement"]}
    assert sorted(goes.values()) == ["a", "a", "b", "b"]
    assert all(row["what"] == "goes" and row["why"] for row in tried["placement"])
    assert rows(node) == []
    node.cli("agents", "deploy", str(spread))
    # The preview was the placer's own answer.
    assert {int(row["replica"]): row["host"] for row in rows(node)} == goes
    rooted = node.write_agent(tmp_path / "p", "rooted", placement={"hosts": "b"})
    node.cli("agents", "deploy", str(rooted))

    node.cli("hosts", "cordon", "a", "--reason", "new disk")
    assert "ready, cordoned" in node.cli("hosts", "a").stdout
    assert "cordoned by" in node.cli("status").stdout
    book = tmp_path / "book"
    solo = node.write_agent(tmp_path / "l", "solo", SOLO, env={"BOOK": str(book)})
    node.cli("agents", "deploy", str(solo))
    assert rows(node, "solo")[0]["host"] == "b"
    text = node.cli("agents", "deploy", str(spread), "--dry-run").stdout
    assert "spread/0 stays on" in text
    node.cli("hosts", "uncordon", "a")
    assert node.json("hosts")[0]["cordoned"] is False

    refused = node.cli("hosts", "drain", "b", check=False)
    assert refused.returncode == 4
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
        assert wait_until(lambda: rows(node, "solo")[0]["inflight"] == 1)
        drained = node.cli("hosts", "drain", "b", "--yes", "--timeout", "60s")
        # It finished what it had in hand before it moved.
        assert asked.communicate(timeout=30)[0].strip() == "b"
    assert drained.stdout.strip() == "b: drained; pinned to it and left: rooted/0"
    assert wait_until(lambda: serving(node, "spread", 4) and serving(node, "solo", 1))
    assert {row["host"] for row in [*rows(node, "spread"), *rows(node, "solo")]} == {"a"}
    assert rows(node, "rooted")[0]["host"] == "b"
    assert book.read_text().split() == ["owned", "owned"]

    assert wait_until(lambda: "host:drained" in events(node))
    assert [events(node).count(f"host:{what}") for what in ("cordoned", "uncordoned")] == [2, 1]
    node.cli("hosts", "drain", "b", "--stop-pinned", "--yes", "--timeout", "60s")
    assert wait_until(lambda: rows(node, "rooted")[0]["pid"] is None)
    assert wait_until(lambda: "b is draining" in str(rows(node, "rooted")[0]["reason"]))
    node.cli("hosts", "uncordon", "b")
    assert wait_until(lambda: serving(node, "rooted", 1))
    # What runs is not moved for the sake of balance.
    assert {row["host"] for row in rows(node, "spread")} == {"a"}
    assert node.cli("hosts", "cordon", "nowhere", check=False).returncode == 3


def events(node: Node) -> list[str]:
    return [event["name"] for event in node.json("events")]


def test_gpu_memory_is_reserved_shared_waited_for_and_given_when_it_comes(
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
        assert wait_until(lambda: "gpu:lost" in events(node), 20)
        uuids = [gpu["uuid"] for gpu in node.json("hosts")[0]["gpus"]]
        needs = {"gpus": 1, "gpu_memory": "15GiB"}
        pair = node.write_agent(tmp_path / "p", "pair", SEES, resources=needs, replicas=2)
        node.cli("agents", "deploy", str(pair))
        # Two share the only GPU that has the room; nobody else's memory is given away.
        assert [row["gpus"] for row in rows(node, "pair")] == [[uuids[2]]] * 2
        assert node.cli("prompt", "pair", "which").stdout.strip() == uuids[2]
        late = node.write_agent(tmp_path / "l", "late", SEES, resources=needs)
        tried = node.cli("agents", "deploy", str(late), "--dry-run").stdout
        assert "late/0 waits" in tried
        assert "GPU 0 has 5GiB free, GPU 1 is lost, GPU 2 has 10GiB free" in tried
        node.cli("agents", "deploy", str(late), "--no-wait")
        assert wait_until(lambda: rows(node, "late")[0]["state"] == "waiting-gpu")
        assert "GPU 1 is lost" in rows(node, "late")[0]["reason"]
        node.cli("agents", "scale", "pair", "1")
        assert wait_until(lambda: serving(node, "late", 1))
        assert rows(node, "late")[0]["gpus"] == [uuids[2]]
    finally:
        node.close()


def test_load_scales_an_agent_up_and_its_end_scales_it_down(node: Node, tmp_path: Path) -> None:
    scale = {"min": 1, "max": 3, "queue": 2, "up_after": "1s", "down_after": "3s"}
    path = node.write_agent(tmp_path, "elastic", BUSY, concurrency=4, scale=scale)
    node.cli("agents", "deploy", str(path))
    assert "1 (1..3) running" in node.cli("agents", "describe", "elastic").stdout
    refused = node.cli("agents", "scale", "elastic", "2", check=False)
    assert refused.returncode == 4
    assert "scaled by load" in refused.stderr
    asked = [
        subprocess.Popen(
            [sys.executable, "-m", "sparkplug", "prompt", "elastic", "8"],
            env=node.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    try:
        assert wait_until(lambda: len(rows(node, "elastic")) >= 2, 30)
        assert wait_until(lambda: "agent:scaled" in events(node))
        assert [process.wait(60) for process in asked] == [0] * 4
    finally:
        for process in asked:
            process.kill()
            process.wait(10)
    assert wait_until(lambda: serving(node, "elastic", 1), 30)
    told = [event for event in node.json("events") if event["name"] == "agent:scaled"]
    steps = [(event["data"]["from"], event["data"]["to"]) for event in told]
    assert steps[0][0] == 1
    assert steps[-1][1] == 1
    assert all(event["data"]["why"] for event in told)
    assert "needed for 3 s" in node.cli("agents", "describe", "elastic").stdout
