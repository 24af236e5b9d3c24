"""Writing the journals of decisions: one writer at a time, held to it by the server itself.

The holder of the lease leaves a fence before it reads; every later write of its carries the
fence's sequence, so what an older holder still tries to write is refused (error 10071).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import datetime

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.decision import DecisionEntry
from sparkplug.schema.errors import NoMeshError, SparkplugError

log = logging.getLogger(__name__)

_WRONG_LAST_SEQUENCE = 10071
# Why JetStream would refuse the same write again: its storage is full.
_FULL = frozenset({10023, 10047, 10077, 10122})
_WRITE_DEADLINE_S = 1.0
_PAUSE_S = 0.1


class DecisionWriter:
    """The one writer of all decisions, for as long as `held` says that its lease is."""

    def __init__(self, bus: Bus, held: Callable[[], bool]) -> None:
        self._bus = bus
        self._held = held
        self._fence = 0

    async def open(self) -> datetime:
        """Shut out earlier writers; the server's time of it. Read only after. Raises NoMeshError
        when the lease ends meanwhile."""
        self._fence = await self._publish(subjects.DECISIONS_FENCE, b"", {})
        try:
            fence = await self._bus.js.get_msg(
                subjects.STREAM_JOURNAL, seq=self._fence, direct=True
            )
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
            raise NoMeshError(f"the journal cannot be read: {error}") from error
        assert fence.time is not None
        return fence.time

    async def write(self, entry: DecisionEntry) -> None:
        """Append an entry; it is stored when this returns.

        Raises NoMeshError when another node keeps the decisions now, or the lease ends before the
        server could be reached; SparkplugError when its storage is full.
        """
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(self._fence),
            "Nats-Expected-Last-Subject-Sequence-Subject": subjects.DECISIONS_FENCE,
            "Nats-Msg-Id": f"decision.{self._fence}.{secrets.token_hex(8)}",
        }
        data = entry.model_dump_json(exclude_defaults=True).encode()
        await self._publish(subjects.decision(entry.decision), data, headers)

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> int:
        """Store and return the sequence. Sent again under the same id while the lease is held."""
        while True:
            try:
                ack = await self._bus.js.publish(
                    subject, data, headers=dict(headers), timeout=_WRITE_DEADLINE_S
                )
            except nats.js.errors.APIError as error:
                if error.err_code == _WRONG_LAST_SEQUENCE:
                    raise NoMeshError("another node keeps the decisions now") from error
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
            if not self._held() or self._bus.nc.is_closed:
                raise NoMeshError(f"cut off from the journal: {cause}", where=subject) from cause
            log.debug("the journal waits for the server: %s", cause)
            await asyncio.sleep(_PAUSE_S)
