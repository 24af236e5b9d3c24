"""The model as an agent has it: `ctx.llm`."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel

from sparkplug.llm.calls import Call
from sparkplug.llm.counting import Tokens, count_tokens
from sparkplug.llm.errors import NoModelError
from sparkplug.llm.metering import Labels
from sparkplug.llm.models import Models
from sparkplug.llm.port import Answer, Ask, Event, Message, TextDelta, Tool, as_messages
from sparkplug.llm.routing import AUTO, Needs, Route
from sparkplug.schema.llm import ModelView

_current: ContextVar[ChatModel] = ContextVar("sparkplug_llm")


def current_model() -> ChatModel:
    """The model of the request being served. Raises LookupError outside one."""
    return _current.get()


class ChatModel:
    """A model by name, or `auto`: asked through one retry loop, every call in the ledger.

    All methods raise a NoModelError of the kind that fits (sparkplug.llm.errors).
    """

    def __init__(self, models: Models | None = None, wanted: str = AUTO) -> None:
        self.models = models or Models()
        self.wanted = wanted or AUTO
        self._labels = Labels()
        self._calling: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
        #: The loop its calls run on, for those who ask from threads; None until it is bound.
        self.loop: asyncio.AbstractEventLoop | None = None

    def bound(
        self, labels: Labels, calling: Callable[[], AbstractContextManager[object]]
    ) -> ChatModel:
        """The same model on this account; each call runs inside a context of `calling`."""
        model = copy.copy(self)
        model._labels, model._calling = labels, calling  # noqa: SLF001  a copy of its own
        with contextlib.suppress(RuntimeError):
            model.loop = asyncio.get_running_loop()
        return model

    def named(self, name: str) -> ChatModel:
        """Another model on the same account: a name, or `auto`."""
        model = copy.copy(self)
        model.wanted = name or AUTO
        return model

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Make it the `current_model()` while the block runs."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    async def route(self, needs: Needs | None = None) -> Route:
        """Who would be asked now, best first, and why the others would not."""
        return await self.models.route(self.wanted, needs or Needs())

    async def view(self) -> ModelView:
        """The model that would be asked now."""
        found = await self.route()
        if not found.choices:
            raise NoModelError(f"there is no model for {self.wanted}")
        return found.choices[0].view

    async def available(self) -> bool:
        """Whether there is a model to ask. It may fail all the same."""
        return bool((await self.route()).choices)

    async def stream(
        self, prompt: str | Sequence[Message], *, system: str = "", **options: Any
    ) -> AsyncGenerator[str, None]:
        """Yield the answer's text in pieces, as they come. `options` as of `answer`."""
        ask = _ask(prompt, system, options)
        async with contextlib.aclosing(self.events(ask)) as events:
            async for event in events:
                if type(event) is TextDelta:
                    yield event.text

    async def answer(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str = "",
        tools: Sequence[Tool] = (),
        schema: type[BaseModel] | dict[str, Any] | None = None,
        **options: Any,
    ) -> Answer:
        """The whole answer: `.text`, `.calls` of `tools`, and `.value` where `schema` is given.

        `schema` is a pydantic model, of which `.value` is then one, or a JSON Schema. `options`
        are `tool_choice`, `max_tokens`, `temperature`, `stop`, `seed`, `timeout` (see Ask).
        """
        kind = schema if isinstance(schema, type) else None
        wanted = kind.model_json_schema() if kind is not None else schema
        ask = _ask(prompt, system, {**options, "tools": tuple(tools), "schema": wanted})
        found: Answer | None = None
        async with contextlib.aclosing(self.events(ask, hold=True)) as events:
            async for event in events:
                if type(event) is Answer:
                    found = event
        assert found is not None
        if kind is not None and found.value is not None:
            found = Answer(
                found.text,
                found.calls,
                kind.model_validate(found.value),
                found.usage,
                found.finish,
                found.model,
            )
        return found

    async def events(self, ask: Ask, *, hold: bool = False) -> AsyncGenerator[Event, None]:
        """Ask: text as it comes, tool calls once they hold, the whole Answer last.

        With `hold` text comes in the answer alone, and a try that breaks off costs nothing.
        """
        with self._calling():
            call = Call(self.models, self.wanted, self._labels, ask, hold=hold)
            async with contextlib.aclosing(call.run()) as events:
                async for event in events:
                    yield event

    async def count(self, messages: Sequence[Message]) -> Tokens:
        """Tokens of a conversation, by the model's own tokenizer where its server offers that."""
        return await count_tokens(self.models, await self.view(), messages)


def _ask(prompt: str | Sequence[Message], system: str, options: dict[str, Any]) -> Ask:
    if "stop" in options:
        options["stop"] = tuple(options["stop"])
    return Ask(as_messages(prompt, system), **options)
