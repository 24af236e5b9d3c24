"""LangChain's chat model, through the one port: what a LangGraph graph thinks with.

`model()` inside a request gives the agent's own model; a graph made before, at import, may hold
`SparkplugChatModel(model="auto")`, which asks for the request's model when it is called.
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, PrivateAttr

from sparkplug.llm.chat import ChatModel, current_model
from sparkplug.llm.port import Answer, Ask, Image, Message, Role, TextDelta, Tool, ToolCall
from sparkplug.llm.repair import Unfit, read_json
from sparkplug.llm.routing import AUTO


class SparkplugChatModel(BaseChatModel):
    """The model `model`: a name of the settings, or `auto`."""

    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    timeout: float | None = None
    _chat: ChatModel | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "sparkplug"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model or AUTO}

    def chat(self) -> ChatModel:
        """The port it asks through. Raises LookupError outside a request."""
        chat = self._chat or current_model()
        return chat.named(self.model) if self.model else chat

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools. `tool_choice` is auto, none, required (or any, True), or a tool's name."""
        made = [convert_to_openai_tool(tool) for tool in tools]
        if isinstance(tool_choice, dict):
            tool_choice = str(tool_choice.get("function", {}).get("name", "auto"))
        choice = {True: "required", False: "none", "any": "required", None: "auto"}.get(
            cast("Any", tool_choice), tool_choice
        )
        return self.bind(tools=made, tool_choice=choice, **kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Answers of a schema: a pydantic model gives its instances, a JSON Schema dicts."""
        kind = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        wanted = kind.model_json_schema() if kind is not None else cast("dict[str, Any]", schema)

        def parsed(message: Any) -> Any:
            value = read_json(str(message.content))
            return kind.model_validate(value) if kind is not None else value

        def tried(message: Any) -> dict[str, Any]:
            try:
                return {"raw": message, "parsed": parsed(message), "parsing_error": None}
            except (Unfit, ValueError) as error:
                return {"raw": message, "parsed": None, "parsing_error": error}

        asking = self.bind(schema=wanted)
        made: Any = asking | RunnableLambda(tried if include_raw else parsed)
        return cast("Runnable[LanguageModelInput, dict[str, Any] | BaseModel]", made)

    def _asked(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Ask:
        tools = tuple(_tool(tool) for tool in options.get("tools") or ())
        limit = options.get("max_tokens", self.max_tokens)
        return Ask(
            tuple(_message(message) for message in messages),
            tools=tools,
            tool_choice=str(options.get("tool_choice") or "auto"),
            schema=options.get("schema"),
            max_tokens=limit,
            temperature=options.get("temperature", self.temperature),
            stop=tuple(stop or self.stop or ()),
            seed=options.get("seed"),
            timeout=options.get("timeout", self.timeout),
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ask = self._asked(messages, stop, kwargs)
        return _result(await _whole(self.chat(), ask))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        ask = self._asked(messages, stop, kwargs)
        stream = self.chat().events(ask)
        told = False
        try:
            async for event in stream:
                if type(event) is TextDelta:
                    told = True
                    chunk = ChatGenerationChunk(message=AIMessageChunk(content=event.text))
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(event.text, chunk=chunk)
                    yield chunk
                elif type(event) is Answer:
                    # What was held back until it held comes now, with the calls.
                    text = "" if told else event.text
                    chunk = ChatGenerationChunk(message=_last(event, text))
                    if text and run_manager is not None:
                        await run_manager.on_llm_new_token(text, chunk=chunk)
                    yield chunk
        finally:
            await stream.aclose()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """For graphs that are not asynchronous: from a thread, the call is made on the loop."""
        asking = _whole(self.chat(), self._asked(messages, stop, kwargs))
        loop = self.chat().loop
        if loop is not None and loop.is_running():
            return _result(asyncio.run_coroutine_threadsafe(asking, loop).result())
        return _result(asyncio.run(asking))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        found = self._generate(messages, stop, run_manager, **kwargs)
        message = cast("AIMessage", found.generations[0].message)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content=message.content,
                tool_call_chunks=_chunks(message.tool_calls),
                usage_metadata=message.usage_metadata,
                response_metadata=message.response_metadata,
            )
        )


def model(name: str = "", **options: Any) -> SparkplugChatModel:
    """The model of the request being served, or another by its name."""
    made = SparkplugChatModel(model=name, **options)
    try:
        made._chat = current_model()  # noqa: SLF001  pydantic keeps private attributes out of init
    except LookupError:
        return made
    return made


async def _whole(chat: ChatModel, ask: Ask) -> Answer:
    found: Answer | None = None
    async for event in chat.events(ask, hold=True):
        if type(event) is Answer:
            found = event
    assert found is not None
    return found


def _usage(answer: Answer) -> UsageMetadata:
    used = answer.usage
    return UsageMetadata(
        input_tokens=used.tokens_in,
        output_tokens=used.tokens_out,
        total_tokens=used.tokens_in + used.tokens_out,
    )


def _about(answer: Answer) -> dict[str, Any]:
    # `sparkplug`: the call has counted itself, whoever reads the usage of the message.
    return {"model_name": answer.model, "finish_reason": answer.finish, "sparkplug": True}


def _result(answer: Answer) -> ChatResult:
    calls = [{"name": c.name, "args": c.arguments, "id": c.id} for c in answer.calls]
    message = AIMessage(
        content=answer.text,
        tool_calls=cast("Any", calls),
        usage_metadata=_usage(answer),
        response_metadata=_about(answer),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _last(answer: Answer, text: str) -> AIMessageChunk:
    calls = [{"name": c.name, "args": c.arguments, "id": c.id} for c in answer.calls]
    return AIMessageChunk(
        content=text,
        tool_call_chunks=_chunks(calls),
        usage_metadata=_usage(answer),
        response_metadata=_about(answer),
        chunk_position="last",
    )


def _chunks(calls: Sequence[Any]) -> list[Any]:
    return [
        tool_call_chunk(
            name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=place
        )
        for place, call in enumerate(calls)
    ]


def _message(message: BaseMessage) -> Message:
    text, images = _content(message.content)
    if isinstance(message, ToolMessage):
        return Message("tool", text, call_id=message.tool_call_id)
    if isinstance(message, AIMessage):
        calls = tuple(
            ToolCall(call.get("id") or uuid.uuid4().hex, call["name"], dict(call["args"]))
            for call in message.tool_calls
        )
        return Message("assistant", text, calls)
    role: Role = "user"
    if isinstance(message, SystemMessage):
        role = "system"
    elif not isinstance(message, HumanMessage):
        told = getattr(message, "role", "user")
        role = cast("Role", told if told in ("system", "user", "assistant") else "user")
    return Message(role, text, images=images)


def _content(content: Any) -> tuple[str, tuple[Image, ...]]:
    """Text and pictures of a message's content, which may be a list of parts."""
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    images: list[Image] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "text":
            texts.append(str(part.get("text", "")))
        elif part.get("type") == "image_url":
            url = part["image_url"]
            url = str(url["url"] if isinstance(url, dict) else url)
            kind, _, data = url.removeprefix("data:").partition(";base64,")
            if not data:
                raise ValueError("a picture has to be in the message, as a data: URL")
            images.append(Image(base64.b64decode(data), kind or "image/png"))
    return "\n".join(texts), tuple(images)


def _tool(wire: dict[str, Any]) -> Tool:
    function = wire.get("function", wire)
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(str(function["name"]), str(function.get("description") or ""), schema)
