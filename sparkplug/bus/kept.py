"""What agents keep on the mesh: messages of one stream, each under the agent's own name.

`sparkplug.checkpoint.<agent>.<thread>.<ns>.<kind>.<id>[.<more>]`, the newest of each subject. An
agent may write and read under its own name alone: the server sees to it, for a write by its
subject, for a read by the form of the direct get that has the subject in it (ADR-31). What that
form cannot do, looking for subjects and deleting, a node does (`sparkplug.node.checkpoints`).

A message larger than the server takes is kept in pieces, its own subject written last: what can
be found is whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
from typing import Any

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import ConflictError, SparkplugError

#: Tokens of free text longer than this are hashed.
_LONGEST_TOKEN = 240
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=")
_WRONG_LAST_SEQUENCE = 10071
#: Room for the headers and the subject of a piece.
_ROOM = 4096
_MOST_PIECES = 1000
#: Seconds that a write or read is tried for while the server is away.
_PATIENCE_S = 20.0
_AGAIN_S = 0.1


def kept_token(text: str) -> str:
    """Any text as one subject token, percent-encoded; the empty one is `%`, a long one a hash."""
    if not text:
        return "%"
    data = text.encode("utf-8", "surrogatepass")
    coded = "".join(chr(b) if b in _PLAIN else f"%{b:02X}" for b in data)
    if len(coded) <= _LONGEST_TOKEN:
        return coded
    return "%%" + hashlib.sha256(data).hexdigest()


def pack(head: dict[str, Any], *parts: bytes) -> bytes:
    """A head in JSON and parts of bytes, in one message: lengths first."""
    coded = json.dumps(head, separators=(",", ":")).encode()
    lengths = struct.pack(f"<{len(parts) + 2}I", len(parts), len(coded), *map(len, parts))
    return b"".join((lengths, coded, *parts))


def unpack(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What `pack` made. Raises ValueError for anything else."""
    try:
        count, size = struct.unpack_from("<2I", data)
        if count > _MOST_PIECES:
            raise ValueError("not a kept message")
        lengths = struct.unpack_from(f"<{count}I", data, 8)
        at = 8 + 4 * count
        head = json.loads(data[at : at + size])
        at += size
        parts = []
        for length in lengths:
            parts.append(data[at : at + length])
            at += length
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError("not a kept message") from error
    if at != len(data) or not isinstance(head, dict):
        raise ValueError("not a kept message")
    return head, parts


class Kept:
    """What one agent keeps. Outlives the server: what it does not take now is tried again."""

    def __init__(self, bus: Bus, agent: str) -> None:
        self._bus = bus
        self.prefix = f"sparkplug.checkpoint.{agent}."

    async def put(self, name: str, data: bytes, *, new: bool = False) -> bool:
        """Keep `data` under a name; with `new` only if there is nothing yet, else False.

        Raises SparkplugError when the server refuses, or is away for longer than 20 s.
        """
        limit = self._bus.nc.max_payload - _ROOM
        if len(data) > limit:
            data = await self._put_pieces(name, data, limit)
        headers = {"Nats-Expected-Last-Subject-Sequence": "0"} if new else None
        try:
            await self._publish(name, data, headers)
        except ConflictError:
            return False
        return True

    async def _put_pieces(self, name: str, data: bytes, limit: int) -> bytes:
        """Keep the pieces, and give what stands for them. Another version has other pieces."""
        version = hashlib.sha256(data).hexdigest()[:16]
        count = -(-len(data) // limit)
        if count > _MOST_PIECES:
            raise SparkplugError(f"{len(data)} bytes are too many to be kept", where=name)
        thread, ns, kind, rest = name.split(".", 3)
        for number in range(count):
            piece = data[number * limit : (number + 1) * limit]
            await self._publish(f"{thread}.{ns}.p.{rest}.{kind}{version}.{number}", piece, None)
        return pack({"pieces": count, "version": version, "size": len(data)})

    async def get(self, name: str) -> bytes | None:
        """What is kept under a name; None for nothing. Raises as `put` does."""
        data = await self._read(name)
        if data is None or len(data) > _ROOM:
            return data
        try:
            head, _ = unpack(data)
        except ValueError:
            return data
        if "pieces" not in head:
            return data
        thread, ns, kind, rest = name.split(".", 3)
        pieces = []
        for number in range(int(head["pieces"])):
            piece = await self._read(f"{thread}.{ns}.p.{rest}.{kind}{head['version']}.{number}")
            if piece is None:
                # Deleted while it was read, or replaced by another version.
                return None
            pieces.append(piece)
        return b"".join(pieces)

    async def _publish(self, name: str, data: bytes, headers: dict[str, Any] | None) -> None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                await self._bus.answer(
                    self._bus.js.publish(self.prefix + name, data, headers=headers)
                )
                return
            except nats.js.errors.APIError as error:
                if error.err_code == _WRONG_LAST_SEQUENCE:
                    raise ConflictError("there is one already", where=name) from error
                raise SparkplugError(
                    f"the mesh refused to keep a checkpoint: {error.description}",
                    where=name,
                    hint="its storage may be full: `sparkplug doctor` says so",
                ) from error
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                await self._wait(error, deadline)

    async def _read(self, name: str) -> bytes | None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        stream, subject = subjects.STREAM_CHECKPOINTS, self.prefix + name
        while True:
            try:
                found = await self._bus.answer(
                    self._bus.js.get_last_msg(stream, subject, direct=True)
                )
                return found.data or b""
            except nats.js.errors.NotFoundError:
                return None
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                await self._wait(error, deadline)

    async def _wait(self, error: Exception, deadline: float) -> None:
        if asyncio.get_running_loop().time() > deadline or self._bus.nc.is_closed:
            raise SparkplugError(
                f"the mesh keeps no checkpoint now: {error or type(error).__name__}",
                where=self._bus.shown_url,
                hint="is its server up? `sparkplug doctor` tells",
            ) from error
        await asyncio.sleep(_AGAIN_S)
