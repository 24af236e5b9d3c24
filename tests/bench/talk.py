"""An agent asking another, beside the stock SDK's own prompt from the same process; a fan-out.

Both sides of the first figure are taken in turn within one agent, to one other agent: what is
compared is routing, ids, deadlines and breakers against none of them. The fan-out asks a hundred
agents, each a process of its own, and waits for all.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path

from bench.figures import Figure, p50, p95
from fakes.node import Node
from sparkplug.bus import synadia as wire
from sparkplug.client import agents
from sparkplug.client.readiness import wait_ready
from sparkplug.schema.agent_spec import AgentSpec

_ROUNDS = 40
_PER_ROUND = 20
_MANY = 100
_FANS = 40

ASKER = """
import asyncio
import time

from synadia_ai.agents import Agents

from sparkplug.agents import action


class Asker:
    @action
    async def turns(self, ctx, rounds: int, each: int) -> list:
        stock = {a.agent: a for a in await Agents(nc=ctx._bus.nc).discover(timeout=2.0)}["echo"]
        times = [[], []]
        for _ in range(rounds):
            for index in (0, 1):
                for number in range(each):
                    began = time.perf_counter()
                    if index:
                        await ctx.ask("echo", "hi")
                    else:
                        async for _ in stock.prompt("hi"):
                            pass
                    times[index].append((time.perf_counter() - began) * 1000)
        return times

    @action
    async def fan(self, ctx, rounds: int) -> list:
        found = await Agents(nc=ctx._bus.nc).discover(timeout=3.0)
        stock = [agent for agent in found if agent.agent.startswith("fan-")]
        assert len(stock) == 100, len(stock)

        async def one(agent):
            async for _ in agent.prompt("hi"):
                pass

        times = [[], []]
        for number in range(rounds + 3):
            began = time.perf_counter()
            await asyncio.gather(*map(one, stock))
            between = time.perf_counter()
            replies = await ctx.broadcast(f"round {number}", capability="fan", timeout=30)
            times[0].append((between - began) * 1000)
            times[1].append((time.perf_counter() - between) * 1000)
            assert sum(r.ok for r in replies) == 100, replies
        return [one[3:] for one in times]
"""

ECHO = """
async def handle(ctx, request):
    return request.text
"""


async def measure(node: Node, folder: Path) -> list[Figure]:
    """Both, on one node."""
    (folder / "asker_bench.py").write_text(ASKER)
    (folder / "fan_bench.py").write_text(ECHO)
    async with node.client() as client:
        specs = [
            AgentSpec(name="asker", entrypoint="asker_bench:Asker"),
            AgentSpec(name="echo", entrypoint="fan_bench:handle"),
            *(
                AgentSpec(name=f"fan-{n}", entrypoint="fan_bench:handle", capabilities=["fan"])
                for n in range(_MANY)
            ),
        ]
        for spec in specs:
            await agents.deploy(client, spec, folder)
        await wait_ready(client, [spec.name for spec in specs], 180)
        wire.use_inbox(client.bus.inbox_prefix)
        target = await agents.target(client, "asker")

        async def act(action: str, **given: int) -> list[list[float]]:
            found: list[list[float]] = await wire.call(
                client.bus, target, action, given, deadline=300
            )
            return found

        stock, ours = await act("turns", rounds=_ROUNDS, each=_PER_ROUND)
        gathered, fan = await act("fan", rounds=_FANS)
    return [
        Figure(
            "ctx.ask to a routed replica, p50",
            p50(ours),
            "ms",
            None,
            "stock SDK prompt",
            statistics.median(stock),
            1.2,
        ),
        Figure(
            f"fan-out to {_MANY} agents and gather, p95",
            p95(fan),
            "ms",
            100.0,
            "stock SDK prompts at once",
            p95(gathered),
        ),
    ]


def run() -> list[Figure]:
    """All figures of this file."""
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        try:
            return asyncio.run(measure(node, Path(folder)))
        finally:
            node.close()
