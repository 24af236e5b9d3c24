"""One HTTP GET with a deadline and a size limit, for servers that are not ours.

A server that drips a byte a second keeps nobody longer than the deadline, and one that babbles
is cut off. Source: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

MOST_BYTES = 4 << 20
_HEAD_BYTES = 64 << 10


class NoAnswerError(Exception):
    """The server did not answer, or said something that is not HTTP; says why."""


@dataclass(frozen=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes


async def get(base: str, path: str, *, deadline: float) -> Answer:
    """What `base` answers at `path`, within `deadline` seconds. Raises NoAnswerError."""
    parts = urlsplit(base)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    target = parts.path.rstrip("/") + path
    try:
        async with asyncio.timeout(deadline):
            reader, writer = await asyncio.open_connection(host, port, limit=_HEAD_BYTES)
            try:
                writer.write(
                    f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
                    "User-Agent: sparkplug\r\nConnection: close\r\n\r\n".encode()
                )
                await writer.drain()
                return await _read(reader)
            finally:
                with suppress(OSError):
                    writer.transport.abort()
    except TimeoutError as error:
        raise NoAnswerError(f"no answer within {deadline:g} s") from error
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        raise NoAnswerError(str(error) or type(error).__name__) from error


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = head[0].partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("what it says is not HTTP")
    status = int(rest[:3])
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return Answer(status, await _chunks(reader))
    length = fields.get("content-length")
    if length is not None:
        if int(length) > MOST_BYTES:
            raise ValueError(f"its answer is larger than {MOST_BYTES} bytes")
        return Answer(status, await reader.readexactly(int(length)))
    body = bytearray()
    while piece := await reader.read(1 << 16):
        _grow(body, piece)
    return Answer(status, bytes(body))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            return bytes(body)
        if size < 0 or size > MOST_BYTES:
            raise ValueError(f"its answer is larger than {MOST_BYTES} bytes")
        _grow(body, await reader.readexactly(size))
        await reader.readexactly(2)


def _grow(body: bytearray, piece: bytes) -> None:
    if len(body) + len(piece) > MOST_BYTES:
        raise ValueError(f"its answer is larger than {MOST_BYTES} bytes")
    body += piece
