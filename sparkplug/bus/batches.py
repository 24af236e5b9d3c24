"""Atomic batches: several messages that are stored together or not at all, with one sync.

Source: ADR-50 of nats-architecture-and-design (nats-server 2.12 and newer). The server counts the
messages of a batch; the last one commits it and is the only one that is answered.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import nats.js.errors

from sparkplug.bus.connection import Bus

#: Messages of one batch, at most, by the server.
MAX_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Write:
    """A message to be stored: where, what, and its headers."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def can_batch(bus: Bus) -> bool:
    """Whether the server stores batches."""
    version = bus.nc.connected_server_version
    return (version.major, version.minor) >= (2, 12)


async def store_batch(bus: Bus, writes: Sequence[Write], *, deadline: float) -> int:
    """Store all of `writes`, or none; the sequence of the last. At most `MAX_BATCH` of them.

    Raises what a JetStream publish does: TimeoutError when the server does not answer within
    `deadline` seconds (it may have stored them), APIError when it refuses.
    """
    identity = secrets.token_hex(8)
    last = len(writes)
    for number, write in enumerate(writes, 1):
        headers = {
            **write.headers,
            "Nats-Batch-Id": identity,
            "Nats-Batch-Sequence": str(number),
        }
        if number < last:
            await bus.nc.publish(write.subject, write.data, headers=headers)
            continue
        headers["Nats-Batch-Commit"] = "1"
        answer = await bus.nc.request(write.subject, write.data, timeout=deadline, headers=headers)
    found = json.loads(answer.data)
    if "error" in found:
        raise nats.js.errors.APIError.from_error(found["error"])
    return int(found["seq"])
