"""Writing the journal of runs. Reading it is `sparkplug.bus.journal`.

A run has one writer at a time: on taking the run's lease it leaves a fence, reads the journal
only after, and every later write carries the fence's sequence, so that the server itself
refuses what an older holder still tries to write (error 10071).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.journal import read_journal
from sparkplug.schema.errors import (
    ConflictError,
    InvalidError,
    NoMeshError,
    SparkplugError,
)
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


async def append_after(bus: Bus, entry: JournalEntry, sequence: int) -> bool:
    """Append an entry that is not the planner's, if the run's last one still is `sequence`.

    False when something came between. Raises NoMeshError when it could not be stored in time.
    """
    deadline = time.monotonic() + _UNFENCED_DEADLINE_S
    identity = f"{entry.run}.asked.{secrets.token_hex(8)}"
    headers = {"Nats-Expected-Last-Subject-Sequence": str(sequence), "Nats-Msg-Id": identity}
    try:
        await _store(bus, entry, headers, lambda: time.monotonic() < deadline)
    except ConflictError:
        # As in `accept`: it may be our own that is in the way.
        return await _identity_after(bus, entry.run, sequence) == identity
    return True


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
        """Append an entry, and what it has in `then`; it is stored when this returns.

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


async def first_entry(bus: Bus, run: str) -> JournalEntry | None:
    """The entry that began a run; None when it is no longer kept. Raises NoMeshError."""
    try:
        found = await bus.js.get_msg(
            subjects.STREAM_JOURNAL, seq=1, subject=subjects.journal(run), next=True, direct=True
        )
    except nats.js.errors.NotFoundError:
        return None
    except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
        raise NoMeshError(f"the journal cannot be read: {error}", where=run) from error
    return JournalEntry.model_validate_json(found.data or b"")


async def _first_identity(bus: Bus, run: str) -> str | None:
    """The message id of the entry that began a run."""
    try:
        first = await bus.js.get_msg(
            subjects.STREAM_JOURNAL, seq=1, subject=subjects.journal(run), next=True, direct=True
        )
    except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
        raise NoMeshError(f"the journal cannot be read: {error}", where=run) from error
    return (first.headers or {}).get("Nats-Msg-Id")


async def _identity_after(bus: Bus, run: str, sequence: int) -> str | None:
    """The message id of the entry that follows the one of `sequence`."""
    try:
        found = await bus.js.get_msg(
            subjects.STREAM_JOURNAL,
            seq=sequence + 1,
            subject=subjects.journal(run),
            next=True,
            direct=True,
        )
    except nats.js.errors.NotFoundError:
        return None
    except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
        raise NoMeshError(f"the journal cannot be read: {error}", where=run) from error
    return (found.headers or {}).get("Nats-Msg-Id")


async def last_entry(bus: Bus, run: str) -> JournalEntry | None:
    """The last entry of a run, None when there is no such run. Raises NoMeshError."""
    try:
        message = await bus.js.get_last_msg(
            subjects.STREAM_JOURNAL, subjects.journal(run), direct=True
        )
    except nats.js.errors.NotFoundError:
        return None
    except (TimeoutError, nats.errors.Error) as error:
        raise NoMeshError(f"the journal cannot be read: {error}", where=run) from error
    entry = JournalEntry.model_validate_json(message.data or b"")
    entry.sequence = message.seq or 0
    return entry


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
