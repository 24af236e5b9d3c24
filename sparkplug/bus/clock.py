"""The server's clock: what the times in its streams mean on this host, and how far we are off."""

from __future__ import annotations

import json
import time
from datetime import datetime

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import SparkplugError

_TRIES = 3
_DEADLINE_S = 2.0


async def clock_offset(bus: Bus) -> float:
    """Seconds by which this host's clock is ahead of the server's (behind: negative).

    As NTP does it, from the middle of a request; the quickest of three counts. The time comes
    with a stream's description (`ts`, nats-server 2.10). Raises TimeoutError, SparkplugError.
    """
    subject = f"$JS.API.STREAM.INFO.KV_{subjects.BUCKET_OBSERVED}"
    measured: list[tuple[float, float]] = []
    for _ in range(_TRIES):
        wall, began = time.time(), time.monotonic()
        try:
            reply = await bus.nc.request(subject, b"", timeout=_DEADLINE_S)
        except nats.errors.Error as error:
            raise SparkplugError(f"the server does not tell its time: {error}") from error
        took = time.monotonic() - began
        measured.append((took, wall + took / 2 - _time_in(reply.data)))
    return min(measured)[1]


def _time_in(data: bytes) -> float:
    try:
        return datetime.fromisoformat(json.loads(data)["ts"]).timestamp()
    except (ValueError, KeyError, TypeError) as error:
        raise SparkplugError("the server does not tell its time") from error
