"""What a durable run costs and how well its steps are packed, on a real node.

Overhead per step: a chain of calls to an agent in its own process that does nothing, every write
synced, beside the same chain in bare LangGraph with its SQLite checkpointer, durability sync.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figures import Figure
from fakes.node import Node
from sparkplug.client import runs
from sparkplug.client.session import Client
from sparkplug.schema.plan import Plan
from sparkplug.schema.run import RunState, RunView

_AGENT = """\
import asyncio


async def handle(ctx, request):
    await asyncio.sleep(request.input.get("s", 0))
    return ctx.step
"""
_CHAIN = 100
_ROUNDS = 5
_AT_ONCE = 200


def run() -> list[Figure]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "s")
        node.up()
        try:
            for name in ("noop", "sleeper"):
                path = node.write_agent(Path(folder) / name, name, _AGENT, concurrency=600)
                node.cli("agents", "deploy", str(path))
            return asyncio.run(_measure(node, Path(folder)))
        finally:
            node.close()


def _step(name: str, *after: str, agent: str = "noop", s: float = 0.0) -> dict[str, Any]:
    return {
        "id": name,
        "agent": agent,
        "action": "do",
        "input": {"s": s} if s else {},
        "depends_on": list(after),
        "timeout": 300,
    }


def _chain(length: int) -> Plan:
    steps = [_step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(length)]
    return Plan.model_validate({"name": "chain", "timeout": "10m", "steps": steps})


async def _run(client: Client, plan: Plan) -> RunView:
    run_id = await runs.submit(client, plan, {})
    view: RunView | None = None
    async for found in runs.watch(client, run_id):
        view = found
    assert view is not None
    assert view.state is RunState.DONE, view.error
    return view


def _took(view: RunView) -> float:
    assert view.finished is not None
    assert view.started is not None
    return (view.finished - view.started).total_seconds()


async def _measure(node: Node, folder: Path) -> list[Figure]:
    sync = _sync_ms(folder)
    async with node.client() as client:
        await _run(client, _chain(10))
        ours: list[float] = []
        peer: list[float] = []
        for _ in range(_ROUNDS):
            ours.append(_took(await _run(client, _chain(_CHAIN))) / _CHAIN * 1000)
            peer.append(await _langgraph(folder) / _CHAIN * 1000)
        figures = [
            Figure("one synced write of the disk", sync, "ms"),
            Figure(
                "durable step, p50 of chains",
                statistics.median(ours),
                "ms",
                5.0 if sync <= 0.25 else None,
                "LangGraph SQLite sync",
                statistics.median(peer),
                2.0,
            ),
        ]
        view = await _run(client, _chain(1000))
        figures.append(Figure("1,000 steps in a chain", _took(view), "s"))
        wide = [_step(f"w{n}") for n in range(500)]
        whole = {
            "name": "wide",
            "timeout": "10m",
            "steps": [*wide, _step("end", *(s["id"] for s in wide))],
        }
        figures.append(
            Figure("500 steps at once", _took(await _run(client, Plan.model_validate(whole))), "s")
        )
        figures.append(Figure(f"{_AT_ONCE} runs of 3 steps at once", await _many(client), "s"))
        for count in (50, 1000):
            figures.append(await _makespan(client, count))
    return figures


async def _many(client: Client) -> float:
    start = time.monotonic()
    views = await asyncio.gather(*(_run(client, _chain(3)) for _ in range(_AT_ONCE)))
    assert all(view.state is RunState.DONE for view in views)
    return time.monotonic() - start


async def _makespan(client: Client, count: int) -> Figure:
    """A random graph of sleeps of half a second to a second, in layers as a real one is."""
    chance = random.Random(count)
    layers = 10 if count <= 100 else 20
    steps: list[dict[str, Any]] = []
    longest: dict[str, float] = {}
    by_layer: list[list[str]] = []
    for number in range(count):
        layer = number * layers // count
        if layer == len(by_layer):
            by_layer.append([])
        before = by_layer[layer - 1] if layer else []
        waits = chance.sample(before, min(len(before), 3))
        s = round(chance.uniform(0.5, 1.0), 3)
        name = f"s{number}"
        by_layer[layer].append(name)
        steps.append(_step(name, *waits, agent="sleeper", s=s))
        longest[name] = s + max((longest[w] for w in waits), default=0.0)
    critical = max(longest.values())
    view = await _run(
        client, Plan.model_validate({"name": "dag", "timeout": "10m", "steps": steps})
    )
    return Figure(
        f"makespan of {count} sleeps", _took(view), "s", None, "critical path", critical, 1.05
    )


async def _langgraph(folder: Path) -> float:
    """Seconds for the same chain of nodes that do nothing."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import END, START, StateGraph

    graph: Any = StateGraph(dict)

    async def node(state: dict[str, Any]) -> dict[str, Any]:
        return {"n": state.get("n", 0) + 1}

    for number in range(_CHAIN):
        graph.add_node(f"s{number}", node)
        graph.add_edge(f"s{number - 1}" if number else START, f"s{number}")
    graph.add_edge(f"s{_CHAIN - 1}", END)
    path = folder / f"lg-{time.monotonic_ns()}.sqlite"
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        # As strict as ours: a commit is on the disk when it returns.
        await saver.conn.execute("PRAGMA synchronous=FULL")
        compiled = graph.compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "1"}, "recursion_limit": _CHAIN + 10}
        start = time.monotonic()
        await compiled.ainvoke({"n": 0}, config, durability="sync")
        return time.monotonic() - start


def _sync_ms(folder: Path) -> float:
    """How long one small synced write takes here, p50."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 512)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000
