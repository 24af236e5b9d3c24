"""Hearing what hosts measure, so that one that babbles neither drowns the others nor costs much.

All are heard over one subscription. While a host says more than it should, each is heard over a
subscription of its own, and that one's is given up for the rest of every second after a few
messages: what the server does not send costs nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.client.nodes import read_nodes
from sparkplug.clock import until_next
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)

#: So many messages a second are a host's that babbles; of one that does so many are heard.
_MOST_A_SECOND = 10
_HEARD_A_SECOND = 3
#: A host that has kept quiet for so long (seconds) is heard like the others again.
_CALM_S = 30.0
#: Which hosts there are is looked at so often while each is heard apart.
_LOOK_S = 5.0
#: More subjects in a second than there can be hosts.
_MOST_SUBJECTS = 1000
_SAMPLE_BYTES = 1 << 20


class Hearing:
    """The last messages on the subjects of one host's telemetry, or of all hosts'."""

    def __init__(self, bus: Bus, host: str | None) -> None:
        self._bus = bus
        self._subject = subjects.telemetry(host) if host else subjects.ALL_TELEMETRY
        self._one = host is not None
        #: By subject, the newest last; larger ones than a sample can be are left out.
        self.newest: dict[str, deque[bytes]] = {}
        #: Set when something was heard.
        self.told = asyncio.Event()
        self._counts: Counter[str] = Counter()
        #: When a subject last had too many messages (monotonic seconds).
        self._babbling: dict[str, float] = {}
        self._full = asyncio.Event()
        self._all: Subscription | None = None
        #: The subscriptions of single hosts; None: given up until the second is over.
        self._own: dict[str, Subscription | None] = {}
        self._looked = 0.0

    async def run(self) -> None:
        """Hear for ever. Raises nats.errors.Error when the connection is closed."""
        self._all = await self._bus.nc.subscribe(self._subject, cb=self._take)
        try:
            loop = asyncio.get_running_loop()
            over = loop.time() + until_next(1.0)
            clock = loop.call_at(over, self._full.set)
            while True:
                await self._full.wait()
                self._full.clear()
                if self._babbling and self._all is not None:
                    await self._hear_apart()
                await self._give_up_babblers()
                if loop.time() >= over:
                    await self._next_second(time.monotonic())
                    over = loop.time() + until_next(1.0)
                    clock = loop.call_at(over, self._full.set)
        finally:
            clock.cancel()
            if not self._bus.nc.is_closed:
                for subscription in (self._all, *self._own.values()):
                    if subscription is not None:
                        with contextlib.suppress(nats.errors.Error):
                            await subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        subject = message.subject
        self._counts[subject] += 1
        count = self._counts[subject]
        if subject in self._babbling:
            if count >= _HEARD_A_SECOND:
                self._full.set()
            if count > _HEARD_A_SECOND:
                return
        elif count > _MOST_A_SECOND:
            self._babbling[subject] = time.monotonic()
            self._full.set()
        if len(message.data) > _SAMPLE_BYTES:
            return
        bodies = self.newest.get(subject)
        if bodies is None:
            if len(self._counts) > _MOST_SUBJECTS:
                self._babbling[""] = time.monotonic()  # nobody we know
                self._full.set()
                return
            bodies = self.newest[subject] = deque(maxlen=_HEARD_A_SECOND)
        bodies.append(message.data)
        self.told.set()

    async def _hear_apart(self) -> None:
        """A subscription for each host there is, in the place of the one for all."""
        named = ", ".join(filter(None, self._babbling)) or "somebody"
        log.info("more than %d messages a second on %s", _MOST_A_SECOND, named)
        await self._hear_known()
        if self._all is not None:
            await self._all.unsubscribe()
            self._all = None

    async def _hear_known(self) -> None:
        self._looked = time.monotonic()
        wanted = {self._subject}
        if not self._one:
            try:
                nodes = await read_nodes(self._bus)
            except (TimeoutError, SparkplugError, nats.errors.Error) as error:
                log.debug("which hosts there are is not told: %s", error)
                return
            wanted = {subjects.telemetry(node.host) for node in nodes}
        for subject in self._own.keys() - wanted:
            gone = self._own.pop(subject)
            if gone is not None:
                await gone.unsubscribe()
        for subject in sorted(wanted - self._own.keys()):
            self._own[subject] = await self._bus.nc.subscribe(subject, cb=self._take)

    async def _give_up_babblers(self) -> None:
        for subject in self._babbling:
            subscription = self._own.get(subject)
            if subscription is not None and self._counts[subject] >= _HEARD_A_SECOND:
                self._own[subject] = None
                await subscription.unsubscribe()

    async def _next_second(self, now: float) -> None:
        for subject in list(self._babbling):
            if self._counts[subject] >= _HEARD_A_SECOND:
                self._babbling[subject] = now
            elif now - self._babbling[subject] > _CALM_S:
                del self._babbling[subject]
        self._counts.clear()
        if self._all is not None:
            return
        if not self._babbling:
            self._all = await self._bus.nc.subscribe(self._subject, cb=self._take)
            own, self._own = self._own, {}
            for subscription in own.values():
                if subscription is not None:
                    await subscription.unsubscribe()
            return
        if now - self._looked >= _LOOK_S:
            await self._hear_known()
        for subject, given in self._own.items():
            if given is None:
                self._own[subject] = await self._bus.nc.subscribe(subject, cb=self._take)
