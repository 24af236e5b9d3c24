"""Publishing events, in the order they happen, without holding up what they are about."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import nats.errors
import nats.js.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.event import EVENT_NAMES, Event

log = logging.getLogger(__name__)

_QUEUE = 10_000


class EventLog:
    """A queue to the event stream: `emit` never waits, `run` sends in order and retries."""

    def __init__(self, bus: Bus, host: str, actor: str) -> None:
        self._bus = bus
        self._host = host
        self._actor = actor
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)

    def emit(
        self,
        name: str,
        subject: str,
        *,
        actor: str = "",
        data: Mapping[str, object] | None = None,
    ) -> None:
        """Queue an event. `name` is one of `EVENT_NAMES`, as in `agent:ready`."""
        kind, _, what = name.partition(":")
        if what not in EVENT_NAMES.get(kind, ()):
            raise ValueError(f"{name} is not the name of an event")
        event = Event(
            name=name,
            host=self._host,
            actor=actor or self._actor,
            subject=subject,
            data=dict(data or {}),
        )
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("event dropped, %d are waiting: %s %s", _QUEUE, name, subject)

    async def run(self) -> None:
        """Send for ever. An event the server did not take is sent again, under the same id."""
        while True:
            await self._send(await self._queue.get())

    async def drain(self, deadline: float) -> None:
        """Send what waits, at most `deadline` seconds."""
        try:
            async with asyncio.timeout(deadline):
                while not self._queue.empty():
                    await self._send(self._queue.get_nowait())
        except TimeoutError:
            log.warning("%d events were not sent", self._queue.qsize())

    async def _send(self, event: Event) -> None:
        data = event.model_dump_json().encode()
        while True:
            try:
                await self._bus.js.publish(
                    subjects.event(event.name, event.subject),
                    data,
                    headers={"Nats-Msg-Id": event.id},
                )
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                if self._bus.nc.is_closed:
                    return
                log.debug("event %s waits: %s", event.name, error)
                await asyncio.sleep(0.5)
            else:
                return
