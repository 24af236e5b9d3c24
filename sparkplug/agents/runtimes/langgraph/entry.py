"""What an entrypoint gave, made into a compiled graph."""

from __future__ import annotations

import inspect
from typing import Any

from sparkplug.agents.runtimes.langgraph.agent import GraphAgent
from sparkplug.agents.runtimes.port import Runtime, Seat
from sparkplug.schema.errors import InvalidError


async def load(target: Any, seat: Seat) -> Runtime:
    """The graph behind an entrypoint. Raises InvalidError when it is none.

    A function may take the configuration LangGraph's own server gives a factory: it gets an
    empty one.
    """
    if not is_graph(target) and not hasattr(target, "compile") and callable(target):
        target = target({}) if _takes_one(target) else target()
        if hasattr(target, "__aenter__") and not is_graph(target):
            raise InvalidError(
                "the entrypoint is a context manager of a graph",
                hint="name a function that returns the graph itself",
            )
        if inspect.isawaitable(target):
            target = await target
    if not is_graph(target) and not hasattr(target, "compile"):
        raise InvalidError(
            f"the entrypoint is a {type(target).__name__}, not a LangGraph graph",
            hint="name a compiled graph, or a function that returns one",
        )
    return GraphAgent(target if is_graph(target) else target.compile(), seat)


def is_graph(target: Any) -> bool:
    """Whether this is a compiled graph."""
    return all(hasattr(target, name) for name in ("astream", "get_graph", "input_channels"))


def _takes_one(function: Any) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(needed) == 1
