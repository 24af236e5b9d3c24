"""The port to models: what is asked, what comes back, and what every provider implements."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model wants made."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message, for models that see."""

    data: bytes
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `calls` are the assistant's, `call_id` names a tool's."""

    role: Role
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may call: `schema` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a model.

    `tool_choice` is `auto`, `none`, `required` or the name of a tool; `schema` the JSON Schema
    that the answer must have. `timeout` in seconds, None = as the settings say.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    schema: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a call. `estimated` when the server did not count them for us."""

    tokens_in: int = 0
    tokens_out: int = 0
    estimated: bool = False
    joules: float | None = None
    joules_estimated: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a tool call: `arguments` is JSON that comes bit by bit."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is whole; `reason` is stop, length, tool_calls or what else the server says."""

    reason: str


Delta = TextDelta | CallDelta | Usage | Finish


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `value` is the JSON of a call with a schema; `model` who gave it."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    value: Any = None
    usage: Usage = Usage()
    finish: str = "stop"
    model: str = ""


#: What a streamed call yields: text as it comes, tool calls once they hold, the answer last.
Event = TextDelta | ToolCall | Answer


class Provider(Protocol):
    """A client of one endpoint. It tries once: no retries, no waiting of its own."""

    def stream(self, ask: Ask, model: str) -> AsyncGenerator[Delta, None]:
        """Ask once. Raises a NoModelError of the kind that fits; ends only after a Finish."""
        ...

    async def models(self) -> list[str]:
        """The names of the models the endpoint lists. Raises as `stream`."""
        ...

    async def close(self) -> None:
        """Let go of its connections."""
        ...


def as_messages(prompt: str | Sequence[Message], system: str = "") -> tuple[Message, ...]:
    """A prompt as a conversation."""
    found = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
    return (Message("system", system), *found) if system else found
