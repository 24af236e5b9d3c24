"""Snapshots of streams, with their consumers: taken from a running server, and put back.

The protocol is that of JetStream's API, `$JS.API.STREAM.SNAPSHOT` and `.RESTORE`: chunks that are
acknowledged one by one, ended by an empty message. Source: nats-server, jetstream_api.go, and
github.com/nats-io/jsm.go, stream_snapshot.go. A snapshot is consistent in itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import nats.errors

from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import SparkplugError

#: What the server takes at once.
CHUNK_BYTES = 128 << 10
_ASK_S = 10.0
#: A server that syncs a large stream before it starts to send may take a while.
_CHUNK_S = 60.0


async def list_streams(bus: Bus) -> list[str]:
    """The names of all streams of the account, those of buckets and objects among them."""
    names: list[str] = []
    while True:
        page = await _ask(bus, "$JS.API.STREAM.NAMES", {"offset": len(names)})
        found = page.get("streams") or []
        names += found
        if not found or len(names) >= int(page.get("total", 0)):
            return sorted(names)


async def snapshot(bus: Bus, stream: str) -> AsyncGenerator[bytes | dict[str, Any], None]:
    """A stream: first what it is (`config` and `state`), then its content in pieces.

    Raises SparkplugError when the server gives up on the way.
    """
    inbox = bus.nc.new_inbox()
    chunks = await bus.nc.subscribe(inbox, pending_msgs_limit=1 << 16)
    try:
        request = {"deliver_subject": inbox, "chunk_size": CHUNK_BYTES, "jsck": True}
        told = await _ask(bus, f"$JS.API.STREAM.SNAPSHOT.{stream}", request)
        yield {"config": told["config"], "state": told["state"]}
        while True:
            try:
                chunk = await chunks.next_msg(timeout=_CHUNK_S)
            except (TimeoutError, nats.errors.Error) as error:
                raise SparkplugError(
                    f"the server stopped in the middle of {stream}", where=bus.shown_url
                ) from error
            if not chunk.data:
                _check_end(stream, chunk.headers or {})
                return
            yield chunk.data
            if chunk.reply:
                await bus.nc.publish(chunk.reply)
    finally:
        await chunks.unsubscribe()


def _check_end(stream: str, headers: dict[str, str]) -> None:
    status = headers.get("Status", "")
    if status and not status.startswith("2"):
        why = headers.get("Description", "")
        raise SparkplugError(f"the server gave up on {stream}: {status} {why}".rstrip())


async def restore(bus: Bus, stream: str, about: dict[str, Any], chunks: Iterator[bytes]) -> None:
    """Make a stream anew from its snapshot. Raises SparkplugError when the server refuses."""
    told = await _ask(bus, f"$JS.API.STREAM.RESTORE.{stream}", about)
    subject = str(told["deliver_subject"])
    for chunk in chunks:
        await _send(bus, stream, subject, chunk)
        await asyncio.sleep(0)
    await _send(bus, stream, subject, b"")


async def _send(bus: Bus, stream: str, subject: str, chunk: bytes) -> None:
    try:
        answer = await bus.nc.request(subject, chunk, timeout=_CHUNK_S)
    except (TimeoutError, nats.errors.Error) as error:
        raise SparkplugError(f"the server stopped taking {stream}: {error}") from error
    if answer.data:
        _check(json.loads(answer.data), f"{stream} cannot be restored")


async def _ask(bus: Bus, subject: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = await bus.nc.request(subject, json.dumps(request).encode(), timeout=_ASK_S)
        data = json.loads(answer.data)
    except (TimeoutError, nats.errors.Error, ValueError) as error:
        raise SparkplugError(f"JetStream did not answer: {error or 'no answer in time'}") from error
    _check(data, "JetStream refuses")
    return dict(data)


def _check(data: dict[str, Any], what: str) -> None:
    error = data.get("error")
    if error:
        raise SparkplugError(f"{what}: {error.get('description') or error}")
