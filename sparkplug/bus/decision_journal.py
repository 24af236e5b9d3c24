"""Reading the journals of decisions: one, the newest, and as they grow.

They stand in the stream of the runs' journals. The time of an entry that was read is the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy
from pydantic import ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.reading import Mark, follow, sequence
from sparkplug.schema.decision import DecisionEntry, DecisionView
from sparkplug.schema.decision_fold import fold
from sparkplug.schema.errors import NotFoundError

log = logging.getLogger(__name__)

_READ_DEADLINE_S = 30.0
#: A filter of more subjects is not taken in one consumer.
_MOST_AT_ONCE = 200


async def read_decision(bus: Bus, decision: str) -> list[DecisionEntry]:
    """The entries of a decision in stream order; empty when there is no such decision."""
    found = await _read_now(bus, [subjects.decision(decision)], DeliverPolicy.ALL)
    return [entry for _, entry in found]


async def list_decisions(bus: Bus, limit: int = 100) -> list[DecisionView]:
    """The newest `limit` decisions by their last entry, newest opened first.

    Raises TimeoutError when the server does not give them within 30 s.
    """
    newest = await _read_now(bus, [subjects.ALL_DECISIONS], DeliverPolicy.LAST_PER_SUBJECT)
    newest.sort(key=lambda found: found[0], reverse=True)
    return await read_all(bus, [entry.decision for _, entry in newest[:limit]])


async def last_entries(bus: Bus) -> list[DecisionEntry]:
    """The last entry of every decision there is."""
    found = await _read_now(bus, [subjects.ALL_DECISIONS], DeliverPolicy.LAST_PER_SUBJECT)
    return [entry for _, entry in found]


async def read_all(bus: Bus, decisions: list[str]) -> list[DecisionView]:
    """These decisions, newest opened first."""
    views = []
    for start in range(0, len(decisions), _MOST_AT_ONCE):
        filters = [subjects.decision(name) for name in decisions[start : start + _MOST_AT_ONCE]]
        entries: dict[str, list[DecisionEntry]] = {}
        for _, entry in await _read_now(bus, filters, DeliverPolicy.ALL):
            entries.setdefault(entry.decision, []).append(entry)
        for found in entries.values():
            with contextlib.suppress(NotFoundError):
                views.append(fold(found))
    return sorted(views, key=lambda view: view.opened, reverse=True)


async def follow_decisions(bus: Bus) -> AsyncGenerator[DecisionEntry, None]:
    """The last entry of every decision there is, then each new entry of any, for ever."""
    stream = _follow(bus, [subjects.ALL_DECISIONS], DeliverPolicy.LAST_PER_SUBJECT)
    async with contextlib.aclosing(stream) as items:
        async for item in items:
            if item is not None:
                yield item[1]


async def _read_now(
    bus: Bus, filters: list[str], policy: DeliverPolicy
) -> list[tuple[int, DecisionEntry]]:
    found: list[tuple[int, DecisionEntry]] = []
    if not filters:
        return found
    async with (
        asyncio.timeout(_READ_DEADLINE_S),
        contextlib.aclosing(_follow(bus, filters, policy)) as items,
    ):
        async for item in items:
            if item is None:
                break
            found.append(item)
    return found


async def _follow(
    bus: Bus, filters: list[str], policy: DeliverPolicy
) -> AsyncGenerator[tuple[int, DecisionEntry] | None, None]:
    """Entries with their sequences; None once all that was there has been given."""

    def start(after: int) -> ConsumerConfig:
        return ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if after else policy,
            opt_start_seq=after + 1 if after else None,
            filter_subject=filters[0] if len(filters) == 1 else None,
            filter_subjects=filters if len(filters) > 1 else None,
        )

    async with contextlib.aclosing(follow(bus, subjects.STREAM_JOURNAL, start)) as items:
        async for item in items:
            if item is Mark.READY:
                yield None
            elif isinstance(item, Msg):
                try:
                    entry = DecisionEntry.model_validate_json(item.data)
                except ValidationError as error:
                    log.warning("%s holds no entry: %s", item.subject, error.errors()[:1])
                    continue
                entry.time = item.metadata.timestamp
                yield sequence(item), entry
