"""Events: what happened, read from a moment or a sequence on, and followed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.reading import Mark, follow, sequence
from sparkplug.client.session import Client
from sparkplug.schema.base import utc_now
from sparkplug.schema.event import Event


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

    def start(last: int) -> ConsumerConfig:
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
        if last or after is not None:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = (last or after or 0) + 1
        elif since is not None:
            config.deliver_policy = DeliverPolicy.BY_START_TIME
            config.opt_start_time = utc_now() - timedelta(seconds=since)
        return config

    caught_up = False
    reading = follow(client.bus, subjects.STREAM_EVENTS, start)
    async with contextlib.aclosing(reading) as items:
        async for item in items:
            if item is Mark.READY and not caught_up:
                caught_up = True
                yield None
            elif isinstance(item, Msg):
                event = _event(item, sequence(item))
                if event.name:
                    yield event


def _event(message: Msg, sequence: int) -> Event:
    try:
        event = Event.model_validate_json(message.data)
    except ValidationError:
        event = Event(name="")
    if event.name and message.subject != subjects.event(event.name, event.subject):
        # An agent may write about itself alone; the subject is what the server let it write to.
        event = Event(name="")
    event.sequence = sequence
    return event
