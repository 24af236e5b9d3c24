"""The port every runtime implements, and how one is found by name.

A runtime is a module with `async def load(target, seat) -> Runtime`: what the entrypoint gave is
made into an agent, once for each process, before it is on the bus. Then `start` is awaited, once
it is there, and `serve` for every request, several at the same time. What it can do beyond that
it says by having the methods of `Stateful` or `Drawn`.

A runtime that has to ask a person raises `Parked` out of `serve` (or lets `ctx.human` raise it):
the request ends, and `serve` is called again with the answers in `ctx.answers`.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from sparkplug.agents.context import Context, Request
from sparkplug.agents.parking import Parked as Parked
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.thread import AgentGraph, ThreadState, ThreadView


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer to a plain prompt."""

    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """What the agent is doing, for the caller's eyes."""

    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """The value a structured call returns, or the whole answer to a prompt."""

    value: Any


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work as it begins and ends: a graph's node, a crew's task, a tool.

    `id` is unique within the request, `seconds` how long it took, `data` a little about it. It is
    shown as what the request does now, and written into the event log when it has ended.
    """

    id: str
    name: str
    state: Literal["started", "completed", "failed", "waiting"]
    seconds: float | None = None
    error: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a model call took that did not go through `ctx`: those of `ctx` count themselves."""

    input: int
    output: int
    model: str = ""


Output = Text | Status | Result | Step | Tokens


@dataclass(frozen=True, slots=True)
class Seat:
    """Who a runtime is loaded for."""

    agent: str = ""
    replica: str = "0"
    host: str = ""
    folder: str = ""
    model: str = "auto"
    #: Where it keeps its threads; empty: as the runtime does by itself.
    checkpoints: str = ""
    #: Of this agent's own, kept from one process to the next on this host; empty: there is none.
    state: str = ""


class ProcessMustEnd(SparkplugError):  # noqa: N818  what must be, not what went wrong
    """Raised out of `serve`: what it runs takes no notice of being cancelled.

    Nothing but the end of the process stops it. The process finishes what else it has in hand,
    takes nothing new, and ends with this as its reason.
    """


class Runtime(Protocol):
    """One loaded agent."""

    @property
    def actions(self) -> dict[str, Any]:
        """JSON Schema of the input of each typed action, by name."""
        ...

    async def start(self, bus: Bus) -> None:
        """The process is on the bus; the first request comes after."""
        ...

    def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Answer one request. Any exception is the agent's own failure.

        Cancelled, it lets go at its next `await`; what it holds in threads is abandoned.
        """
        ...

    async def close(self) -> None:
        """The process ends; nothing is in hand any more."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A runtime whose threads have a state of their own that can be read and changed."""

    async def threads(self) -> list[ThreadView]:
        """The threads that are kept, the newest first."""
        ...

    async def state(self, thread: str, checkpoint: str = "") -> ThreadState:
        """The state of a thread, now or as of a checkpoint. Raises NotFoundError."""
        ...

    async def history(self, thread: str, limit: int) -> list[ThreadState]:
        """The states of a thread, the newest first."""
        ...

    async def update(
        self, thread: str, values: Mapping[str, Any], as_node: str, checkpoint: str
    ) -> ThreadState:
        """Change the state of a thread, as if a node had. Raises InvalidError, NotFoundError."""
        ...

    async def forget(self, thread: str) -> None:
        """Delete all that is kept of a thread."""
        ...


@runtime_checkable
class Drawn(Protocol):
    """A runtime whose work has a shape that faces can draw."""

    @property
    def graph(self) -> AgentGraph:
        """Its parts and how they follow each other; the names are those of `Step`."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """A runtime by name: its module, what a zygote of the family imports ahead, and its extra."""

    module: str
    packages: tuple[str, ...] = ()
    extra: str = ""


#: Every runtime. Each family has zygotes of its own.
FAMILIES: dict[str, Family] = {
    "python": Family("sparkplug.agents.runtimes.python"),
    "langgraph": Family(
        "sparkplug.agents.runtimes.langgraph",
        ("langgraph.graph", "langgraph.pregel", "langgraph.checkpoint.memory"),
        "graph",
    ),
    "crewai": Family("sparkplug.agents.runtimes.crewai", extra="crew"),
}


async def load_runtime(name: str, target: Any, seat: Seat) -> Runtime:
    """The runtime `name` around what the entrypoint gave. Raises InvalidError."""
    module = importlib.import_module(FAMILIES[name].module)
    loaded = await module.load(target, seat)
    if not hasattr(loaded, "serve"):
        raise InvalidError(f"the runtime {name} loaded nothing that serves")
    return loaded  # type: ignore[no-any-return]
