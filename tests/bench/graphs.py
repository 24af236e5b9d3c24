"""What keeping checkpoints costs a graph, beside LangGraph's own SQLite saver; and graphs killed.

Every write is synced to disk on both sides: the private server's as it always does, SQLite's by
its default (`synchronous=FULL` in WAL mode).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph

from bench.figures import Figure, p50
from fakes.chains import ALL, Place
from fakes.mesh_server import started
from fakes.node import eventually
from sparkplug.agents.runtimes.langgraph.checkpoints import JetStreamSaver
from sparkplug.bus import subjects
from sparkplug.bus.connection import connect
from sparkplug.bus.service import Services
from sparkplug.client import agents, cancelling, prompts
from sparkplug.client.session import Client
from sparkplug.node.checkpoints import Checkpoints
from sparkplug.node.permissions import agent_permissions
from sparkplug.schema.errors import SparkplugError

_NODES = 10
_ROUNDS = 60
_KILLS = 20
_SERVED_S = 1.2
_DEADLINE_S = 60.0


class _State(TypedDict):
    count: int


async def _step(state: _State) -> dict[str, Any]:
    return {"count": state["count"] + 1}


def _chain(saver: Any) -> Any:
    graph = StateGraph(_State)
    names = [f"n{number}" for number in range(_NODES)]
    for before, name in zip([START, *names], names, strict=False):
        graph.add_node(name, _step)
        graph.add_edge(before, name)
    return graph.compile(checkpointer=saver)


async def _costs(folder: Path) -> list[Figure]:
    """A graph of ten nodes that do nothing, run in turn without, with SQLite and with ours."""
    async with started(folder) as mesh:
        node = await mesh.connect("node")
        await Checkpoints(node).serve(Services(node))
        bus = await connect(
            mesh.url,
            name="agent bench/0",
            inbox_prefix=subjects.inbox("agent", "bench=0"),
            credentials=mesh.keys.user("agent bench", agent_permissions("bench", "tester", "0")),
        )
        mesh.buses.append(bus)
        async with AsyncSqliteSaver.from_conn_string(str(folder / "bench.sqlite")) as sqlite:
            await sqlite.setup()
            graphs = {
                "none": _chain(None),
                "sqlite": _chain(sqlite),
                "ours": _chain(JetStreamSaver(bus, "bench", "0")),
            }
            took: dict[str, list[float]] = {name: [] for name in graphs}
            for number in range(_ROUNDS):
                for name, graph in graphs.items():
                    config = {"configurable": {"thread_id": f"t{number}"}}
                    given = {"durability": "sync"} if name != "none" else {}
                    began = time.perf_counter()
                    await graph.ainvoke({"count": 0}, config, **given)
                    took[name].append((time.perf_counter() - began) * 1000 / _NODES)
    bare = p50(took["none"])
    ours, theirs = p50(took["ours"]) - bare, p50(took["sqlite"]) - bare
    name = "checkpoints, for each node of a graph, p50"
    return [Figure(name, ours, "ms", None, "LangGraph's SQLite saver", theirs, 1.5)]


async def _ask(client: Client, text: str, thread: str) -> str:
    async def ready() -> Any:
        with contextlib.suppress(SparkplugError):
            return await agents.target(client, "chain")
        return None

    target = await eventually(ready, _DEADLINE_S)
    stream = prompts.prompt(client, target, text, thread=thread, deadline=_DEADLINE_S)
    return await prompts.answer(stream)


async def _kills(place: Place) -> list[Figure]:
    """Killed while a node works, then asked again on its thread."""
    lost = again = untold = 0
    async with place.node.client() as client:
        for number in range(_KILLS):
            what, thread = f"kill-{number}", f"thread {number}"
            place.go(on=False)
            asking = asyncio.create_task(_ask(client, what, thread))

            async def works() -> bool:
                hands = await cancelling.in_hand(client, "chain")
                return any("slow" in r.steps for one in hands for r in one.requests or ())

            await eventually(works, _DEADLINE_S)
            found = await agents.list_agents(client)
            pid = next(one.pid for one in found if one.name == "chain")
            assert pid is not None
            # One that ends sooner after its start is taken for one that cannot run, and let wait.
            await asyncio.sleep(_SERVED_S)
            os.kill(pid, signal.SIGKILL)
            try:
                await asking
                untold += 1
            except SparkplugError as error:
                untold += not any(word in error.message for word in ("restarted", "ended"))
            place.go()
            try:
                await _ask(client, what, thread)
            except SparkplugError:
                lost += 1
            again += place.ran(what) != ALL
    return [
        Figure(f"of {_KILLS} graphs killed at work, not resumed", lost, "", 1),
        Figure("of those, with a finished node run again", again, "", 1),
        Figure("of those, whose caller was not told why", untold, "", 1),
    ]


def run() -> list[Figure]:
    """Costs, then kills."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    try:
        figures = asyncio.run(_costs(folder))
        (folder / "kills").mkdir()
        place = Place(folder / "kills")
        try:
            place.node.up()
            place.deploy("chain")
            figures += asyncio.run(_kills(place))
        finally:
            # It fails when a process is left, a zombie too.
            place.node.close()
        return figures
    finally:
        shutil.rmtree(folder, ignore_errors=True)
