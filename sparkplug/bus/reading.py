"""Reading a stream in order: what is there, then what comes, for as long as one wants.

One ephemeral ordered consumer at a time. When the server comes back, or a message was
missed, a new one takes over where the last left off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from enum import Enum, auto

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import NotFoundError

log = logging.getLogger(__name__)

_INACTIVE_S = 60.0
_AGAIN_S = 0.2
#: What is read slower than the server gives it waits here: a stream of tasks is given whole.
_PENDING = 1_000_000


#: Where the numbers stand in the subject one would answer a delivery on, by its count of words
#: (ADR-15 of nats-architecture-and-design: with the domain and account there are more).
_NUMBERS = {9: 5, 11: 7, 12: 7}


def sequence(message: Msg) -> int:
    """The stream sequence of a message that a consumer delivered."""
    return _numbers(message)[0]


def _numbers(message: Msg) -> tuple[int, int, int]:
    """Stream sequence, consumer sequence, and how many are still to come.

    `Msg.metadata` makes five objects of them, which costs more than all else that is done here.
    """
    words = message.reply.split(".")
    at = _NUMBERS.get(len(words))
    if at is None:
        found = message.metadata
        return found.sequence.stream, found.sequence.consumer, found.num_pending
    return int(words[at]), int(words[at + 1]), int(words[at + 3])


class Mark(Enum):
    """Where a reading is: a consumer has begun, or everything there was has been given."""

    BEGIN = auto()
    READY = auto()


async def follow(
    bus: Bus, stream: str, start: Callable[[int], ConsumerConfig]
) -> AsyncGenerator[Msg | Mark, None]:
    """Messages of a stream in order, for ever, with the marks between them.

    `start` gives what to read and from where, told the stream sequence of the last message
    that was yielded (0: none yet). Raises NotFoundError when there is no such stream to begin
    with.
    """
    restart = asyncio.Event()

    async def on_reconnect() -> None:
        restart.set()

    remove = bus.on_reconnect(on_reconnect)
    last, begun = 0, False
    try:
        while not bus.nc.is_closed:
            restart.clear()
            try:
                async with contextlib.aclosing(_read(bus, stream, start(last), restart)) as found:
                    async for item in found:
                        begun = True
                        if isinstance(item, Msg):
                            last = sequence(item)
                        yield item
            except nats.js.errors.NotFoundError as error:
                if not begun:
                    raise NotFoundError(
                        f"this mesh has no stream {stream}",
                        where=bus.shown_url,
                        hint="`sparkplug doctor` checks its streams",
                    ) from error
                await asyncio.sleep(_AGAIN_S)
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                log.debug("reading of %s begins again: %s", stream, error)
                await asyncio.sleep(_AGAIN_S)
    finally:
        remove()


async def _read(
    bus: Bus, stream: str, config: ConsumerConfig, restart: asyncio.Event
) -> AsyncGenerator[Msg | Mark, None]:
    """One consumer's messages, until `restart` or a gap."""
    queue: asyncio.Queue[Msg | None] = asyncio.Queue(_PENDING)

    async def receive(message: Msg) -> None:
        queue.put_nowait(message)

    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.subscribe(inbox, cb=receive)
    waiter = asyncio.ensure_future(restart.wait())
    waiter.add_done_callback(lambda _: queue.put_nowait(None))
    consumer = ""
    try:
        info = await bus.js.add_consumer(
            stream,
            config.evolve(
                deliver_subject=inbox,
                ack_policy=AckPolicy.NONE,
                max_deliver=1,
                mem_storage=True,
                num_replicas=1,
                inactive_threshold=_INACTIVE_S,
            ),
        )
        consumer = info.name
        yield Mark.BEGIN
        # Messages already delivered while the answer was on its way count as pending too.
        ahead = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
        ready = not ahead
        if ready:
            yield Mark.READY
        expected = 1
        while True:
            message = await queue.get()
            if message is None:
                return
            _, number, left = _numbers(message)
            if number != expected:
                return
            expected += 1
            yield message
            if not ready and left == 0:
                ready = True
                yield Mark.READY
    finally:
        waiter.cancel()
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
            if consumer:
                # Nobody waits for the answer; the server would keep it for a while otherwise.
                await bus.nc.publish(f"$JS.API.CONSUMER.DELETE.{stream}.{consumer}")
