"""CrewAI's model, through the one port: its agents think with `ctx.llm`.

CrewAI calls it from threads of its own, and waits; the call itself runs on the loop of the agent
process. CrewAI's own retries of a call are kept off: there is one loop that tries again.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import BaseModel, PrivateAttr

from sparkplug.llm.chat import ChatModel, current_model
from sparkplug.llm.errors import NoModelError
from sparkplug.llm.port import Answer, Ask, Message, Role, TextDelta, Tool, ToolCall

_CONTEXT = 8192
Method = TypeVar("Method", bound=Callable[..., Any])


def _asks_once(method: Method) -> Method:
    """Mark a method as one that CrewAI does not wrap in a loop of retries of its own."""
    method.__dict__["_crewai_rate_limit_wrapped"] = True
    return method


class SparkplugLLM(BaseLLM):
    """The model `model` (a name of the settings, or `auto`) as CrewAI wants one.

    `SparkplugLLM.of(ctx.llm)` keeps the model, account and loop of a request; one made by name
    is given them by `bind`, or takes those of the request it is called in.
    """

    llm_type: str = "sparkplug"
    model: str = "auto"
    provider: str = "sparkplug"
    _chat: ChatModel | None = PrivateAttr(default=None)
    _loop: asyncio.AbstractEventLoop | None = PrivateAttr(default=None)
    _context: int = PrivateAttr(default=_CONTEXT)

    @classmethod
    def of(cls, chat: ChatModel, **options: Any) -> SparkplugLLM:
        """A model on the account of `chat`, for crews that run beside the loop of now."""
        made = cls(model=chat.wanted, **options)
        made._chat = chat
        made._loop = chat.loop or asyncio.get_running_loop()
        return made

    def bind(self, chat: ChatModel, loop: asyncio.AbstractEventLoop) -> None:
        """Think with `chat` from now on, on this loop."""
        self._chat, self._loop = chat.named(self.model), loop

    @_asks_once
    def call(
        self,
        messages: Any,
        tools: list[dict[str, Any]] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        """Ask, from any thread but that of the loop. Raises a NoModelError."""
        asking = self._asked(
            messages, tools, available_functions, from_task, from_agent, response_model
        )
        return self._wait(asking)

    @_asks_once
    async def acall(
        self,
        messages: Any,
        tools: list[dict[str, Any]] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        """Ask, on the loop; from the loop of another thread it is waited for."""
        asking = self._asked(
            messages, tools, available_functions, from_task, from_agent, response_model
        )
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return await asking
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asking, self._loop))

    def supports_function_calling(self) -> bool:
        """Tools travel as tools; without, CrewAI describes them in its prompt."""
        return True

    def supports_stop_words(self) -> bool:
        """They are sent along."""
        return True

    def get_context_window_size(self) -> int:
        """Tokens a conversation may have, some less than the model takes in all."""
        return int(self._context * 0.85)

    def _wait(self, asking: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None or not self._loop.is_running():
            return asyncio.run(asking)
        future = asyncio.run_coroutine_threadsafe(asking, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _asked(
        self,
        messages: Any,
        tools: list[dict[str, Any]] | None,
        functions: dict[str, Any] | None,
        from_task: Any,
        from_agent: Any,
        response_model: type[BaseModel] | None,
    ) -> Any:
        chat = self._chat or current_model().named(self.model)
        wire = messages if isinstance(messages, list) else [{"role": "user", "content": messages}]
        ask = Ask(
            tuple(_message(one) for one in wire),
            tools=tuple(_tool(one) for one in tools or ()),
            schema=response_model.model_json_schema() if response_model is not None else None,
            temperature=self.temperature,
            max_tokens=int(self.max_tokens) if self.max_tokens else None,
            stop=tuple(self.stop_sequences),
            seed=self.seed,
        )
        with llm_call_context():
            self._emit_call_started_event(
                messages=messages,
                tools=tools,
                available_functions=functions,
                from_task=from_task,
                from_agent=from_agent,
            )
            try:
                found = await self._run(chat, ask, functions or {}, from_task, from_agent)
            except NoModelError as error:
                self._emit_call_failed_event(
                    error=error.message, from_task=from_task, from_agent=from_agent
                )
                raise
            answer = found if isinstance(found, Answer) else None
            result: Any = found
            kind = LLMCallType.LLM_CALL
            if answer is not None:
                result = self._apply_stop_words(answer.text)
                if answer.calls:
                    kind = LLMCallType.TOOL_CALL
                    result = [_call_wire(call) for call in answer.calls]
                elif response_model is not None:
                    result = response_model.model_validate(answer.value)
            self._emit_call_completed_event(
                response=result,
                call_type=kind,
                from_task=from_task,
                from_agent=from_agent,
                messages=messages,
                usage=self._usage(answer),
            )
            return result

    async def _run(
        self,
        chat: ChatModel,
        ask: Ask,
        functions: dict[str, Any],
        from_task: Any,
        from_agent: Any,
    ) -> Any:
        """The answer; with functions given, tools are called here and their results answered."""
        answer: Answer | None = None
        hold = ask.schema is not None
        stream = chat.events(ask, hold=hold)
        try:
            async for event in stream:
                if type(event) is TextDelta:
                    self._emit_stream_chunk_event(
                        chunk=event.text, from_task=from_task, from_agent=from_agent
                    )
                elif type(event) is Answer:
                    answer = event
        finally:
            await stream.aclose()
        assert answer is not None
        used = answer.usage
        self._track_token_usage_internal(
            {"prompt_tokens": used.tokens_in, "completion_tokens": used.tokens_out}
        )
        view = next(iter((await chat.route()).choices), None)
        if view is not None and view.view.context:
            self._context = view.view.context
        if answer.calls and functions and answer.calls[0].name in functions:
            call = answer.calls[0]
            result = await asyncio.to_thread(
                self._handle_tool_execution,
                function_name=call.name,
                function_args=call.arguments,
                available_functions=functions,
                from_task=from_task,
                from_agent=from_agent,
            )
            if result is not None:
                return result
        return answer

    def _usage(self, answer: Answer | None) -> dict[str, Any] | None:
        if answer is None:
            return None
        used = answer.usage
        return {
            "prompt_tokens": used.tokens_in,
            "completion_tokens": used.tokens_out,
            "total_tokens": used.tokens_in + used.tokens_out,
        }


def _message(wire: dict[str, Any]) -> Message:
    """One of CrewAI's messages, which are OpenAI's."""
    role = str(wire.get("role", "user"))
    known = role if role in ("system", "user", "assistant", "tool") else "user"
    return Message(
        cast("Role", known),
        _content(wire.get("content")),
        tuple(_call(call) for call in wire.get("tool_calls") or ()),
        str(wire.get("tool_call_id") or ""),
    )


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    return "" if content is None else str(content)


def _call(wire: Any) -> ToolCall:
    function = wire.get("function", {}) if isinstance(wire, dict) else wire.function
    name = function["name"] if isinstance(function, dict) else function.name
    text = function["arguments"] if isinstance(function, dict) else function.arguments
    call_id = wire.get("id") if isinstance(wire, dict) else wire.id
    try:
        arguments = json.loads(text) if isinstance(text, str) and text.strip() else text or {}
    except ValueError:
        arguments = {}
    found = arguments if isinstance(arguments, dict) else {}
    return ToolCall(str(call_id or uuid.uuid4().hex), str(name), found)


def _call_wire(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
    }


def _tool(wire: dict[str, Any]) -> Tool:
    """A tool in OpenAI's form, or its function alone."""
    function = wire.get("function", wire)
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return Tool(str(function["name"]), str(function.get("description") or ""), schema)
