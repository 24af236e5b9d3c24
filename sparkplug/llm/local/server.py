"""A model on loopback, by OpenAI's chat API: streamed, with tools, and with its token shown.

`GET /v1/models`, `POST /v1/chat/completions`, `POST /tokenize`, `GET /status`. Usage comes with
each piece when it is asked for, with `joules` where the GPU counts them.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sparkplug.llm.local import http
from sparkplug.llm.local.engine import Engine, Job
from sparkplug.llm.local.loading import Loaded

_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
_CALL_MARKS = ("<tool_call>", "{", "```")
_DEFAULT_TOKENS = 512
_HEAD_LIMIT = 64 << 10


class ModelServer:
    """Answers on a port of loopback; `idle_since` is when nobody asked any more."""

    def __init__(
        self, name: str, loaded: Loaded, engine: Engine, token: str, *, counts_energy: bool
    ) -> None:
        self._name = name
        self._loaded = loaded
        self._engine = engine
        self._token = token
        self._counts_energy = counts_energy
        self._open = 0
        self.idle_since = time.monotonic()
        self._made = int(time.time())
        engine.deliver_on(asyncio.get_running_loop())

    async def start(self) -> tuple[asyncio.Server, int]:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_LIMIT)
        return server, int(server.sockets[0].getsockname()[1])

    @property
    def busy(self) -> bool:
        """Whether somebody is answered now."""
        return self._open > 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await http.read_request(reader)) is not None:
                if not self._allowed(request):
                    writer.write(http.error(401, "the token does not hold"))
                else:
                    await self._answer(request, reader, writer)
                await writer.drain()
                if request.headers.get("connection", "").lower() == "close":
                    break
        except ValueError as error:
            writer.write(http.error(400, str(error)))
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _allowed(self, request: http.HttpRequest) -> bool:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(shown.encode(), self._token.encode())

    async def _answer(
        self,
        request: http.HttpRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        match request.method, request.path:
            case "GET", "/v1/models":
                one = {"id": self._name, "object": "model", "owned_by": "sparkplug"}
                about = {"created": self._made, "max_model_len": self._loaded.context}
                writer.write(http.json_response(200, {"object": "list", "data": [one | about]}))
            case "GET", "/status":
                writer.write(http.json_response(200, self.status()))
            case "POST", "/tokenize":
                body = _read(request)
                tokens = self._loaded.tokenizer.encode(
                    str(body.get("prompt") or body.get("content") or ""), add_special_tokens=False
                )
                writer.write(http.json_response(200, {"count": len(tokens), "tokens": tokens}))
            case "POST", "/v1/chat/completions":
                self._open += 1
                try:
                    await self._complete(_read(request), reader, writer)
                finally:
                    self._open -= 1
                    self.idle_since = time.monotonic()
            case _:
                writer.write(http.error(404, f"nothing is at {request.path}"))

    def status(self) -> dict[str, Any]:
        """How it is."""
        engine = self._engine
        return {
            "running": engine.running,
            "waiting": engine.waiting,
            "tokens_in": engine.tokens_in,
            "tokens_out": engine.tokens_out,
        }

    async def _complete(
        self,
        body: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        tools = [tool["function"] for tool in body.get("tools") or () if "function" in tool]
        if body.get("tool_choice") == "none":
            tools = []
        tokens = self._prompt(body, tools)
        context = self._loaded.context
        if context and len(tokens) >= context:
            text = f"the maximum context length is {context}, the request has {len(tokens)} tokens"
            writer.write(http.error(400, text))
            return
        answer = _Answer(self._name, tokens, self._counts_energy)
        pieces = self._written(answer, body, reader)
        if not body.get("stream"):
            text, finish = "", "stop"
            async for piece, end in pieces:
                text += piece
                finish = end or finish
            writer.write(http.json_response(200, answer.whole(text, finish, tools)))
            return
        writer.write(http.STREAM_HEAD)
        options = body.get("stream_options") or {}
        each = bool(options.get("continuous_usage_stats"))
        held: str | None = "" if tools else None
        async for piece, end in pieces:
            if held is not None:
                held += piece
                if end is None and _may_be_call(held):
                    continue
                calls = _calls(held, tools) if end else []
                if calls:
                    writer.write(answer.event({"tool_calls": calls}, None, usage=each))
                    end = "tool_calls"
                elif held:
                    writer.write(answer.event({"content": held}, None, usage=each))
                held = "" if calls else None
            elif piece:
                writer.write(answer.event({"content": piece}, None, usage=each))
            if end:
                writer.write(answer.event({}, end, usage=each))
            await writer.drain()
        if options.get("include_usage"):
            writer.write(answer.event(None, None, usage=True))
        writer.write(http.chunk(b"data: [DONE]\n\n") + http.STREAM_END)

    async def _written(
        self, answer: _Answer, body: dict[str, Any], reader: asyncio.StreamReader
    ) -> AsyncGenerator[tuple[str, str | None], None]:
        """The pieces of an answer as they are written; ends the writing when the caller goes."""
        came: asyncio.Queue[tuple[str, str | None, int, float]] = asyncio.Queue()
        room = self._loaded.context - len(answer.tokens) if self._loaded.context else 1 << 20
        wanted = body.get("max_tokens") or body.get("max_completion_tokens") or _DEFAULT_TOKENS
        stop = body.get("stop") or ()

        def tell(text: str, finish: str | None) -> None:
            came.put_nowait((text, finish, job.written, job.joules))

        job = Job(
            answer.tokens,
            tell,
            most=max(1, min(int(wanted), room)),
            temperature=float(body.get("temperature") or 0.0),
            top_p=float(body.get("top_p") or 1.0),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            seed=body.get("seed"),
        )
        self._engine.submit(job)
        gone = asyncio.ensure_future(reader.read(1))
        gone.add_done_callback(lambda _: came.put_nowait(("", "gone", job.written, job.joules)))
        try:
            while True:
                text, finish, answer.written, answer.joules = await came.get()
                while finish is None and not came.empty():
                    more, finish, answer.written, answer.joules = came.get_nowait()
                    text += more
                answer.shared = job.shared
                if finish == "gone":
                    raise ConnectionResetError("the caller has gone")
                if finish == "error":
                    raise ConnectionResetError("the model failed")
                yield text, finish
                if finish is not None:
                    return
        finally:
            job.cancelled = True
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    def _prompt(self, body: dict[str, Any], tools: list[dict[str, Any]]) -> list[int]:
        """The conversation in the model's own form. Raises ValueError for what is none."""
        try:
            found = self._loaded.tokenizer.apply_chat_template(
                conversation(body, [] if self._loaded.tools else tools),
                tools=tools if tools and self._loaded.tools else None,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
            )
        except _NoConversationError:
            raise
        except Exception as error:
            raise ValueError(f"the model's template does not take this: {error}") from error
        return [int(token) for token in found]


class _NoConversationError(ValueError):
    """What was sent is none."""


def conversation(
    body: dict[str, Any], tools: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The messages as the model is told them: with the schema its answer is to have, in words.

    So it is told of `tools` that its template does not know. Raises ValueError for none.
    """
    messages = [_plain(message) for message in body.get("messages") or ()]
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = json.dumps(wanted.get("json_schema", {}).get("schema", {}))
        told = f"Answer with nothing but JSON of this schema: {schema}"
        messages.insert(0, {"role": "system", "content": told})
    if not messages:
        raise _NoConversationError("there are no messages")
    if tools:
        told = "To call a tool answer with nothing but JSON: "
        told += '{"name": "…", "arguments": {…}}. The tools: ' + json.dumps(tools)
        messages.insert(0, {"role": "system", "content": told})
    return messages


class _Answer:
    """One answer on its way: what OpenAI's API has about it."""

    def __init__(self, name: str, tokens: list[int], counts_energy: bool) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._name = name
        self._made = int(time.time())
        self._counts_energy = counts_energy
        about = f'"id":"{self._id}","object":"chat.completion.chunk","created":{self._made}'
        self._head = f'data: {{{about},"model":{json.dumps(name)},'
        self.tokens = tokens
        self.written = 0
        self.joules = 0.0
        self.shared = False

    def usage(self) -> dict[str, Any]:
        """Tokens so far, and joules."""
        found: dict[str, Any] = {
            "prompt_tokens": len(self.tokens),
            "completion_tokens": self.written,
            "total_tokens": len(self.tokens) + self.written,
        }
        if self._counts_energy:
            found |= {"joules": round(self.joules, 3), "joules_estimated": self.shared}
        return found

    def event(self, delta: dict[str, Any] | None, finish: str | None, *, usage: bool) -> bytes:
        """A piece of the stream."""
        choice = ""
        if delta is not None:
            choice = (
                f'{{"index":0,"delta":{json.dumps(delta)},"finish_reason":{json.dumps(finish)}}}'
            )
        counted = f',"usage":{json.dumps(self.usage())}' if usage else ""
        return http.chunk(f'{self._head}"choices":[{choice}]{counted}}}\n\n'.encode())

    def whole(self, text: str, finish: str, tools: list[dict[str, Any]]) -> dict[str, Any]:
        """The answer that is not streamed."""
        calls = _calls(text, tools)
        message: dict[str, Any] = {"role": "assistant", "content": None if calls else text}
        if calls:
            message["tool_calls"], finish = calls, "tool_calls"
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._made,
            "model": self._name,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": self.usage(),
        }


def _read(request: http.HttpRequest) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body is no object")
    return body


def _plain(message: Any) -> dict[str, Any]:
    """A message as templates take it: text, and the calls with their arguments as objects."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _NoConversationError("a message has a role and content")
    content = message.get("content")
    if isinstance(content, list):
        if any(isinstance(part, dict) and part.get("type") == "image_url" for part in content):
            raise _NoConversationError("this model sees no pictures")
        content = "\n".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    made: dict[str, Any] = {"role": message["role"], "content": str(content or "")}
    calls = []
    for call in message.get("tool_calls") or ():
        function = dict(call.get("function") or {})
        try:
            function["arguments"] = json.loads(function.get("arguments") or "{}")
        except ValueError:
            raise _NoConversationError("the arguments of a call are not JSON") from None
        calls.append({"type": "function", "function": function})
    if calls:
        made["tool_calls"] = calls
    return made


def _may_be_call(text: str) -> bool:
    """Whether what was written so far can become the call of a tool."""
    begun = text.lstrip()
    return not begun or any(begun.startswith(m) or m.startswith(begun) for m in _CALL_MARKS)


def _calls(text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls in an answer: marked as such, or JSON with a name and arguments."""
    if not tools:
        return []
    found = _CALL.findall(text)
    plain = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    calls: list[dict[str, Any]] = []
    for one in found or [plain]:
        try:
            data = json.loads(one)
        except (ValueError, RecursionError):
            return []
        for call in data if isinstance(data, list) else [data]:
            if not isinstance(call, dict) or not isinstance(call.get("name"), str):
                return []
            arguments = call.get("arguments", call.get("parameters", {}))
            calls.append(
                {
                    "index": len(calls),
                    "id": f"call_{uuid.uuid4().hex[:12]}",
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(arguments)},
                }
            )
    return calls
