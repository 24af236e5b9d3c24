"""Events: what happened, read from a moment or a sequence on, and followed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.client.session import Client
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.event import Event

_INACTIVE_S = 60.0
_AGAIN_S = 0.2
_QUEUED = 100_000


async def read_events(
    client: Client, *, since: float | None = None, after: int | None = None
) -> list[Event]:
    """Events so far in the order of the stream: all, those of the last `since` seconds, or
    those after the sequence `after`."""
    found: list[Event] = []
    async with contextlib.aclosing(follow_events(client, since=since, after=after)) as events:
        async for event in events:
            if event is None:
                break
            found.append(event)
    return found


async def follow_events(
    client: Client, *, since: float | None = None, after: int | None = None
) -> AsyncGenerator[Event | None, None]:
    """Events as `read_events` has them, then None once, then every further one, for ever.

    Survives the server: goes on after the last sequence it yielded, none twice and none missed.
    Raises NotFoundError when the mesh has no event stream.
    """
    policy = _start(since, after)
    restart = asyncio.Event()

    async def on_reconnect() -> None:
        restart.set()

    remove = client.bus.on_reconnect(on_reconnect)
    caught_up = False
    try:
        while not client.bus.nc.is_closed:
            restart.clear()
            try:
                async with contextlib.aclosing(_read(client, policy, restart)) as events:
                    async for event in events:
                        if event is None:
                            if not caught_up:
                                caught_up = True
                                yield None
                            continue
                        policy = _start(None, event.sequence)
                        if event.name:
                            yield event
            except nats.js.errors.NotFoundError as error:
                raise NotFoundError(
                    "this mesh keeps no events",
                    where=subjects.STREAM_EVENTS,
                    hint="`sparkplug doctor` checks its streams",
                ) from error
            except (TimeoutError, nats.errors.Error):
                await asyncio.sleep(_AGAIN_S)
    finally:
        remove()


def _start(since: float | None, after: int | None) -> ConsumerConfig:
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        max_deliver=1,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=_INACTIVE_S,
        deliver_policy=DeliverPolicy.ALL,
    )
    if after is not None:
        config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
        config.opt_start_seq = after + 1
    elif since is not None:
        config.deliver_policy = DeliverPolicy.BY_START_TIME
        config.opt_start_time = utc_now() - timedelta(seconds=since)
    return config


async def _read(
    client: Client, config: ConsumerConfig, restart: asyncio.Event
) -> AsyncGenerator[Event | None, None]:
    """One ordered reading, until `restart` or a gap. An event that does not hold has no name."""
    queue: asyncio.Queue[Msg | None] = asyncio.Queue(_QUEUED)

    async def receive(message: Msg) -> None:
        queue.put_nowait(message)

    inbox = client.bus.nc.new_inbox()
    subscription = await client.bus.nc.subscribe(inbox, cb=receive)
    waiter = asyncio.ensure_future(restart.wait())
    waiter.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        config = config.evolve(deliver_subject=inbox)
        info = await client.bus.js.add_consumer(subjects.STREAM_EVENTS, config)
        # Messages delivered while the answer was on its way count as pending too.
        ahead = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
        if not ahead:
            yield None
        expected = 1
        while True:
            message = await queue.get()
            if message is None:
                return
            meta = message.metadata
            if meta.sequence.consumer != expected:
                return
            expected += 1
            yield _event(message, meta.sequence.stream)
            if meta.num_pending == 0:
                yield None
    finally:
        waiter.cancel()
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()


def _event(message: Msg, sequence: int) -> Event:
    try:
        event = Event.model_validate_json(message.data)
    except ValidationError:
        event = Event(name="")
    event.sequence = sequence
    return event
