"""The ledger: every call of a model, written to a stream in batches, off the way of the calls.

A record waits in memory for a second at most. What the server does not take is sent again
under the same id, and an agent that ends drains it first: only a process that is killed loses
its last second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.ledger_pack import pack
from sparkplug.schema.llm import CallRecord, EnergyReply, EnergyRequest, EnergySpan, LedgerBatch

log = logging.getLogger(__name__)

_EVERY_S = 1.0
_BATCH = 256
_MOST_WAITING = 100_000
_AGAIN_S = 0.5
_ENERGY_DEADLINE_S = 1.0


class Ledger:
    """The calls of one agent on their way to the stream. `note` never waits."""

    def __init__(self, bus: Bus, agent: str, replica: str) -> None:
        self._bus = bus
        self._subject = subjects.ledger(agent, replica)
        self._waiting: deque[CallRecord] = deque()
        self._sending = asyncio.Lock()
        self._dropped = 0

    def note(self, record: CallRecord) -> None:
        """Take a record."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
            if self._dropped % 1000 == 1:
                log.warning("the ledger cannot be written: %d calls are lost", self._dropped)
        self._waiting.append(record)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.flush()

    async def drain(self, deadline: float) -> None:
        """Write what waits, at most `deadline` seconds."""
        try:
            async with asyncio.timeout(deadline):
                await self.flush()
        except TimeoutError:
            log.warning("%d calls of models were not written to the ledger", len(self._waiting))

    async def flush(self) -> None:
        """Write all that waits now."""
        async with self._sending:
            while self._waiting:
                batch = [self._waiting[at] for at in range(min(_BATCH, len(self._waiting)))]
                await self._measure(batch)
                await self._publish(LedgerBatch.model_construct(v=1, calls=batch))
                for _ in batch:
                    self._waiting.popleft()

    async def _publish(self, batch: LedgerBatch) -> None:
        body = pack(batch)
        headers = {"Nats-Msg-Id": uuid.uuid4().hex}
        while True:
            try:
                await self._bus.js.publish(self._subject, body, headers=headers)
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                if self._bus.nc.is_closed:
                    raise
                log.debug("the ledger waits: %s", error)
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def _measure(self, batch: list[CallRecord]) -> None:
        """Ask the hosts that served what their GPUs took, where the server did not tell."""
        by_host: dict[str, list[CallRecord]] = {}
        for record in batch:
            if record.gpus and record.server_host and record.joules is None and record.seconds:
                by_host.setdefault(record.server_host, []).append(record)
        for host, records in by_host.items():
            spans = [EnergySpan(gpus=r.gpus, began=r.began, seconds=r.seconds) for r in records]
            with contextlib.suppress(SparkplugError):
                reply = await call(
                    self._bus,
                    subjects.node_service(host, "energy"),
                    EnergyRequest(spans=spans),
                    EnergyReply,
                    deadline=_ENERGY_DEADLINE_S,
                )
                for record, joules in zip(records, reply.joules, strict=False):
                    if joules is not None:
                        record.joules, record.joules_estimated = joules, True
