"""The little of HTTP/1.1 that a model server on loopback needs (RFC 9112)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

_MOST_BODY = 32 << 20
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True)
class HttpRequest:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request; None when the caller has gone. Raises ValueError for what is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError:
        raise ValueError("the head of the request is too long") from None
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise ValueError("not an HTTP request")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise ValueError("a body has to come with its length")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > _MOST_BODY:
        raise ValueError("the body is too long")
    try:
        body = await reader.readexactly(int(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return HttpRequest(words[0], words[1].partition("?")[0], headers, body)


def json_response(status: int, data: Any) -> bytes:
    """A whole answer."""
    body = json.dumps(data).encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a streamed answer."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def error(status: int, message: str) -> bytes:
    """An error as OpenAI's API has it."""
    return json_response(status, {"error": {"message": message, "type": "invalid_request_error"}})
