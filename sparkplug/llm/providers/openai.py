"""Any endpoint of OpenAI's chat API, by OpenAI's own client: vLLM, SGLang, llama.cpp, Ollama, ….

Protocol: https://platform.openai.com/docs/api-reference/chat/streaming. The client's own
retries are off. Of servers other than OpenAI's the usage is asked for with every piece
(`continuous_usage_stats`, which vLLM and ours give), so that a call that ends early is counted.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

import httpx
import openai
from openai import AsyncOpenAI

from sparkplug.llm.errors import (
    ContextLengthError,
    MalformedAnswerError,
    ModelRefusedError,
    ModelTimeoutError,
    ModelUnavailableError,
    NoModelError,
    RateLimitedError,
)
from sparkplug.llm.port import Ask, CallDelta, Delta, Finish, Message, TextDelta, Usage
from sparkplug.llm.waits import retry_after

#: What servers answer of a conversation that is too long.
_TOO_LONG = ("context_length", "context length", "maximum context", "too long", "context size")
#: The timeouts of an answer are ours, in the loop; these only end what would never end.
FOREVER_S = 3600.0
_MOST_LINE = 8 << 20


class OpenAiProvider:
    """One endpoint. `strict` is OpenAI's own, which refuses what it does not know."""

    def __init__(
        self, endpoint: str, key: str, connect_timeout: float, *, strict: bool = False
    ) -> None:
        self.endpoint = endpoint
        self._key = key
        self._strict = strict
        self._continuous = not strict
        self._schema = True
        self._client = AsyncOpenAI(
            base_url=endpoint,
            api_key=key or "none",
            organization="",
            project="",
            max_retries=0,
            timeout=httpx.Timeout(FOREVER_S, connect=connect_timeout, pool=FOREVER_S),
            http_client=httpx.AsyncClient(
                timeout=httpx.Timeout(FOREVER_S, connect=connect_timeout, pool=FOREVER_S),
                limits=httpx.Limits(max_connections=1000, max_keepalive_connections=32),
            ),
        )

    async def models(self) -> list[str]:
        """The names it lists."""
        with said(self.endpoint, self._key):
            found = await self._client.models.list()
            return [str(model.id) for model in found.data]

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.close()

    async def stream(self, ask: Ask, model: str) -> AsyncGenerator[Delta, None]:
        """Ask once, streamed."""
        with said(self.endpoint, self._key):
            manager, response = await self._begin(ask, model)
            try:
                async with contextlib.aclosing(_events(response)) as events:
                    async for event in events:
                        for delta in _deltas(event):
                            yield delta
            finally:
                await manager.__aexit__(None, None, None)

    async def _begin(self, ask: Ask, model: str) -> tuple[Any, Any]:
        """Send the request; what an old server does not know is left out the second time.

        The client's own objects for pieces take ten times as long to make as to read.
        """
        asking = self._client.chat.completions.with_streaming_response
        while True:
            manager = asking.create(**self._wire(ask, model))
            try:
                return manager, await manager.__aenter__()
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                text = str(error.body or error.message)
                if self._continuous and "stream_options" in text:
                    self._continuous = False
                elif self._schema and ask.schema is not None and "response_format" in text:
                    self._schema = False
                else:
                    raise

    def _wire(self, ask: Ask, model: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": [_wire_message(message) for message in ask.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._continuous:
            body["stream_options"]["continuous_usage_stats"] = True
        if ask.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.schema,
                    },
                }
                for tool in ask.tools
            ]
            choice = ask.tool_choice
            named = choice not in ("auto", "none", "required")
            body["tool_choice"] = (
                {"type": "function", "function": {"name": choice}} if named else choice
            )
        if ask.schema is not None and self._schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": ask.schema},
            }
        if ask.max_tokens is not None:
            body["max_completion_tokens" if self._strict else "max_tokens"] = ask.max_tokens
        if ask.temperature is not None:
            body["temperature"] = ask.temperature
        if ask.seed is not None:
            body["seed"] = ask.seed
        if ask.stop:
            body["stop"] = list(ask.stop)
        return body


def _wire_message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "content": message.content, "tool_call_id": message.call_id}
    content: Any = message.content
    if message.images:
        content = [{"type": "text", "text": message.content}] if message.content else []
        content += [
            {
                "type": "image_url",
                "image_url": {
                    "url": f"data:{image.media_type};base64,"
                    + base64.b64encode(image.data).decode()
                },
            }
            for image in message.images
        ]
    made: dict[str, Any] = {"role": message.role, "content": content}
    if message.calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in message.calls
        ]
    return made


async def _events(response: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON of each event (WHATWG HTML, server-sent events), up to the one that says [DONE]."""
    rest = b""
    async for piece in response.iter_bytes():
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        if len(rest) > _MOST_LINE:
            raise ValueError("a line of the stream is too long")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            event = json.loads(data)
            if not isinstance(event, dict):
                raise TypeError("an event is no object")
            if event.get("error"):
                raise _ToldError(body_text(event["error"]))
            yield event


class _ToldError(Exception):
    """An error that a server told in the middle of its stream."""


def _deltas(event: dict[str, Any]) -> Iterator[Delta]:
    """What one event of the stream says. What is odd raises."""
    usage = event.get("usage")
    if usage is not None:
        joules = usage.get("joules")
        yield Usage(
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
            joules=float(joules) if joules is not None else None,
            joules_estimated=bool(usage.get("joules_estimated")),
        )
    for choice in event.get("choices") or ():
        delta = choice.get("delta")
        if delta:
            content = delta.get("content")
            if content:
                yield TextDelta(str(content))
            for call in delta.get("tool_calls") or ():
                function = call.get("function") or {}
                yield CallDelta(
                    int(call.get("index") or 0),
                    str(call.get("id") or ""),
                    str(function.get("name") or ""),
                    str(function.get("arguments") or ""),
                )
        reason = choice.get("finish_reason")
        if reason:
            yield Finish(str(reason))


@contextlib.contextmanager
def said(endpoint: str, key: str) -> Iterator[None]:
    """What the client raises, as the kind of ours that fits, without what may hold a key."""
    try:
        yield
    except openai.APIStatusError as error:
        text = without(key, body_text(error.body))
        raise by_status(error.status_code, error.response.headers, text, endpoint) from None
    except openai.APITimeoutError:
        raise ModelTimeoutError("the endpoint cannot be reached in time", where=endpoint) from None
    except openai.APIConnectionError as error:
        why = str(error.__cause__ or "") or "no connection"
        raise ModelUnavailableError(
            f"the endpoint does not answer: {why}", where=endpoint
        ) from None
    except _ToldError as error:
        text = without(key, str(error))
        raise ModelUnavailableError(f"the endpoint failed: {text}", where=endpoint) from None
    except httpx.TimeoutException:
        raise ModelTimeoutError("the endpoint does not answer in time", where=endpoint) from None
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise ModelUnavailableError(f"the connection ended: {why}", where=endpoint) from None
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise MalformedAnswerError(
            f"the endpoint sent something malformed ({type(error).__name__})", where=endpoint
        ) from None


def by_status(status: int, headers: Mapping[str, str], body: str, endpoint: str) -> NoModelError:
    """The error of a status code. What the server said is told in short."""
    told = f"the endpoint answered {status}" + (f": {body[:200]}" if body else "")
    after = retry_after(headers)
    if status == 429:
        return RateLimitedError(told, where=endpoint, retry_after=after)
    if status >= 500 or status in (408, 409, 425):
        return ModelUnavailableError(told, where=endpoint, retry_after=after)
    if status in (401, 403):
        # What a server says of a key may hold a part of it.
        return ModelRefusedError(
            f"the endpoint answered {status}: it does not take this key",
            where=endpoint,
            hint="api_key_env or api_key_file of the model in [llm] names the key",
        )
    if status in (400, 413, 422) and any(word in body.lower() for word in _TOO_LONG):
        return ContextLengthError(told, where=endpoint)
    return ModelRefusedError(told, where=endpoint)


def without(key: str, text: str) -> str:
    """`text` without the key, should a server have repeated it."""
    return text.replace(key, "…") if key else text


def body_text(body: object) -> str:
    """What a server said of an error, on a line."""
    if isinstance(body, dict):
        found = body.get("message") or body.get("detail") or body.get("error") or body
        body = found.get("message", found) if isinstance(found, dict) else found
    return " ".join(str(body or "").split())
