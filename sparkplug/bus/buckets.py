"""Key-value buckets: typed reads and writes with revisions, and watches that outlive the server."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy
from pydantic import BaseModel, ValidationError

from sparkplug.bus.connection import Bus
from sparkplug.bus.reading import Mark, follow, sequence
from sparkplug.schema.errors import ConflictError, InvalidError, SparkplugError
from sparkplug.schema.text import one_line

log = logging.getLogger(__name__)

_WRONG_LAST_SEQUENCE = 10071

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value, the revision (stream sequence) it was written under, and when.

    `time` is of the server's clock; None where it was not asked for.
    """

    key: str
    value: bytes | None
    revision: int
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """One write to a key, from its history. That of a removal may hold a note."""

    revision: int
    data: bytes
    removal: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch reports: an entry, or `None` once everything already there was reported.

    `reset` marks the start of a fresh reading (at first, and after the server came back):
    keys that are not reported before the following `None` no longer exist.
    """

    entry: Entry | None
    reset: bool = False


#: Bytes of a key; a subject of 4096 is what servers take at most.
_LONGEST_KEY = 1024


class Bucket:
    """One key-value bucket."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self.name = name
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def get(self, key: str) -> Entry | None:
        """The newest value of a key, or None."""
        if not can_be_key(key):
            return None
        try:
            message = await self._bus.js.get_last_msg(self._stream, self._prefix + key, direct=True)
        except (nats.js.errors.NotFoundError, nats.errors.BadSubjectError):
            # What cannot be a key is no key.
            return None
        headers = message.headers or {}
        if "KV-Operation" in headers or "Nats-Marker-Reason" in headers:
            return None
        return Entry(key, message.data or b"", message.seq or 0)

    async def put(
        self,
        key: str,
        value: BaseModel | bytes,
        *,
        revision: int | None = None,
        fence: tuple[str, int] | None = None,
    ) -> int:
        """Write a key and return its revision.

        With `revision` only if the key still has it (0: only if absent); with `fence`
        (key, sequence) only while that fence of this bucket stands. Raises ConflictError.
        """
        data = value if isinstance(value, bytes) else value.model_dump_json().encode()
        return await self._write(key, data, {}, revision, fence)

    async def delete(
        self,
        key: str,
        *,
        revision: int | None = None,
        fence: tuple[str, int] | None = None,
        note: BaseModel | None = None,
    ) -> int:
        """Remove a key, under the same conditions as `put`; the revision of the removal.

        A `note` stays in the key's history: who removed it, and why. Readers of the key do not
        see it.
        """
        data = note.model_dump_json().encode() if note is not None else b""
        return await self._write(key, data, {"KV-Operation": "DEL"}, revision, fence)

    async def history(self, key: str) -> list[Revision]:
        """Every revision of a key that is kept, the oldest first. None for what is no key."""
        if not can_be_key(key):
            return []
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, filter_subject=self._prefix + key)
        found: list[Revision] = []
        async with contextlib.aclosing(follow(self._bus, self._stream, lambda _: config)) as items:
            async for item in items:
                if item is Mark.BEGIN:
                    found = []
                elif item is Mark.READY:
                    break
                elif isinstance(item, Msg):
                    revision = item.metadata.sequence.stream
                    found.append(Revision(revision, item.data, removal=_is_gone(item)))
        return found

    async def raise_fence(self, key: str, standing: int | None = None) -> int:
        """Leave a fence: later writes carry its sequence, so an older holder is refused.

        With `standing` only if that fence still stands (0: none does). Raises ConflictError.
        """
        return await self._write(f"f.{key}", b"", {}, standing, None)

    async def fence(self, key: str) -> int:
        """The sequence of the fence that stands; 0: none was ever raised."""
        entry = await self.get(f"f.{key}")
        return entry.revision if entry is not None else 0

    async def _write(
        self,
        key: str,
        data: bytes,
        headers: dict[str, str],
        revision: int | None,
        fence: tuple[str, int] | None,
    ) -> int:
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        elif fence is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(fence[1])
            headers["Nats-Expected-Last-Subject-Sequence-Subject"] = f"{self._prefix}f.{fence[0]}"
        try:
            published = self._bus.js.publish(self._prefix + key, data, headers=headers or None)
            ack = await self._bus.answer(published)
        except nats.errors.BadSubjectError as error:
            raise InvalidError(f"{one_line(key)} cannot be a key", where=self.name) from error
        except nats.js.errors.APIError as error:
            if error.err_code == _WRONG_LAST_SEQUENCE:
                raise ConflictError(
                    f"{key} was changed by somebody else first", where=self.name
                ) from error
            raise SparkplugError(
                f"the server refused to store {key}: {error.description}",
                where=self.name,
                hint="its storage may be full: `sparkplug doctor` says so",
            ) from error
        return int(ack.seq)

    async def entries(self, pattern: str = ">") -> list[Entry]:
        """Every key that matches now, in the order written. Fences are left out."""
        found: dict[str, Entry] = {}
        async with contextlib.aclosing(self.watch(pattern)) as changes:
            async for change in changes:
                if change.entry is None:
                    if not change.reset:
                        break
                elif change.entry.value is None:
                    found.pop(change.entry.key, None)
                else:
                    found[change.entry.key] = change.entry
        return sorted(found.values(), key=lambda entry: entry.revision)

    async def read_all(self, model: type[ModelT], pattern: str = ">") -> dict[str, ModelT]:
        """Every value that matches, by key. A value that does not hold is logged and left out."""
        found = {}
        for entry in await self.entries(pattern):
            parsed = decode(model, entry)
            if parsed is not None:
                found[entry.key] = parsed
        return found

    async def watch(self, pattern: str = ">") -> AsyncGenerator[Change, None]:
        """Follow the bucket for ever; starts afresh by itself whenever the server came back.

        Raises NotFoundError when the mesh has no such bucket.
        """
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, filter_subject=self._prefix + pattern
        )
        reading = follow(self._bus, self._stream, lambda _: config)
        async with contextlib.aclosing(reading) as items:
            async for item in items:
                if isinstance(item, Mark):
                    yield Change(None, reset=item is Mark.BEGIN)
                    continue
                entry = self._entry(item, sequence(item))
                if entry is not None:
                    yield Change(entry)

    def _entry(self, message: Msg, revision: int) -> Entry | None:
        key = message.subject.removeprefix(self._prefix)
        if key.startswith("f."):
            return None
        data = None if _is_gone(message) else message.data
        return Entry(key, data, revision, message.metadata.timestamp)


def can_be_key(key: str) -> bool:
    """Whether a bucket can have it: tokens with dots between, none empty, no wildcard.

    A server ends the connection that says a longer subject than it takes.
    """
    short = len(key.encode(errors="replace")) <= _LONGEST_KEY
    return short and all(key.split(".")) and not any(c.isspace() or c in "*>" for c in key)


def _is_gone(message: Msg) -> bool:
    headers = message.headers or {}
    return "KV-Operation" in headers or "Nats-Marker-Reason" in headers


def decode(model: type[ModelT], entry: Entry) -> ModelT | None:
    """An entry's value as a model; None (and a log line) when it does not hold."""
    if entry.value is None:
        return None
    try:
        return model.model_validate_json(entry.value)
    except ValidationError as error:
        log.warning("%s is not a %s: %s", entry.key, model.__name__, error.errors()[:1])
        return None
