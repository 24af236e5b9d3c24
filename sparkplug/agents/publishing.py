"""Publishing and listening: what an agent says to whoever wants to hear it.

Who may publish under a replica's name is that replica alone; whoever is an agent may listen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

import nats.errors
from nats.aio.msg import Msg
from pydantic import TypeAdapter, ValidationError

from sparkplug.agents.trail import Trail
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import InvalidError, NoMeshError
from sparkplug.schema.published import MAX_PUBLISHED_BYTES, Published, Topic, TopicFilter

log = logging.getLogger("sparkplug.agent")

_topic: TypeAdapter[str] = TypeAdapter(Topic)
_filter: TypeAdapter[str] = TypeAdapter(TopicFilter)
#: What one listener has not taken yet; more is dropped, the oldest first.
_MOST_WAITING = 1000


async def publish(bus: Bus, agent: str, replica: str, trail: Trail, topic: str, data: Any) -> None:
    """Say something to whoever listens to `topic`. Raises InvalidError, and as `Trail.onward`."""
    try:
        _topic.validate_python(topic)
        said = Published(topic=topic, data=data, ids=trail.onward("published", topic, data))
        body = said.model_dump_json().encode()
    except ValidationError as error:
        raise InvalidError(f"{topic!r} is no topic, like builds.done", where="publish") from error
    if len(body) > MAX_PUBLISHED_BYTES:
        raise InvalidError(f"it is {len(body)} bytes, the most is {MAX_PUBLISHED_BYTES}")
    try:
        await bus.nc.publish(subjects.published(agent, replica, topic), body)
    except nats.errors.Error as error:
        raise NoMeshError(f"nothing can be published now: {error}") from error


def listened(topic: str) -> str:
    """The subject of a topic or a filter of topics, from whoever. Raises InvalidError."""
    try:
        return subjects.published("*", "*", _filter.validate_python(topic))
    except ValidationError as error:
        raise InvalidError(
            f"{topic!r} names no topics, like builds.done, builds.* or builds.>", where="on"
        ) from error


def read(message: Msg) -> Published | None:
    """What was published, with who did; None for what does not hold."""
    words = message.subject.split(".")
    if len(message.data) > MAX_PUBLISHED_BYTES or len(words) < 5:
        return None
    try:
        found = Published.model_validate_json(message.data)
    except ValidationError:
        log.warning("%s: what was published there cannot be read", message.subject)
        return None
    found.agent, found.replica, found.topic = words[2], words[3], ".".join(words[4:])
    return found


async def listen(
    bus: Bus, topic: str, ready: Callable[[], None] = lambda: None
) -> AsyncGenerator[Published, None]:
    """What is published from now on; `ready` once nothing is missed any more."""
    waiting: asyncio.Queue[Published] = asyncio.Queue(_MOST_WAITING)

    async def receive(message: Msg) -> None:
        found = read(message)
        if found is None:
            return
        if waiting.full():
            waiting.get_nowait()
            log.warning("%s: what nobody took in time is dropped", topic)
        waiting.put_nowait(found)

    subscription = await bus.nc.subscribe(listened(topic), cb=receive)
    try:
        await bus.flush()
        ready()
        while True:
            yield await waiting.get()
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
