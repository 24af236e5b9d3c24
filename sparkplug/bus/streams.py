"""The streams and buckets of the mesh, created idempotently with their caps."""

from __future__ import annotations

import logging

import nats.js.errors
from nats.js.api import (
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import SparkplugError

log = logging.getLogger(__name__)

#: Revisions kept of each agent's spec: the most a key-value bucket may keep (ADR-8).
SPEC_HISTORY = 64

_DAY = 86400.0
_STREAM_NAME_IN_USE = 10058

# Shares of the storage the server is given; together they stay below all of it, so that
# a stream that fills refuses by itself and never takes the room of another.
_SHARES = {
    subjects.STREAM_EVENTS: 0.125,
    subjects.STREAM_JOURNAL: 0.1875,
    subjects.STREAM_CHECKPOINTS: 0.25,
    subjects.STREAM_LEDGER: 0.0078125,
    subjects.STREAM_WORK: 0.0625,
    subjects.STREAM_DEAD: 0.0625,
    subjects.STREAM_MEMORY: 0.0078125,
    "buckets": 0.015625,
    subjects.OBJECTS_FILES: 0.09375,
}


def _bucket(name: str, max_bytes: int, *, history: int, deny_delete: bool = True) -> StreamConfig:
    """A key-value bucket as the NATS clients lay it out (ADR-8), with per-key TTL allowed."""
    return StreamConfig(
        name=f"KV_{name}",
        subjects=[f"$KV.{name}.>"],
        max_msgs_per_subject=history,
        max_bytes=max_bytes,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        deny_delete=deny_delete,
        allow_direct=True,
        allow_msg_ttl=True,
        duplicate_window=120.0,
    )


def layout(max_store: int, events_max: int, events_keep: float) -> list[StreamConfig]:
    """Every stream of a mesh. `max_store` and `events_max` in bytes, `events_keep` in seconds."""

    def share(name: str) -> int:
        return int(max_store * _SHARES[name])

    bucket = share("buckets")
    return [
        StreamConfig(
            name=subjects.STREAM_EVENTS,
            subjects=[subjects.EVENTS],
            storage=StorageType.FILE,
            max_age=events_keep,
            max_bytes=min(events_max, share(subjects.STREAM_EVENTS)),
            discard=DiscardPolicy.OLD,
            allow_direct=True,
            allow_atomic=True,
        ),
        StreamConfig(
            name=subjects.STREAM_JOURNAL,
            subjects=["sparkplug.journal.>"],
            storage=StorageType.FILE,
            # A run may wait for a person for ever: what is over is removed by the planner.
            max_bytes=share(subjects.STREAM_JOURNAL),
            discard=DiscardPolicy.NEW,
            allow_direct=True,
        ),
        StreamConfig(
            name=subjects.STREAM_WORK,
            subjects=["sparkplug.work.>"],
            storage=StorageType.FILE,
            # The last word of each task, by one writer: see `sparkplug.tasks.store`.
            max_msgs_per_subject=1,
            max_bytes=share(subjects.STREAM_WORK),
            discard=DiscardPolicy.NEW,
            allow_direct=True,
            allow_atomic=True,
            allow_msg_ttl=True,
        ),
        StreamConfig(
            name=subjects.STREAM_DEAD,
            subjects=["sparkplug.dead.>"],
            storage=StorageType.FILE,
            max_msgs_per_subject=1,
            max_bytes=share(subjects.STREAM_DEAD),
            discard=DiscardPolicy.NEW,
            allow_direct=True,
        ),
        StreamConfig(
            # Full, it refuses: who writes faster than can be remembered is told so.
            name=subjects.STREAM_MEMORY,
            subjects=[subjects.MEMORY_WRITES],
            storage=StorageType.FILE,
            retention=RetentionPolicy.WORK_QUEUE,
            max_bytes=share(subjects.STREAM_MEMORY),
            discard=DiscardPolicy.NEW,
            duplicate_window=120.0,
        ),
        StreamConfig(
            name=subjects.STREAM_CHECKPOINTS,
            subjects=["sparkplug.checkpoint.>"],
            storage=StorageType.FILE,
            max_msgs_per_subject=1,
            # A thread that rests for so long is forgotten.
            max_age=30 * _DAY,
            max_bytes=share(subjects.STREAM_CHECKPOINTS),
            discard=DiscardPolicy.NEW,
            allow_direct=True,
            allow_atomic=True,
        ),
        StreamConfig(
            name=subjects.STREAM_LEDGER,
            subjects=[subjects.ALL_LEDGER],
            storage=StorageType.FILE,
            max_age=90 * _DAY,
            max_bytes=share(subjects.STREAM_LEDGER),
            discard=DiscardPolicy.OLD,
            allow_direct=True,
        ),
        _bucket(subjects.BUCKET_SPECS, bucket, history=SPEC_HISTORY),
        _bucket(subjects.BUCKET_ASSIGNMENTS, bucket, history=4),
        # A holder gives its lease up by deleting the message it wrote.
        _bucket(subjects.BUCKET_LEASES, bucket, history=1, deny_delete=False),
        _bucket(subjects.BUCKET_OBSERVED, bucket, history=1),
        _bucket(subjects.BUCKET_MESH, bucket, history=1),
        _bucket(subjects.BUCKET_NODES, bucket, history=16),
        _bucket(subjects.BUCKET_SCALE, bucket, history=16),
        _bucket(subjects.BUCKET_SCHEDULES, bucket, history=4),
        _bucket(subjects.BUCKET_QUESTIONS, bucket, history=1),
        StreamConfig(
            name=f"OBJ_{subjects.OBJECTS_FILES}",
            subjects=[
                f"$O.{subjects.OBJECTS_FILES}.C.>",
                f"$O.{subjects.OBJECTS_FILES}.M.>",
            ],
            storage=StorageType.FILE,
            max_bytes=share(subjects.OBJECTS_FILES),
            discard=DiscardPolicy.NEW,
            allow_rollup_hdrs=True,
            allow_direct=True,
        ),
    ]


async def ensure_streams(bus: Bus, *, max_store: int, events_max: int, events_keep: float) -> None:
    """Create what is missing. What exists is left as it is: an operator may have changed it.

    Only the specs of a mesh made by an earlier release are given their longer history, and its
    journal no age; its streams for tasks, which nothing was written to, are laid out anew.
    """
    existing = {info.config.name: info.config for info in await bus.js.streams_info()}
    for config in layout(max_store, events_max, events_keep):
        if config.name in existing:
            if config.name == f"KV_{subjects.BUCKET_SPECS}":
                await _lengthen_history(bus, existing[config.name])
            elif config.name == subjects.STREAM_JOURNAL and existing[config.name].max_age:
                await _keep_for_ever(bus, existing[config.name])
            if not await _emptied(bus, config, existing[config.name]):
                continue
        try:
            await bus.js.add_stream(config)
        except nats.js.errors.APIError as error:
            if error.err_code == _STREAM_NAME_IN_USE:
                log.info("%s exists already with other settings: left as it is", config.name)
                continue
            raise SparkplugError(
                f"the server would not create {config.name}: {error.description}",
                where=bus.shown_url,
                hint="give it more room: nats.max_store in the settings, or the account's limits",
            ) from error


async def _emptied(bus: Bus, config: StreamConfig, before: StreamConfig) -> bool:
    """Remove a stream for tasks that an earlier release laid out and nothing was written to."""
    names = (subjects.STREAM_WORK, subjects.STREAM_DEAD)
    if config.name not in names or before.max_msgs_per_subject == config.max_msgs_per_subject:
        return False
    info = await bus.js.stream_info(config.name)
    if info.state.messages:
        log.warning("%s is laid out otherwise and not empty: left as it is", config.name)
        return False
    try:
        return bool(await bus.js.delete_stream(config.name))
    except nats.js.errors.APIError as error:
        log.warning("%s stays as it is: %s", config.name, error.description)
        return False


async def _lengthen_history(bus: Bus, config: StreamConfig) -> None:
    """Keep as many revisions as this release reads; a server that refuses keeps fewer."""
    if not 0 < (config.max_msgs_per_subject or 0) < SPEC_HISTORY:
        return
    try:
        await bus.js.update_stream(config.evolve(max_msgs_per_subject=SPEC_HISTORY))
    except nats.js.errors.APIError as error:
        log.warning("%s keeps its shorter history: %s", config.name, error.description)


async def _keep_for_ever(bus: Bus, config: StreamConfig) -> None:
    """The journal of an earlier release forgot runs by their age, also those that still wait."""
    try:
        await bus.js.update_stream(config.evolve(max_age=0))
    except nats.js.errors.APIError as error:
        log.warning("%s forgets runs by their age: %s", config.name, error.description)
