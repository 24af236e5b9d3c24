"""Writing the journal of runs. Reading it is `sparkplug.bus.journal`.

A run has one writer at a time: on taking the run's lease it leaves a fence, reads the journal
only after, and every later write carries the fence's sequence, so that the server itself
refuses what an older holder still tries to write (error 10071).
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import read_journal
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NoMeshError,
    NotFoundError,
    SparkplugError,
)
from sparkplug.schema.journal_fold import LAST_WORDS
from sparkplug.schema.run import JournalEntry

log = logging.getLogger(__name__)

#: The largest entry of a journal, in bytes: half of the least `max_payload` NATS comes with.
MAX_ENTRY_BYTES = 512 << 10

_WRONG_LAST_SEQUENCE = 10071
# Why JetStream would refuse the same write again: its storage is full.
_FULL = frozenset({10023, 10047, 10077, 10122})
_WRITE_DEADLINE_S = 1.0
_PAUSE_S = 0.1
_UNFENCED_DEADLINE_S = 4.0
_CANCEL_TRIES = 20


def check_size(value: Any, what: str) -> None:
    """Raise InvalidError when `value` as JSON is larger than an entry may be."""
    size = len(json.dumps(value, ensure_ascii=False, default=str).encode())
    if size > MAX_ENTRY_BYTES:
        raise InvalidError(
            f"{what} is {size} bytes; the journal of a run takes at most {MAX_ENTRY_BYTES}",
            hint="put what is large into a file, and answer with its name",
        )


async def accept(bus: Bus, entry: JournalEntry) -> None:
    """Begin a run with its `accepted` entry.

    Raises ConflictError when a run of this id exists, InvalidError when plan and inputs are
    too large, NoMeshError when the entry could not be stored in time.
    """
    deadline = time.monotonic() + _UNFENCED_DEADLINE_S
    identity = f"{entry.run}.accepted.{secrets.token_hex(8)}"
    headers = {"Nats-Expected-Last-Subject-Sequence": "0", "Nats-Msg-Id": identity}
    try:
        await _store(bus, entry, headers, lambda: time.monotonic() < deadline)
    except ConflictError as error:
        # The server looks at the sequence before it looks for doubles: when its answer was lost
        # and the message was sent again, the entry in the way is our own.
        if await _first_identity(bus, entry.run) != identity:
            raise ConflictError("there is such a run already", where=entry.run) from error


async def ask_cancel(bus: Bus, run: str, actor: str) -> None:
    """Leave in the journal that a run shall be cancelled, for the planner that holds it.

    Raises NotFoundError, or ConflictError when the run has already ended.
    """
    entry = JournalEntry(run=run, kind="cancel-asked", actor=actor)
    deadline = time.monotonic() + _UNFENCED_DEADLINE_S
    for _ in range(_CANCEL_TRIES):
        last = await _last(bus, run)
        if last is None:
            raise NotFoundError(f"no run {run}", hint="`sparkplug runs list` shows them")
        sequence, before = last
        if before.kind in LAST_WORDS:
            raise ConflictError(f"the run has already ended: {before.kind}", where=run)
        # Only if nothing came between: nothing may follow the entry that ends a run.
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(sequence),
            "Nats-Msg-Id": f"{run}.cancel.{secrets.token_hex(8)}",
        }
        try:
            await _store(bus, entry, headers, lambda: time.monotonic() < deadline)
        except ConflictError:
            continue
        return
    raise ConflictError("the run moves on too fast to be cancelled", where=run, hint="ask again")


class JournalWriter:
    """The one writer of a run, for as long as `held` says that its lease is."""

    def __init__(self, bus: Bus, run: str, held: Callable[[], bool]) -> None:
        self._bus = bus
        self._run = run
        self._held = held
        self._fence = 0
        self._written = 0
        self.opened: datetime | None = None

    async def open(self) -> list[JournalEntry]:
        """Shut out earlier writers, then read the run.

        `opened` is the server's time of it, to be compared with those of the entries. Raises
        NoMeshError when the lease ends meanwhile.
        """
        data = b""
        headers = {"Nats-Msg-Id": f"{self._run}.fence.{secrets.token_hex(8)}"}
        subject = subjects.journal_fence(self._run)
        self._fence = await _publish(self._bus, subject, data, headers, self._held)
        try:
            fence = await self._bus.js.get_msg(
                subjects.STREAM_JOURNAL, seq=self._fence, direct=True
            )
            self.opened = fence.time
            return await read_journal(self._bus, self._run)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            raise NoMeshError(f"the journal cannot be read: {error}", where=self._run) from error

    async def write(self, entry: JournalEntry) -> None:
        """Append an entry; it is stored when this returns.

        Raises ConflictError when another planner has taken the run, NoMeshError when the lease
        ends before the server could be reached, InvalidError for an entry that is too large,
        and SparkplugError when the server's storage is full.
        """
        self._written += 1
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(self._fence),
            "Nats-Expected-Last-Subject-Sequence-Subject": subjects.journal_fence(self._run),
            "Nats-Msg-Id": f"{self._run}.{self._fence}.{self._written}",
        }
        await _store(self._bus, entry, headers, self._held)


async def _first_identity(bus: Bus, run: str) -> str | None:
    """The message id of the entry that began a run."""
    try:
        first = await bus.js.get_msg(
            subjects.STREAM_JOURNAL, seq=1, subject=subjects.journal(run), next=True, direct=True
        )
    except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
        raise NoMeshError(f"the journal cannot be read: {error}", where=run) from error
    return (first.headers or {}).get("Nats-Msg-Id")


async def _last(bus: Bus, run: str) -> tuple[int, JournalEntry] | None:
    try:
        message = await bus.js.get_last_msg(
            subjects.STREAM_JOURNAL, subjects.journal(run), direct=True
        )
    except nats.js.errors.NotFoundError:
        return None
    return message.seq or 0, JournalEntry.model_validate_json(message.data or b"")


async def _store(
    bus: Bus, entry: JournalEntry, headers: dict[str, str], go_on: Callable[[], bool]
) -> None:
    data = entry.model_dump_json(exclude_defaults=True).encode()
    if len(data) > MAX_ENTRY_BYTES:
        raise InvalidError(
            f"an entry of {len(data)} bytes; the journal takes at most {MAX_ENTRY_BYTES}",
            where=entry.run,
            hint="put what is large into a file, and name the file",
        )
    await _publish(bus, subjects.journal(entry.run), data, headers, go_on)


async def _publish(
    bus: Bus, subject: str, data: bytes, headers: dict[str, str], go_on: Callable[[], bool]
) -> int:
    """Store and return the sequence. Sent again under the same id while `go_on` says so."""
    while True:
        try:
            ack = await bus.js.publish(
                subject, data, headers=dict(headers), timeout=_WRITE_DEADLINE_S
            )
        except nats.js.errors.APIError as error:
            if error.err_code == _WRONG_LAST_SEQUENCE:
                raise ConflictError("another planner has taken the run", where=subject) from error
            if error.err_code in _FULL:
                raise SparkplugError(
                    f"the server refused to store: {error.description}",
                    where=subject,
                    hint="its storage is full: `sparkplug doctor` says so",
                ) from error
            cause: Exception = error
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            cause = error
        else:
            return int(ack.seq)
        if not go_on() or bus.nc.is_closed:
            raise NoMeshError(f"cut off from the journal: {cause}", where=subject) from cause
        log.debug("the journal waits for the server: %s", cause)
        await asyncio.sleep(_PAUSE_S)
