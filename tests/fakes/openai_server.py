"""A scripted model server on a socket of its own: OpenAI's chat API, Anthropic's, and /tokenize.

Each answer is told ahead, faults too. It counts the tokens it takes in and sends: a word of a
message is a token, and so is a streamed piece. What it counted is what a ledger has to equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer. `pieces` are streamed; `raw` replaces the whole body; `hang` never ends it.

    With `split`, every event goes out in two TCP writes, cut in its middle. `calls` are tool
    calls (name, arguments as text), `cut` ends the connection after the pieces, `headers` are
    sent along, `before` seconds pass first, or `until` is awaited, `gap` passes between two pieces.
    Without `usage` the server tells no tokens.
    """

    pieces: Sequence[str] = ()
    status: int = 200
    raw: bytes | None = None
    hang: bool = False
    split: bool = False
    calls: Sequence[tuple[str, str]] = ()
    cut: bool = False
    headers: Sequence[str] = ()
    before: float = 0.0
    until: asyncio.Event | None = None
    gap: float = 0.0
    usage: bool = True
    finish: str = ""

    @classmethod
    def text(cls, text: str, size: int = 40, **more: Any) -> Reply:
        """A text, streamed in pieces of `size` characters."""
        return cls([text[start : start + size] for start in range(0, len(text), size)], **more)


def words(messages: Sequence[dict[str, Any]]) -> int:
    """Tokens of messages, as this server counts them."""
    count = 0
    for message in messages:
        content = message.get("content") or ""
        if isinstance(content, list):
            content = " ".join(str(part.get("text", "")) for part in content)
        count += len(content.split())
    return count


@dataclass
class OpenAiServer:
    """The server: it gives `replies` in order, the last one again and again.

    A `script` gives the reply to a request instead.
    """

    replies: list[Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    models: Sequence[str] = ("scripted",)
    script: Callable[[dict[str, Any]], Reply] | None = None
    #: What it counted, and the keys it was shown.
    tokens_in: int = 0
    tokens_out: int = 0
    keys: set[str] = field(default_factory=set)
    #: Whether it knows `continuous_usage_stats` and `response_format`, or refuses them.
    knows: bool = True
    open: int = 0
    most_open: int = 0

    @property
    def endpoint(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, one request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(
                line.lower().split(": ", 1) for line in head.splitlines()[1:] if ": " in line
            )
            plain = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
            for name, value in plain.items():
                if name.lower() in ("authorization", "x-api-key"):
                    self.keys.add(value.removeprefix("Bearer "))
            path = head.split()[1]
            if head.startswith("GET ") and path.split("?")[0].endswith("/models"):
                listed = [
                    {"id": name, "type": "model", "display_name": name, "created_at": "2026-01-01"}
                    for name in self.models
                ]
                await self._json(writer, 200, {"object": "list", "data": listed})
                return
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            request = json.loads(body or b"{}")
            if path.endswith("/tokenize"):
                tokens = str(request.get("prompt", "")).split()
                await self._json(writer, 200, {"count": len(tokens), "tokens": tokens})
                return
            if not self.knows and "continuous_usage_stats" in request.get("stream_options", {}):
                error = {"error": {"message": "unknown key in stream_options"}}
                await self._json(writer, 400, error)
                return
            if not self.knows and "response_format" in request:
                await self._json(writer, 400, {"error": {"message": "no response_format here"}})
                return
            told = {"path": path, **request}
            if self.script is not None:
                reply = self.script(told)
            else:
                reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
            self.requests.append(told)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            try:
                await self._answer(reply, told, writer)
            finally:
                self.open -= 1
        writer.close()

    async def _json(self, writer: asyncio.StreamWriter, status: int, data: Any) -> None:
        body = json.dumps(data)
        writer.write(
            f"HTTP/1.1 {status} X\r\n".encode()
            + b"Content-Type: application/json\r\nConnection: close\r\n"
            + f"Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()
        )
        await writer.drain()
        writer.close()

    async def _answer(
        self, reply: Reply, request: dict[str, Any], writer: asyncio.StreamWriter
    ) -> None:
        if reply.before:
            await asyncio.sleep(reply.before)
        if reply.until is not None:
            await reply.until.wait()
        streams = reply.status == 200 and not (reply.raw or b"").startswith(b"{")
        kind = "text/event-stream" if streams else "application/json"
        head = (
            f"HTTP/1.1 {reply.status} X",
            f"Content-Type: {kind}",
            "Connection: close",
            *reply.headers,
            *("", ""),
        )
        writer.write("\r\n".join(head).encode())
        if reply.raw is not None:
            writer.write(reply.raw)
            await writer.drain()
        elif reply.status == 200:
            asked = words(request.get("messages", ()))
            if isinstance(request.get("system"), str):
                asked += len(request["system"].split())
            self.tokens_in += asked
            if request["path"].endswith("/messages"):
                events = self._anthropic(reply, asked)
            else:
                events = self._openai(reply, request, asked)
            for event in events:
                half = len(event) // 2 if reply.split else 0
                writer.write(event[:half])
                await writer.drain()
                writer.write(event[half:])
                await writer.drain()
                if reply.gap:
                    await asyncio.sleep(reply.gap)
        if reply.hang:
            await asyncio.Event().wait()
        await writer.drain()

    def _openai(self, reply: Reply, request: dict[str, Any], asked: int) -> list[bytes]:
        options = request.get("stream_options", {})
        always = reply.usage and options.get("continuous_usage_stats")
        events: list[bytes] = []
        sent = 0

        def event(delta: dict[str, Any] | None, finish: str | None = None) -> None:
            data: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "choices": []}
            if delta is not None:
                data["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]
            if always or (delta is None and reply.usage):
                data["usage"] = {
                    "prompt_tokens": asked,
                    "completion_tokens": sent,
                    "total_tokens": asked + sent,
                }
            events.append(f"data: {json.dumps(data)}\n\n".encode())

        for piece in reply.pieces:
            sent += 1
            event({"content": piece})
        for place, (name, arguments) in enumerate(reply.calls):
            first = {"name": name, "arguments": ""}
            sent += 1
            event({"tool_calls": [{"index": place, "id": f"c{place}", "function": first}]})
            for start in range(0, len(arguments), 8):
                part = {"arguments": arguments[start : start + 8]}
                sent += 1
                event({"tool_calls": [{"index": place, "function": part}]})
        self.tokens_out += sent
        if not reply.cut and not reply.hang:
            event({}, reply.finish or ("tool_calls" if reply.calls else "stop"))
            if options.get("include_usage"):
                event(None)
            events.append(b"data: [DONE]\n\n")
        return events

    def _anthropic(self, reply: Reply, asked: int) -> list[bytes]:
        events: list[bytes] = []
        sent = 0

        def event(kind: str, **data: Any) -> None:
            body = json.dumps({"type": kind, **data})
            events.append(f"event: {kind}\ndata: {body}\n\n".encode())

        message = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "scripted",
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": asked, "output_tokens": 0},
        }
        event("message_start", message=message)
        if reply.pieces:
            event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            for piece in reply.pieces:
                sent += 1
                event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            event("content_block_stop", index=0)
        for place, (name, arguments) in enumerate(reply.calls, 1):
            block = {"type": "tool_use", "id": f"t{place}", "name": name, "input": {}}
            event("content_block_start", index=place, content_block=block)
            for start in range(0, len(arguments), 8):
                part = {"type": "input_json_delta", "partial_json": arguments[start : start + 8]}
                sent += 1
                event("content_block_delta", index=place, delta=part)
            event("content_block_stop", index=place)
        self.tokens_out += sent
        if not reply.cut and not reply.hang:
            reason = reply.finish or ("tool_use" if reply.calls else "end_turn")
            event(
                "message_delta",
                delta={"stop_reason": reason, "stop_sequence": None},
                usage={"output_tokens": sent},
            )
            event("message_stop")
        return events


@contextlib.asynccontextmanager
async def openai_server(*replies: Reply) -> AsyncIterator[OpenAiServer]:
    """A server on a free port of the loopback, for the length of the block."""
    fake = OpenAiServer(list(replies))
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await fake.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()  # the end of the block; nobody awaits this task
        finally:
            connections.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()
