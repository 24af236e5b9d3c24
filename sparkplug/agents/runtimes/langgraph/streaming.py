"""What a running graph streams, read as outputs of the port.

Source: the stream modes of LangGraph 1.2, `tasks`, `values`, `messages` and `custom`, with those
of its subgraphs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from sparkplug.agents.runtimes.langgraph.conversation import Shape, content_text
from sparkplug.agents.runtimes.port import Output, Status, Step, Text, Tokens

#: Characters of what a node's stream writer wrote that are told to the caller.
_LONGEST_CUSTOM = 2000
_INTERRUPT = "__interrupt__"
#: Between two messages of models, and before an answer that the graph made otherwise.
_APART = "\n\n"


class Reading:
    """One run of a graph, as it is read.

    `values` is the state it has come to, `interrupts` by id what it waits for at its end.
    """

    def __init__(self, shape: Shape, *, structured: bool) -> None:
        self._shape = shape
        self._structured = structured
        self._began: dict[str, float] = {}
        self._counted: dict[str, tuple[int, int]] = {}
        #: Messages of which something went out as text, and what went out last.
        self._told: list[str] = []
        self._last = ""
        self.values: Any = None
        self.interrupts: dict[str, Any] = {}

    def take(self, namespace: tuple[str, ...], mode: str, data: Any) -> Iterator[Output]:
        """The outputs that one item of the stream is."""
        match mode:
            case "tasks":
                yield from self._task(namespace, data)
            case "values" if not namespace:
                self._take_values(data)
            case "messages":
                yield from self._message(namespace, *data)
            case "custom":
                yield Status(_short(data))

    def rest(self, answer: str) -> str:
        """What of the answer has not gone out piece by piece; another one begins a paragraph."""
        if not self._told:
            return answer
        return answer.removeprefix(self._last) if answer.startswith(self._last) else _APART + answer

    def _take_values(self, data: Any) -> None:
        if not isinstance(data, Mapping):
            self.values = data
            return
        for one in data.get(_INTERRUPT) or ():
            self.interrupts[one.id] = one
        values = {key: value for key, value in data.items() if key != _INTERRUPT}
        if values or self.values is None:
            self.values = values

    def _task(self, namespace: tuple[str, ...], data: Mapping[str, Any]) -> Iterator[Output]:
        id_ = str(data["id"])
        # `outer:inner`, as `get_graph(xray=True)` names what is in a subgraph.
        name = ":".join([part.partition(":")[0] for part in namespace] + [str(data["name"])])
        if "result" not in data and "error" not in data:
            self._began[id_] = time.monotonic()
            yield Step(id_, name, "started")
            return
        began = self._began.pop(id_, None)
        seconds = round(time.monotonic() - began, 3) if began is not None else None
        if data.get("interrupts"):
            yield Step(id_, name, "waiting", seconds)
            return
        error = data.get("error")
        if error:
            yield Step(id_, name, "failed", seconds, str(error))
            return
        yield Step(id_, name, "completed", seconds)
        yield Status(name)

    def _message(
        self, namespace: tuple[str, ...], message: Any, metadata: Mapping[str, Any]
    ) -> Iterator[Output]:
        yield from self._tokens(message)
        node = namespace[0].partition(":")[0] if namespace else metadata.get("langgraph_node")
        if (
            self._structured
            or getattr(message, "type", "") != "AIMessageChunk"
            or node not in self._shape.last_nodes
        ):
            return
        text = content_text(message.content)
        if not isinstance(text, str) or not text:
            return
        id_ = str(message.id)
        apart = ""
        if id_ not in self._told:
            apart = _APART if self._told else ""
            self._told.append(id_)
            self._last = ""
        self._last += text
        yield Text(apart + text)

    def _tokens(self, message: Any) -> Iterator[Output]:
        """What the model says the call took. A call through `ctx` has counted itself."""
        usage = getattr(message, "usage_metadata", None)
        told = getattr(message, "response_metadata", None) or {}
        if not usage or told.get("sparkplug"):
            return
        given, made = int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0))
        # A model may tell it with every piece, and the whole message follows its pieces.
        before = self._counted.get(str(message.id), (0, 0))
        chunk = getattr(message, "type", "") == "AIMessageChunk"
        if not chunk and str(message.id) in self._counted:
            return
        self._counted[str(message.id)] = (before[0] + given, before[1] + made)
        yield Tokens(given, made, str(told.get("model_name") or ""))


def _short(data: Any) -> str:
    if not isinstance(data, str):
        data = json.dumps(data, default=str, ensure_ascii=False)
    return str(data)[:_LONGEST_CUSTOM]
