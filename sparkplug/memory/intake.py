"""What is to be remembered, taken from its stream in batches; acknowledged when it is stored.

One durable consumer, one reader: whoever holds the memory. What a process took and did not
acknowledge comes again, and is known by the id of its write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus

log = logging.getLogger(__name__)

_DURABLE = "memory"
_BATCH = 512
_ACK_WAIT_S = 30.0
_PULL_S = 20.0
_AGAIN_S = 0.5
_PATIENCE_S = 5.0

TakeBatch = Callable[[Sequence[Msg]], Awaitable[None]]


class Intake:
    """Feeds `take` with what waits. A batch it raises at stays, and comes again."""

    def __init__(self, bus: Bus, take: TakeBatch) -> None:
        self._bus = bus
        self._take = take
        self._queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._outstanding = 0
        self._storing = asyncio.Lock()
        self._going = asyncio.Event()
        self._going.set()

    async def pause(self) -> None:
        """Store nothing from now on; what is being stored is stored when this returns."""
        async with self._storing:
            self._going.clear()

    def resume(self) -> None:
        """Store again, what came meanwhile first."""
        self._going.set()

    async def run(self) -> None:
        """Take for ever; begins again when the server came back."""
        while True:
            try:
                await self._consume()
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                log.debug("intake begins again: %s", error)
            await asyncio.sleep(_AGAIN_S)

    async def _consume(self) -> None:
        # What a process before took and did not acknowledge comes at once, not in half a minute.
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await self._bus.js.delete_consumer(subjects.STREAM_MEMORY, _DURABLE)
        await self._bus.js.add_consumer(
            subjects.STREAM_MEMORY,
            ConsumerConfig(
                durable_name=_DURABLE,
                ack_policy=AckPolicy.EXPLICIT,
                deliver_policy=DeliverPolicy.ALL,
                ack_wait=_ACK_WAIT_S,
                max_ack_pending=4 * _BATCH,
            ),
        )
        self._queue = asyncio.Queue()
        epoch = self._bus.epoch
        inbox = self._bus.nc.new_inbox()

        async def receive(message: Msg) -> None:
            self._queue.put_nowait(message)

        subscription = await self._bus.nc.subscribe(inbox, cb=receive)
        try:
            while self._bus.epoch == epoch:
                await self._pull(inbox)
                await self._work(epoch)
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _pull(self, inbox: str) -> None:
        request = {"batch": _BATCH, "expires": int(_PULL_S * 1e9)}
        await self._bus.nc.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{subjects.STREAM_MEMORY}.{_DURABLE}",
            json.dumps(request).encode(),
            reply=inbox,
        )
        self._outstanding = _BATCH

    async def _work(self, epoch: int) -> None:
        """Store what a pull brings, in batches as they come, until it is spent or expired."""
        while self._outstanding > 0:
            try:
                async with asyncio.timeout(_PATIENCE_S if self._bus.connected else _AGAIN_S):
                    first = await self._queue.get()
            except TimeoutError:
                if self._bus.epoch != epoch:
                    return
                continue
            batch = [first]
            while not self._queue.empty() and len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
            told = [message for message in batch if message is not None]
            work = [message for message in told if message.reply]
            if work:
                self._outstanding -= len(work)
                await self._store(work)
            if len(work) != len(told):  # a status: the pull is over
                return

    async def _store(self, work: Sequence[Msg]) -> None:
        while True:
            await self._going.wait()
            async with self._storing:
                if not self._going.is_set():
                    continue
                await self._take(work)
                for message in work:
                    await self._bus.nc.publish(message.reply, b"+ACK")
                return

    async def waiting(self) -> int:
        """How many writes wait."""
        try:
            info = await self._bus.js.stream_info(subjects.STREAM_MEMORY)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error):
            return 0
        return int(info.state.messages)
