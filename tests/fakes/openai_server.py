"""A scripted server of the OpenAI chat API, on a socket of its own: each answer is told ahead."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer. `pieces` are streamed; `raw` replaces the whole body; `hang` never ends it.

    With `split`, every event goes out in two TCP writes, cut in its middle.
    """

    pieces: Sequence[str] = ()
    status: int = 200
    raw: bytes | None = None
    hang: bool = False
    split: bool = False

    @classmethod
    def text(cls, text: str, size: int = 40) -> Reply:
        """A text, streamed in pieces of `size` characters."""
        return cls([text[start : start + size] for start in range(0, len(text), size)])


@dataclass
class OpenAiServer:
    """The server: it gives `replies` in order, the last one again and again."""

    replies: list[Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    models: Sequence[str] = ("scripted",)

    @property
    def endpoint(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, one request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [
                line for line in head.splitlines() if line.lower().startswith("content-length")
            ]
            if head.startswith("GET ") and head.split()[1].endswith("/models"):
                await self._list_models(writer)
                return
            body = await reader.readexactly(int(lengths[0].split(":")[1]))
            reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
            request = json.loads(body)
            self.requests.append({"path": head.split()[1], **request})
            await self._answer(reply, writer)
        writer.close()

    async def _list_models(self, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"object": "list", "data": [{"id": name} for name in self.models]})
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()
        writer.close()

    async def _answer(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        streams = reply.status == 200 and not (reply.raw or b"").startswith(b"{")
        kind = "text/event-stream" if streams else "application/json"
        head = (f"HTTP/1.1 {reply.status} X", f"Content-Type: {kind}", "Connection: close", "", "")
        writer.write("\r\n".join(head).encode())
        if reply.raw is not None:
            writer.write(reply.raw)
        for piece in reply.pieces:
            data = {"choices": [{"index": 0, "delta": {"content": piece}}]}
            event = f"data: {json.dumps(data)}\n\n".encode()
            half = len(event) // 2 if reply.split else 0
            writer.write(event[:half])
            await writer.drain()
            writer.write(event[half:])
            await writer.drain()
        if reply.hang:
            await asyncio.Event().wait()
        if reply.raw is None and reply.status == 200:
            writer.write(b"data: [DONE]\n\n")
        await writer.drain()


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
