"""A connection that only listens, to very many messages: each costs as little as it can.

nats-py makes an object of every message and hands it through a queue to a task, which at tens of
thousands a second takes most of a core. Here a plain function is called with the bytes that came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from nats.aio.client import Client

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus, BusClient

log = logging.getLogger(__name__)

#: Takes the subject, the subject for the answer, the headers as they came, and the body.
Heard = Callable[[bytes, bytes, bytes | None, bytes], None]


class _TapClient(BusClient):
    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.heard: dict[int, Heard] = {}

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        heard = self.heard.get(sid)
        if heard is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        try:
            heard(subject, reply, headers or None, data)
        except Exception:
            # One that cannot be taken in must not end the connection's reading.
            log.exception("a message on %s", subject[:200])


class Tap(Bus):
    """A Bus that `listen`s. `gaps` counts how often it was cut off: what passed then is lost."""

    @property
    def gaps(self) -> int:
        """Times the connection was lost and came back."""
        return self.epoch

    def _client(self) -> Client:
        return _TapClient(self)

    async def listen(self, subject: str, heard: Heard) -> None:
        """Call `heard` with every message on `subject`, until the tap is closed."""
        client = self.nc
        assert isinstance(client, _TapClient)

        async def nothing(_: object) -> None:
            """For the few that come between the subscription and its place in `heard`."""

        subscription = await client.subscribe(subject, cb=nothing)
        client.heard[subscription._id] = heard  # noqa: SLF001  what the server calls it


async def open_tap(bus: Bus, name: str, deadline: float) -> Tap:
    """A tap beside a connection: at the same server, as the same user. Raises as `connect` does."""
    tap = Tap(bus.url, subjects.inbox("tap", name), bus.ca, bus.record)
    await tap.open(name, bus.credentials, deadline)
    return tap
