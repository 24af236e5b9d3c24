"""Health, limits and states of real agents on a real node, as its verbs tell them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.node import Node
from sparkplug.client.agents import list_agents
from sparkplug.client.observed import replicas_of
from sparkplug.client.session import Client

_LONG_S = 90.0


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """One node for all of them: each has an agent of its own name."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    running = Node(folder / "state")
    running.up()
    try:
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    """A client of its mesh."""
    async with node.client() as found:
        yield found


async def replica(client: Client, name: str) -> dict[str, Any]:
    """A replica with all that is known of it, as `agents list --json` has it."""
    found = replicas_of(await list_agents(client), name)
    return found[0].model_dump(mode="json") if found else {}


async def is_(client: Client, name: str, state: str, reason: str = "") -> None:
    """Wait until the agent is in a state, for a reason."""
    row: dict[str, Any] = {}
    try:
        async with asyncio.timeout(_LONG_S):
            while row.get("state") != state or reason not in (row.get("reason") or ""):
                row = await replica(client, name)
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"{name} is not {state}: {row}")


async def blocked_seconds(client: Client, name: str) -> int:
    """For how long an agent is said to be blocked."""
    found = re.match(r"blocked for (\d+) s ", (await replica(client, name))["reason"] or "")
    return int(found[1]) if found else 0


def prompt(node: Node, *words: str) -> subprocess.Popen[str]:
    """A prompt whose answer is waited for later."""
    return subprocess.Popen(
        [sys.executable, "-m", "sparkplug", "prompt", *words],
        env=node.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


async def test_a_blocked_agent_says_in_which_function(
    node: Node, client: Client, tmp_path: Path
) -> None:
    code = textwrap.dedent("""
        import os, time

        def compute(path):
            while not os.path.exists(path):
                time.sleep(0.01)

        async def handle(ctx, request):
            compute(request.text)
            return "done"
    """)
    health = {"stall": "200ms", "interval": "1s", "timeout": "3s"}
    path = node.write_agent(tmp_path, "dense", code, health=health)
    node.cli("agents", "deploy", str(path))
    gate = tmp_path / "gate"
    asked = prompt(node, "dense", str(gate))
    try:
        await is_(client, "dense", "degraded", "in dense_module.compute (dense_module.py:6)")
        # Longer than silence would take to be called stale: it is known, so it is not silence.
        async with asyncio.timeout(_LONG_S):
            while await blocked_seconds(client, "dense") < 5:
                await asyncio.sleep(0.1)
        row = await replica(client, "dense")
        assert (row["reason_kind"], row["state_source"]) == ("blocked", "agent")
        gate.touch()
        await is_(client, "dense", "idle")
        assert asked.communicate(timeout=_LONG_S)[0].strip() == "done"
    finally:
        gate.touch()
        asked.kill()
        asked.wait()
    states = [one["state"] for one in (await replica(client, "dense"))["history"]]
    assert states[:2] == ["starting", "idle"]
    assert "degraded" in states
    assert "stale" not in states
    assert "compute" in node.cli("agents", "logs", "dense").stdout


async def test_a_stopped_process_is_stale_and_then_what_it_was(
    node: Node, client: Client, tmp_path: Path
) -> None:
    path = node.write_agent(tmp_path, "still", health={"interval": "1s", "timeout": "3s"})
    node.cli("agents", "deploy", str(path))
    pid = (await replica(client, "still"))["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        await is_(client, "still", "stale", "silent for")
    finally:
        os.kill(pid, signal.SIGCONT)
    await is_(client, "still", "idle")
    assert (await replica(client, "still"))["pid"] == pid
    names = [event["name"] for event in node.json("events", "still")]
    assert names.index("agent:registered") < names.index("agent:ready") < names.index("agent:lost")
    assert names[-1] == "agent:ready"


async def test_probes_hold_prompts_back_and_replace_what_is_not_live(
    node: Node, client: Client, tmp_path: Path
) -> None:
    code = textwrap.dedent("""
        import os

        async def handle(ctx, request):
            return "here"

        def ready():
            return os.path.exists("ready") or "nobody opened"

        async def live():
            return not os.path.exists(f"sick.{os.getpid()}")
    """)
    health = {
        "ready": "probed_module:ready",
        "live": "probed_module:live",
        "probe_interval": "100ms",
        "failures": 2,
        "restart_unhealthy": True,
    }
    path = node.write_agent(tmp_path, "probed", code, health=health, restart={"backoff": "50ms"})
    node.cli("agents", "deploy", str(path), "--no-wait")
    await is_(client, "probed", "starting", "not ready: nobody opened")
    refused = node.cli("prompt", "probed", "anyone?", check=False)
    assert refused.returncode == 1
    assert "nobody opened" in refused.stderr
    (tmp_path / "ready").touch()
    await is_(client, "probed", "idle")
    assert node.cli("prompt", "probed", "anyone?").stdout.strip() == "here"
    (tmp_path / "ready").unlink()
    await is_(client, "probed", "degraded", "not ready: nobody opened")
    assert node.cli("prompt", "probed", "anyone?", check=False).returncode == 1
    (tmp_path / "ready").touch()
    await is_(client, "probed", "idle")
    first = (await replica(client, "probed"))["pid"]
    (tmp_path / f"sick.{first}").touch()
    async with asyncio.timeout(_LONG_S):
        while (await replica(client, "probed"))["pid"] in (None, first):
            await asyncio.sleep(0.02)
    await is_(client, "probed", "idle")
    assert not psutil.pid_exists(first)
    errors = [e["data"] for e in node.json("events", "probed") if e["name"] == "agent:error"]
    assert errors[0]["kind"] == "unhealthy"
    assert errors[0]["reason"].startswith("liveness fails: it said no (2 times)")


async def test_memory_is_limited_and_the_agent_says_that_it_was(
    node: Node, client: Client, tmp_path: Path
) -> None:
    code = textwrap.dedent("""
        import os

        async def handle(ctx, request):
            if request.text == "end":
                import signal
                from sparkplug.agents import process
                def main(*_):
                    raise MemoryError
                signal.signal(signal.SIGALRM, main)
                signal.alarm(1)
                return "soon"
            return str(len(bytearray(8 << 30)))
    """)
    path = node.write_agent(
        tmp_path, "hungry", code, resources={"memory": "1GiB"}, restart={"policy": "never"}
    )
    node.cli("agents", "deploy", str(path))
    limits = (await replica(client, "hungry"))["limits"]
    assert limits.startswith("memory 1GiB by ")
    assert f"limits     {limits}" in node.cli("agents", "describe", "hungry").stdout
    refused = node.cli("prompt", "hungry", "much", check=False)
    if "rlimit" not in limits:
        await is_(client, "hungry", "error", "killed by the kernel: out of memory")
        return
    assert "out of memory: its limit is 1GiB, by rlimit" in refused.stderr
    await is_(client, "hungry", "idle")
    node.cli("prompt", "hungry", "end")
    await is_(client, "hungry", "error", "out of memory: its limit is 1GiB, by rlimit")
    assert (await replica(client, "hungry"))["reason_kind"] == "out-of-memory"


async def test_a_crash_loop_tells_its_last_words_and_what_can_be_done(
    node: Node, client: Client, tmp_path: Path
) -> None:
    code = textwrap.dedent("""
        import os, threading

        print("its last words", os.getpid(), flush=True)
        threading.Timer(0.05, lambda: os._exit(3)).start()

        async def handle(ctx, request):
            return "never"
    """)
    path = node.write_agent(tmp_path, "looper", code, restart={"max": 1, "backoff": "10ms"})
    node.cli("agents", "deploy", str(path), "--no-wait")
    await is_(client, "looper", "error", "held back after 1 restarts")
    row = await replica(client, "looper")
    assert row["reason_kind"] == "held-back"
    assert row["last_lines"].startswith("its last words")
    assert row["pid"] is None
    described = node.json("agents", "describe", "looper")
    assert described["recovery"]["0"][:2] == ["agents.start", "agents.logs"]
    text = node.cli("agents", "describe", "looper").stdout
    assert "    its last words" in text
    assert "you can    sparkplug agents start looper" in text
    assert "sparkplug agents logs looper --previous" in text
    assert "error (by the node): exited with code 3; held back after 1 restarts" in text
