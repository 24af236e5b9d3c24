"""What is to be told to workers, gathered for a moment: one message for many tasks."""

from __future__ import annotations

import asyncio
import logging

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.task_services import ToWorker
from sparkplug.tasks.workers import Worker

log = logging.getLogger(__name__)

#: Bytes of tasks in one message, about: well below what a server takes.
_MOST_BYTES = 512 << 10


class Outbox:
    """Messages to workers; sent by `run` as soon as the loop gets to it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[Worker, ToWorker] = {}
        self._wake = asyncio.Event()

    def add(self, worker: Worker, told: ToWorker) -> None:
        """Tell a worker something, with what else it is told in this moment."""
        before = self._waiting.get(worker)
        if before is None:
            self._waiting[worker] = told
        else:
            before.give += told.give
            before.heard += told.heard
            before.cancel |= told.cancel
        self._wake.set()

    async def run(self) -> None:
        """Send for ever. What is lost on its way is told again when the worker says so."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            for worker, told in waiting.items():
                await self._send(worker, told)

    async def _send(self, worker: Worker, told: ToWorker) -> None:
        subject = subjects.tasks_to(worker.agent, worker.replica)
        try:
            data = told.model_dump_json(exclude_defaults=True).encode()
            if len(data) <= _MOST_BYTES or len(told.give) < 2:
                await self._bus.nc.publish(subject, data)
                return
            half = len(told.give) // 2
            rest = ToWorker(instance=told.instance, give=told.give[half:])
            await self._send(worker, told.model_copy(update={"give": told.give[:half]}))
            await self._send(worker, rest)
        except nats.errors.Error as error:
            log.debug("%s is not told: %s", worker.name, error)
