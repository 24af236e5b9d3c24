"""Killing a crew in the midst of its work, again and again: `python -m tests.chaos.crews 20`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from fakes.node import Node, eventually
from fakes.openai_server import OpenAiServer, Reply, openai_server
from sparkplug.bus import synadia as wire
from sparkplug.client import agents
from sparkplug.client.session import Client
from sparkplug.schema.errors import SparkplugError

_DEADLINE_S = 60.0
_TEAM = """\
name: killed
agents:
  one: {role: One, goal: g, backstory: b}
tasks:
  first: {description: "find {topic}", expected_output: list, agent: one}
  second: {description: write, expected_output: text, agent: one}
"""


async def kill_crews(node: Node, server: OpenAiServer, folder: Path, times: int) -> list[float]:
    """Kill a crew in its second task so often; seconds until the next one could be asked.

    Each time its caller is told that its agent ended, the step that is tried again goes on with
    the second task alone, and nothing is left of the process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "killed.yaml").write_text(_TEAM)
    (folder / "agent.yaml").write_text(
        "name: killed\nruntime: crewai\nentrypoint: killed.yaml\n"
        "restart: {max: 0, backoff: 100ms}\n"
    )
    node.cli("agents", "deploy", str(folder / "agent.yaml"))
    took = []
    async with node.client() as client:
        for number in range(times):
            took.append(await _once(client, server, f"run-{number}/step"))
    return took


async def _once(client: Client, server: OpenAiServer, key: str) -> float:
    hangs = Reply(pieces=["Thought"], hang=True)
    server.requests.clear()
    server.replies[:] = [_final("facts"), hangs]
    victim = await _pid(client)
    asking = asyncio.create_task(_kickoff(client, key))
    await eventually(lambda: len(server.requests) == 2, _DEADLINE_S)
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    try:
        await asking
    except SparkplugError as error:
        assert "while it answered" in str(error), error
    else:
        raise AssertionError("its caller was told nothing")
    await eventually(lambda: not psutil.pid_exists(victim), _DEADLINE_S)
    await _pid(client)
    took = time.monotonic() - began
    server.requests.clear()
    server.replies[:] = [_final("a brief")]
    assert await _kickoff(client, key) == {"text": "a brief"}
    assert len(server.requests) == 1, "a task that was done was done again"
    return took


async def _kickoff(client: Client, key: str) -> Any:
    target = await agents.target(client, "killed")
    ids = {"key": key, "run": key.partition("/")[0], "step": "step"}
    return await wire.call(
        client.bus, target, "kickoff", {"topic": "cats"}, context=ids, deadline=_DEADLINE_S
    )


async def _pid(client: Client) -> int:
    async def found() -> int | None:
        with contextlib.suppress(SparkplugError):
            for one in await agents.list_agents(client):
                if one.name == "killed" and one.takes_prompts and one.pid:
                    return one.pid
        return None

    return int(await eventually(found, _DEADLINE_S))


def _final(text: str) -> Reply:
    return Reply.text(f"Thought: I now can give a great answer\nFinal Answer: {text}")


async def _main(times: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sp-chaos-") as folder:
        async with openai_server(_final("ready")) as server:
            node = Node(Path(folder) / "state", {"SPARKPLUG_LLM_ENDPOINT": server.endpoint})
            await asyncio.to_thread(node.up)
            try:
                took = sorted(await kill_crews(node, server, Path(folder) / "a", times))
            finally:
                await asyncio.to_thread(node.close)
    middle = took[len(took) // 2]
    print(f"{times} kills of a crew: askable again p50 {middle:.2f} s, worst {took[-1]:.2f} s")


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
