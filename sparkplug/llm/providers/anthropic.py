"""Anthropic's Messages API, by Anthropic's own client.

Protocol: https://docs.anthropic.com/en/api/messages-streaming. The client's own retries are
off. An answer with a schema is asked for as the call of a tool with that schema.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import anthropic
import httpx2
from anthropic import AsyncAnthropic

from sparkplug.llm.errors import MalformedAnswerError, ModelTimeoutError, ModelUnavailableError
from sparkplug.llm.port import Ask, CallDelta, Delta, Finish, Message, TextDelta, Usage
from sparkplug.llm.providers.openai import FOREVER_S, body_text, by_status, without

#: It has to be told how much it may write.
_MAX_TOKENS = 4096
_ANSWER = "answer"
_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
_OVERLOADED = 529


class AnthropicProvider:
    """One endpoint."""

    def __init__(self, endpoint: str, key: str, connect_timeout: float) -> None:
        self.endpoint = endpoint
        self._key = key
        # Anthropic's base URL has no /v1, people write it as they do for the others.
        base = endpoint.removesuffix("/v1")
        timeout = anthropic.Timeout(FOREVER_S, connect=connect_timeout, pool=FOREVER_S)
        self._client = AsyncAnthropic(
            base_url=base, api_key=key or "none", auth_token=None, max_retries=0, timeout=timeout
        )

    async def models(self) -> list[str]:
        """The names it lists."""
        with _said(self.endpoint, self._key):
            found = await self._client.models.list()
            return [str(model.id) for model in found.data]

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.close()

    async def stream(self, ask: Ask, model: str) -> AsyncGenerator[Delta, None]:
        """Ask once, streamed."""
        with _said(self.endpoint, self._key):
            stream: Any = await self._client.messages.create(**_wire(ask, model))
            try:
                given = 0
                as_text: set[int] = set()
                async for event in stream:
                    match event.type:
                        case "message_start":
                            given = int(event.message.usage.input_tokens or 0)
                            yield Usage(given, int(event.message.usage.output_tokens or 0))
                        case "content_block_start" if event.content_block.type == "tool_use":
                            block = event.content_block
                            if ask.schema is not None and block.name == _ANSWER:
                                as_text.add(event.index)
                            else:
                                yield CallDelta(event.index, block.id, block.name)
                        case "content_block_delta" if event.delta.type == "text_delta":
                            yield TextDelta(event.delta.text)
                        case "content_block_delta" if event.delta.type == "input_json_delta":
                            piece = event.delta.partial_json
                            if event.index in as_text:
                                yield TextDelta(piece)
                            else:
                                yield CallDelta(event.index, arguments=piece)
                        case "message_delta":
                            yield Usage(given, int(event.usage.output_tokens or 0))
                            reason = str(event.delta.stop_reason or "")
                            if reason:
                                yield Finish(
                                    "stop" if as_text else _REASONS.get(reason, "tool_calls")
                                )
            finally:
                await stream.close()


def _wire(ask: Ask, model: str) -> dict[str, Any]:
    system = "\n\n".join(m.content for m in ask.messages if m.role == "system")
    body: dict[str, Any] = {
        "model": model,
        "messages": _turns([m for m in ask.messages if m.role != "system"]),
        "max_tokens": ask.max_tokens or _MAX_TOKENS,
        "stream": True,
    }
    if system:
        body["system"] = system
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
        for tool in ask.tools
    ]
    choice: dict[str, Any] = {"type": {"required": "any"}.get(ask.tool_choice, ask.tool_choice)}
    if ask.tool_choice not in ("auto", "none", "required"):
        choice = {"type": "tool", "name": ask.tool_choice}
    if ask.schema is not None:
        about = "Give the answer in this form."
        tools.append({"name": _ANSWER, "description": about, "input_schema": ask.schema})
        choice = {"type": "any"} if ask.tools else {"type": "tool", "name": _ANSWER}
    if tools:
        body["tools"], body["tool_choice"] = tools, choice
    if ask.temperature is not None:
        body["temperature"] = ask.temperature
    if ask.stop:
        body["stop_sequences"] = list(ask.stop)
    return body


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    """Messages as turns of content blocks; results of tools are the user's, all in one turn."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks: list[dict[str, Any]] = []
        if message.role == "tool":
            blocks.append(
                {
                    "type": "tool_result",
                    "tool_use_id": message.call_id,
                    "content": message.content,
                }
            )
        elif message.content:
            blocks.append({"type": "text", "text": message.content})
        blocks += [
            {
                "type": "image",
                "source": {
                    "type": "base64",
                    "media_type": image.media_type,
                    "data": base64.b64encode(image.data).decode(),
                },
            }
            for image in message.images
        ]
        blocks += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
            for call in message.calls
        ]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


@contextlib.contextmanager
def _said(endpoint: str, key: str) -> Iterator[None]:
    """What the client raises, as the kind of ours that fits."""
    try:
        yield
    except anthropic.APIStatusError as error:
        body = error.body
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            body = body["error"]
        status = 503 if error.status_code == _OVERLOADED else error.status_code
        text = without(key, body_text(body))
        raise by_status(status, error.response.headers, text, endpoint) from None
    except anthropic.APITimeoutError:
        raise ModelTimeoutError("the endpoint cannot be reached in time", where=endpoint) from None
    except anthropic.APIConnectionError as error:
        why = str(error.__cause__ or "") or "no connection"
        raise ModelUnavailableError(
            f"the endpoint does not answer: {why}", where=endpoint
        ) from None
    except anthropic.APIError as error:
        text = without(key, error.message)
        raise ModelUnavailableError(f"the endpoint failed: {text}", where=endpoint) from None
    except httpx2.TimeoutException:
        raise ModelTimeoutError("the endpoint does not answer in time", where=endpoint) from None
    except httpx2.HTTPError as error:
        why = str(error) or type(error).__name__
        raise ModelUnavailableError(f"the connection ended: {why}", where=endpoint) from None
    except (json.JSONDecodeError, TypeError, AttributeError, LookupError, ValueError) as error:
        raise MalformedAnswerError(
            f"the endpoint sent something malformed ({type(error).__name__})", where=endpoint
        ) from None
