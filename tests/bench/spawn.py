"""From a wish to an agent that answers: one, and a hundred; and the memory each adds."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.figures import Figure, p50
from fakes.node import ECHO, Node
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.client import agents
from sparkplug.client.session import Client
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec

_ONES = 20
_MANY = 100
_DEADLINE_S = 60.0

STOCK_HOST = """
import asyncio, sys, nats
from synadia_ai.agent_service import AgentService


async def echo(envelope, stream):
    await stream.send(f"echo: {envelope.prompt}")


async def main(url, creds):
    nc = await nats.connect(url, user_credentials=creds)
    service = AgentService(
        agent="stock", owner="bench", session_name="0", nc=nc, max_concurrent_prompts=8
    )
    service.on_prompt(echo)
    await service.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
"""


class Watched:
    """Observed replicas, followed; `ready` waits for a number of them."""

    def __init__(self, client: Client) -> None:
        self._bucket = Bucket(client.bus, subjects.BUCKET_OBSERVED)
        self.seen: dict[str, ObservedAgent] = {}
        self.changed = asyncio.Event()

    async def follow(self) -> None:
        """Follow for ever."""
        async for change in self._bucket.watch("agents.>"):
            if change.entry is not None:
                observed = decode(ObservedAgent, change.entry)
                if observed is None:
                    self.seen.pop(change.entry.key, None)
                else:
                    self.seen[change.entry.key] = observed
                self.changed.set()

    async def ready(self, name: str, count: int) -> list[ObservedAgent]:
        """Return once `count` replicas of an agent are idle."""
        async with asyncio.timeout(_DEADLINE_S):
            while True:
                found = [
                    o for o in self.seen.values() if o.name == name and o.state is AgentState.IDLE
                ]
                if len(found) >= count:
                    return found
                self.changed.clear()
                await self.changed.wait()


async def measure(node: Node, folder: Path) -> list[Figure]:
    """Deploy one agent many times, then a hundred replicas at once."""
    (folder / "echo_bench.py").write_text(ECHO)
    async with node.client() as client:
        watched = Watched(client)
        following = asyncio.create_task(watched.follow())
        times = []
        for number in range(_ONES):
            spec = AgentSpec(name=f"one-{number}", entrypoint="echo_bench:handle")
            began = time.perf_counter()
            await agents.deploy(client, spec, folder)
            await watched.ready(spec.name, 1)
            times.append((time.perf_counter() - began) * 1000)
        peers = [await _fresh_process(node) for _ in range(5)]
        spec = AgentSpec(name="crowd", entrypoint="echo_bench:handle", replicas=_MANY)
        began = time.perf_counter()
        await agents.deploy(client, spec, folder)
        crowd = await watched.ready("crowd", _MANY)
        all_ready = time.perf_counter() - began
        pss = [psutil.Process(o.pid).memory_full_info().pss / 2**20 for o in crowd]
        daemon = psutil.Process(int(node.run_file("node.json")["pid"]))
        daemon.cpu_percent()
        await asyncio.sleep(3)
        rest = daemon.cpu_percent()
        following.cancel()
    return [
        Figure(
            "agent: deploy to ready on the bus, p50",
            p50(times),
            "ms",
            50,
            "a fresh stock SDK process",
            p50(peers),
        ),
        Figure(f"{_MANY} agents deployed and ready", all_ready, "s", 5),
        Figure("memory each agent adds (PSS), mean", sum(pss) / len(pss), "MiB", 12),
        Figure(f"daemon at rest with {_MANY + _ONES} agents", rest, "%"),
    ]


async def _fresh_process(node: Node) -> float:
    began = time.perf_counter()
    url = str(node.run_file("node.json")["url"])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STOCK_HOST,
        url,
        str(node.paths.keys / "face.creds"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    took = (time.perf_counter() - began) * 1000
    process.kill()
    await process.wait()
    return took


def run() -> list[Figure]:
    """All figures of this file."""
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        try:
            return asyncio.run(measure(node, Path(folder)))
        finally:
            node.close()
