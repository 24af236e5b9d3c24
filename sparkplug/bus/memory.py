"""Speaking to the memory: for agents, people's clients and the node alike."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TypeVar

import nats.errors
import nats.js.errors
from pydantic import BaseModel

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.bus.service import call
from sparkplug.schema.errors import (
    AskAgainError,
    DeadlineError,
    InvalidError,
    NoMeshError,
    SparkplugError,
)
from sparkplug.schema.memory import MOST_TEXT_BYTES
from sparkplug.schema.memory_home import MemoryHome
from sparkplug.schema.memory_requests import MemoryAdd
from sparkplug.schema.node import NodeState, ObservedNode

log = logging.getLogger(__name__)

ReplyT = TypeVar("ReplyT", bound=BaseModel)

#: What cannot be asked twice: all else changes nothing, or knows that it was done.
ONCE = "handover"

_WRITE_S, _WRITE_TRIES = 5.0, 3
#: The lease of the memory lapses in nine seconds, and is asked for every second.
_TAKEN_OVER_S = 12.0
_AGAIN_S = 0.25
_LIVE = (NodeState.STARTING, NodeState.JOINING, NodeState.READY, NodeState.DEGRADED)
_FULL = 10077


async def ask(
    bus: Bus,
    verb: str,
    caller: str,
    request: BaseModel,
    reply: type[ReplyT],
    *,
    deadline: float = 40.0,
) -> ReplyT:
    """Ask the memory. Raises NoMeshError, with the name of its host, when it is away.

    `deadline` in seconds leaves time for its process to start. A node that lives and was begun
    a moment ago has yet to take the lease of the one before: it is waited for. What was asked of
    a process that was killed, or over a connection that is lost, is asked again.
    """
    began = time.monotonic()
    subject = subjects.memory_call(verb, caller)
    left = deadline
    while left > 0:
        asked = call(bus, subject, request, reply, deadline=left)
        try:
            return await (asked if verb == ONCE else bus.answer(asked))
        except AskAgainError as error:
            log.debug("asked again: %s", error)
            await asyncio.sleep(_AGAIN_S)
        except nats.errors.ConnectionReconnectingError:
            await bus.wait_connected(left)
        except NoMeshError as error:
            if not bus.connected:
                raise
            late = time.monotonic() - began > min(deadline, _TAKEN_OVER_S)
            if late or not await _lives(bus):
                raise await _away(bus) from error
            await asyncio.sleep(_AGAIN_S)
        left = round(began + deadline - time.monotonic(), 1)
    raise DeadlineError(f"no answer on {subject} within {deadline:g} s")


async def write(bus: Bus, caller: str, request: MemoryAdd) -> None:
    """Have something remembered: returns once the mesh has stored it, before it is worked on.

    Raises InvalidError for a text that is empty or too long, SparkplugError when the queue is full.
    """
    if not request.text.strip():
        raise InvalidError("a memory cannot be empty")
    size = len(request.text.encode(errors="surrogatepass"))
    if size > MOST_TEXT_BYTES:
        raise InvalidError(
            f"a memory has at most {MOST_TEXT_BYTES >> 20} MiB, and this has {size} bytes",
            hint="a file in a folder of documents may be larger: `sparkplug memory ingest`",
        )
    try:
        await _publish(bus, caller, request)
    except nats.js.errors.APIError as error:
        if error.err_code == _FULL:
            raise SparkplugError(
                "the memory cannot take more just now: what was said before is not stored yet",
                hint="try again later; `sparkplug memory stats` tells how much waits",
            ) from error
        raise SparkplugError(f"the mesh did not store it: {error.description}") from error
    except nats.js.errors.NoStreamResponseError as error:
        raise NoMeshError(
            "this mesh has no memory: its server has no stream for it",
            hint="nodes of this release lay it out; `sparkplug doctor` checks",
        ) from error
    except nats.errors.MaxPayloadError as error:
        raise InvalidError("that is larger than this server takes in one message") from error
    except (TimeoutError, nats.errors.Error) as error:
        raise NoMeshError(f"the mesh did not store it: {error or 'no answer in time'}") from error


async def _publish(bus: Bus, caller: str, request: MemoryAdd) -> None:
    """Put it in its stream; what nobody acknowledged in time is sent again, and stored once."""
    subject, body = subjects.memory_write(caller), request.model_dump_json().encode()
    tries = _WRITE_TRIES
    while True:
        tries -= 1
        try:
            named = {"Nats-Msg-Id": request.id}
            await bus.js.publish(subject, body, timeout=_WRITE_S, headers=named)
        except TimeoutError:
            # A busy server's answer may be late. One that is gone is not waited for longer.
            if not tries or not bus.connected:
                raise
        else:
            return


async def home_of(bus: Bus) -> str:
    """The node that keeps the memory; empty when none does."""
    entry = await Bucket(bus, subjects.BUCKET_MESH).get(subjects.MEMORY_HOME)
    home = decode(MemoryHome, entry) if entry is not None else None
    return home.node if home is not None else ""


async def _lives(bus: Bus) -> bool:
    """Whether the node that keeps the memory is there, as far as the asker may know."""
    try:
        name = await home_of(bus)
        entry = await Bucket(bus, subjects.BUCKET_OBSERVED).get(f"nodes.{name}") if name else None
    except (TimeoutError, SparkplugError, nats.errors.Error, nats.js.errors.Error):
        return False
    node = decode(ObservedNode, entry) if entry is not None else None
    return node is not None and node.state in _LIVE


async def _away(bus: Bus) -> NoMeshError:
    try:
        node = await home_of(bus)
    except (TimeoutError, SparkplugError, nats.errors.Error, nats.js.errors.Error):
        node = ""
    if not node:
        return NoMeshError(
            "the memory is away: no node keeps it yet",
            hint="a node with `memory.enabled` does; `sparkplug doctor` checks",
        )
    return NoMeshError(
        f"the memory is away: it is kept on {node}, which does not answer",
        where=f"node {node}",
        hint=f"start that node again; what is said meanwhile is stored when {node} is back",
    )
