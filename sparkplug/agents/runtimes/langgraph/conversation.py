"""What goes into a graph and what comes out: the request as its state, its state as the answer.

A graph whose state has `messages` gets the conversation; any other gets the input as its
state, with `action` and `prompt` filled in where its schema names them. A graph that leaves
`text` answers prompts with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.errors import PydanticUserError

from sparkplug.agents.context import Request
from sparkplug.schema.errors import InvalidError

_PROMPT_KEYS = ("prompt", "text", "input", "question", "query")
_END = "__end__"


class Shape:
    """The input and the output of one graph."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self.schema = _input_schema(graph)
        self._keys = frozenset(self.schema.get("properties", {}))
        #: The nodes after which it may end: what models say in them is the answer.
        self.last_nodes = frozenset(
            edge.source for edge in graph.get_graph().edges if edge.target == _END
        )

    def state(self, request: Request) -> dict[str, Any]:
        """The graph's input. Raises InvalidError when a prompt fits nowhere in its state."""
        state = dict(request.input)
        if request.structured and "action" in self._keys:
            state.setdefault("action", request.action)
        if "messages" in self._keys:
            # A call without words of its own has the name of its action for them.
            said = request.text and not (request.structured and request.text == request.action)
            if said and "messages" not in state:
                state["messages"] = [{"role": "user", "content": request.text}]
            return state
        if request.structured:
            return state
        for key in _PROMPT_KEYS:
            if key in self._keys:
                state[key] = request.text
                return state
        raise InvalidError(
            "this graph takes no plain prompt",
            hint=f"call it with an input: its state has {', '.join(sorted(self._keys))}",
        )

    def answer(self, final: Any, *, structured: bool) -> Any:
        """What the graph answers: its last message, else its output.

        A prompt is answered with `text` where the output has it; a structured call gets the
        whole output.
        """
        if not isinstance(final, Mapping):
            return final
        messages = final.get("messages")
        if messages:
            return content_text(getattr(messages[-1], "content", messages[-1]))
        output = getattr(self._graph, "output_channels", None)
        keys = [output] if isinstance(output, str) else list(output or final)
        if not structured and "text" in keys and isinstance(final.get("text"), str):
            return final["text"]
        return {key: final[key] for key in keys if key in final}


def content_text(content: Any) -> Any:
    """The content of a message as text, where it is text or blocks with text in them."""
    if not isinstance(content, list):
        return content
    parts = [
        block if isinstance(block, str) else block.get("text", "")
        for block in content
        if isinstance(block, str) or (isinstance(block, dict) and block.get("type") == "text")
    ]
    return "".join(parts) if parts else content


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
