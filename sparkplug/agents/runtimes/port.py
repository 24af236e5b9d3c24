"""The port every runtime implements, and how one is found by name."""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from sparkplug.agents.context import Context, Request
from sparkplug.schema.errors import InvalidError


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


Output = Text | Status | Result


class Runtime(Protocol):
    """One loaded agent."""

    @property
    def actions(self) -> dict[str, Any]:
        """JSON Schema of the input of each typed action, by name."""
        ...

    def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Answer one request. Any exception is the agent's own failure."""
        ...


#: Runtime name to the module that has `load(entrypoint object) -> Runtime`, the packages a
#: zygote of that family imports ahead, and the extra that installs them.
FAMILIES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "python": ("sparkplug.agents.runtimes.python", (), ""),
    "langgraph": (
        "sparkplug.agents.runtimes.langgraph",
        ("langgraph.graph", "langgraph.pregel", "langgraph.checkpoint.memory"),
        "graph",
    ),
}


async def load_runtime(name: str, target: Any) -> Runtime:
    """The runtime `name` around what the entrypoint gave. Raises InvalidError."""
    module = importlib.import_module(FAMILIES[name][0])
    loaded = await module.load(target)
    if not hasattr(loaded, "serve"):
        raise InvalidError(f"the runtime {name} loaded nothing that serves")
    return loaded  # type: ignore[no-any-return]
