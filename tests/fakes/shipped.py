"""The shipped LangGraph agents run in the test's process, as their agent process runs them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkplug.agents.context import Context, Request, RequestActivity, Routes
from sparkplug.agents.runtimes.langgraph import load
from sparkplug.agents.runtimes.port import Result, Runtime, Seat, Status, Text
from sparkplug.bus.connection import Bus
from sparkplug.llm.chat import ChatModel

AGENTS = Path(__file__).parents[2] / "config" / "agents"


def shipped_module(name: str) -> Any:
    """A module of a shipped agent, found as its agent process finds it."""
    if str(AGENTS) not in sys.path:
        sys.path.insert(0, str(AGENTS))
    return importlib.import_module(name)


async def load_graph(target: Any) -> Runtime:
    """A graph as its agent process loads it, one that keeps no checkpoints."""
    runtime = await load(target, Seat(agent="tested", checkpoints="none"))
    await runtime.start(Bus("nats://127.0.0.1:9", "_INBOX.test"))
    return runtime


async def ask_graph(
    agent: str,
    *,
    text: str = "",
    action: str | None = None,
    input: Mapping[str, Any] | None = None,  # noqa: A002
    model: ChatModel | None = None,
    bus: Bus | None = None,
) -> tuple[Any, list[str]]:
    """The answer of a shipped graph, and the status it told on the way."""
    runtime = await load_graph(shipped_module(agent).graph)
    return await ask_runtime(
        runtime, agent=agent, text=text, action=action, input=input, model=model, bus=bus
    )


async def ask_runtime(
    runtime: Runtime,
    *,
    agent: str = "tested",
    text: str = "",
    action: str | None = None,
    input: Mapping[str, Any] | None = None,  # noqa: A002
    model: ChatModel | None = None,
    bus: Bus | None = None,
) -> tuple[Any, list[str]]:
    """The answer of a loaded agent, and the status it told on the way."""
    statuses: list[str] = []
    bus = bus or Bus("nats://127.0.0.1:9", "_INBOX.test")

    async def progress(status: str) -> None:
        statuses.append(status)

    context = Context(
        bus=bus,
        agent=agent,
        replica="0",
        host="gpu-1",
        activity=RequestActivity(lambda: None),
        routes=Routes(bus),
        model=model or ChatModel(),
        progress=progress,
        ids={},
    )
    request = Request(
        text=text, action=action or "prompt", input=input or {}, structured=action is not None
    )
    answer: Any = None
    with context.bound():
        async for output in runtime.serve(context, request):
            match output:
                case Status(status):
                    statuses.append(status)
                case Text(piece):
                    answer = (answer or "") + piece
                case Result(value):
                    answer = value
    return answer, statuses


def survey(**changes: Any) -> dict[str, Any]:
    """A survey in the form sentinel gives, with one critical finding and one warning."""
    gib = 1 << 30
    found: dict[str, Any] = {
        "host": "gpu-1",
        "window_seconds": 3.0,
        "samples": 4,
        "simulated": False,
        "facts": {
            "cpu_percent": 12.34,
            "load1": 0.52,
            "cores": 2,
            "uptime_seconds": 183000.5,
            "memory_total_bytes": 8 * gib,
            "memory_available_bytes": 322122547,
            "disks": [
                {"mount": "/", "total_bytes": 100 * gib, "used_percent": 91.27},
                {"mount": "/mnt/d2", "total_bytes": 33 * gib, "used_percent": 11.0},
            ],
            "driver": {"state": "no_driver"},
            "gpus": [],
        },
        "findings": [
            {
                "rule": "disk.space",
                "severity": "warning",
                "subject": "/",
                "summary": "/ is 91.3 % full, 8.7 GiB left.",
                "figures": {"used_percent": 91.3, "available_gib": 8.7},
                "source": "df(1): warned of above 90 %",
            },
            {
                "rule": "memory.available",
                "severity": "critical",
                "subject": "memory",
                "summary": "0.3 GiB of 8.0 GiB are available, 3.8 %.",
                "figures": {"available_gib": 0.3, "total_gib": 8.0, "available_percent": 3.8},
                "source": "earlyoom(1): kills below 5 %",
            },
        ],
    }
    return {**found, **changes}
