"""A prompt through one of our agents beside the stock SDK's own echo, same caller, same run."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
from synadia_ai.agents import Agent, Agents

from bench.figures import Figure, p50
from bench.spawn import STOCK_HOST
from fakes.node import ECHO, Node
from sparkplug.bus import synadia
from sparkplug.client import agents
from sparkplug.schema.agent_spec import AgentSpec

_ROUNDS = 40
_PER_ROUND = 25
_CONCURRENT = 16


async def measure(node: Node, folder: Path) -> list[Figure]:
    """Interleave ours and the stock echo, so that the machine's mood falls on both."""
    (folder / "echo_bench.py").write_text(ECHO)
    url = str(node.run_file("node.json")["url"])
    creds = str(node.paths.keys / "face.creds")
    stock = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STOCK_HOST, url, creds, stdout=asyncio.subprocess.PIPE
    )
    assert stock.stdout is not None
    await stock.stdout.readline()
    async with node.client() as client:
        spec = AgentSpec(name="ours", entrypoint="echo_bench:handle")
        await agents.deploy(client, spec, folder)
        from sparkplug.client.readiness import wait_ready

        await wait_ready(client, ["ours"], 30)
        nc = await nats.connect(url, user_credentials=creds)
        caller = Agents(nc=nc)
        found = {agent.agent: agent for agent in await caller.discover(timeout=1.0)}
        target = await agents.target(client, "ours")

        async def stock_prompt() -> None:
            await _drain(found["stock"])

        async def our_prompt() -> None:
            await _drain(found["ours"])

        async def client_prompt() -> None:
            async with contextlib.aclosing(synadia.prompt(client.bus, target, "hi")) as chunks:
                async for _ in chunks:
                    pass

        one = await _interleaved([stock_prompt, our_prompt, client_prompt])
        many = await _throughput([stock_prompt, our_prompt])
        await caller.close()
        await nc.close()
    stock.kill()
    await stock.wait()
    return [
        Figure("prompt through an agent, p50", one[1], "ms", None, "stock SDK echo", one[0], 1.2),
        Figure("the same by our client, p50", one[2], "ms", None, "stock SDK echo", one[0], 1.2),
        Figure(
            f"time of {_CONCURRENT} prompts at once, p50",
            many[1],
            "ms",
            None,
            "stock SDK echo",
            many[0],
            1.2,
        ),
    ]


async def _drain(agent: Agent) -> None:
    async for _ in agent.prompt("hi"):
        pass


async def _interleaved(calls: list[Callable[[], Awaitable[None]]]) -> list[float]:
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(_ROUNDS):
        for index, call in enumerate(calls):
            for _ in range(_PER_ROUND):
                began = time.perf_counter()
                await call()
                times[index].append((time.perf_counter() - began) * 1000)
    return [p50(values) for values in times]


async def _throughput(calls: list[Callable[[], Awaitable[None]]]) -> list[float]:
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(_ROUNDS):
        for index, call in enumerate(calls):
            began = time.perf_counter()
            await asyncio.gather(*(call() for _ in range(_CONCURRENT)))
            times[index].append((time.perf_counter() - began) * 1000)
    return [p50(values) for values in times]


def run() -> list[Figure]:
    """All figures of this file."""
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        try:
            return asyncio.run(measure(node, Path(folder)))
        finally:
            node.close()
