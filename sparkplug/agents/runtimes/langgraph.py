"""`runtime: langgraph`: any compiled graph, or a function that returns one.

A graph whose state has `messages` gets the conversation; any other gets the input as its
state, with `action` and `prompt` filled in where its schema names them. Node updates go
out as status chunks while it runs. A graph that leaves `text` answers prompts with it.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pydantic.errors import PydanticUserError

from sparkplug.agents.context import Context, Request
from sparkplug.agents.runtimes.port import Output, Result, Runtime, Status, Text
from sparkplug.schema.errors import InvalidError

_PROMPT_KEYS = ("prompt", "text", "input", "question", "query")


async def load(target: Any) -> Runtime:
    """The graph behind an entrypoint. Raises InvalidError when it is none."""
    if not _is_graph(target) and callable(target):
        target = target()
        if inspect.isawaitable(target):
            target = await target
    if hasattr(target, "compile") and not _is_graph(target):
        target = target.compile()
    if not _is_graph(target):
        raise InvalidError(
            f"the entrypoint is a {type(target).__name__}, not a LangGraph graph",
            hint="name a compiled graph, or a function that returns one",
        )
    return GraphAgent(target)


def _is_graph(target: Any) -> bool:
    return all(hasattr(target, name) for name in ("astream", "get_graph", "input_channels"))


def _input_schema(graph: Any) -> dict[str, Any]:
    """JSON Schema of the graph's input; the bare names where pydantic cannot make one.

    Before Python 3.12 pydantic takes no `typing.TypedDict`, which most graphs are made of.
    """
    try:
        schema: dict[str, Any] = graph.get_input_jsonschema()
    except PydanticUserError:
        state = getattr(getattr(graph, "builder", None), "input_schema", None)
        names = getattr(state, "__annotations__", {})
        schema = {"type": "object", "properties": {name: {} for name in names}}
    return schema


class GraphAgent:
    """A compiled graph."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._schema = _input_schema(graph)
        self._keys = frozenset(self._schema.get("properties", {}))

    @property
    def actions(self) -> dict[str, Any]:
        """A graph takes any action name; the schema of its state is what it wants as input."""
        return {"invoke": self._schema}

    async def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Run the graph on one request."""
        config = {
            "configurable": {"thread_id": ctx.key or secrets.token_hex(8)},
            "recursion_limit": 100,
        }
        final: Any = None
        stream = self._graph.astream(
            self._state(request), config=config, stream_mode=["updates", "values"]
        )
        async for mode, data in stream:
            if mode == "values":
                final = data
            elif isinstance(data, Mapping):
                for node in data:
                    yield Status(str(node))
        answer = self._answer(final, structured=request.structured)
        if request.structured or not isinstance(answer, str):
            yield Result(answer)
        else:
            yield Text(answer)

    def _state(self, request: Request) -> dict[str, Any]:
        """The graph's input. Raises InvalidError when a prompt fits nowhere in its state."""
        state = dict(request.input)
        if "messages" in self._keys:
            if request.text and "messages" not in state:
                state["messages"] = [{"role": "user", "content": request.text}]
            return state
        if request.structured:
            if "action" in self._keys:
                state.setdefault("action", request.action)
            return state
        for key in _PROMPT_KEYS:
            if key in self._keys:
                state[key] = request.text
                return state
        raise InvalidError(
            "this graph takes no plain prompt",
            hint=f"call it with an input: its state has {', '.join(sorted(self._keys))}",
        )

    def _answer(self, final: Any, *, structured: bool) -> Any:
        """What the graph answers: its last message, else its output.

        A prompt is answered with `text` where the output has it; a structured call gets the
        whole output.
        """
        if not isinstance(final, Mapping):
            return final
        messages = final.get("messages")
        if messages:
            return getattr(messages[-1], "content", messages[-1])
        output = getattr(self._graph, "output_channels", None)
        keys = [output] if isinstance(output, str) else list(output or final)
        if not structured and "text" in keys and isinstance(final.get("text"), str):
            return final["text"]
        return {key: final[key] for key in keys if key in final}
