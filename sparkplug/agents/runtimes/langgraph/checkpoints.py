"""A LangGraph checkpointer on JetStream: an agent's threads outlive its process and its host.

A checkpoint is a message, and so are the writes of each task that finished within a superstep
(`sparkplug.bus.kept`); both are on disk before the graph goes on. Which there are the node tells.
Source: `langgraph.checkpoint.base`, as its public conformance suite holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.kept import Kept, kept_token, pack, unpack
from sparkplug.bus.service import call
from sparkplug.schema.checkpoint import KEPT, CheckpointsReply, CheckpointsRequest
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.thread import ThreadView

_ASK_S = 10.0
#: Messages that are read at the same time.
_AT_ONCE = 32


class JetStreamSaver(BaseCheckpointSaver[str]):
    """Checkpoints of one agent. Asynchronous alone: graphs are run so here."""

    def __init__(
        self, bus: Bus, agent: str, replica: str, *, serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde)
        self._bus = bus
        self._kept = Kept(bus, agent)
        self._subject = subjects.agent_service(agent, replica, "checkpoints")
        #: How many too many there were of a thread when it was last looked at.
        self._spare: dict[tuple[str, str], int] = {}

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint."""
        thread, ns = _place(config)
        kind, body = self.serde.dumps_typed(checkpoint)
        told, about = self.serde.dumps_typed(get_checkpoint_metadata(config, metadata))
        head = {
            "v": 1,
            "thread": thread,
            "ns": ns,
            "id": checkpoint["id"],
            "parent": config["configurable"].get("checkpoint_id") or "",
            "types": [kind, told],
        }
        await self._kept.put(_name(thread, ns, "c", checkpoint["id"]), pack(head, body, about))
        return _config(thread, ns, checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a task has written. Of the special channels the last counts, else the first."""
        thread, ns = _place(config)
        id_ = str(config["configurable"]["checkpoint_id"])
        usual: dict[int, tuple[str, Any]] = {}
        for number, (channel, value) in enumerate(writes):
            special = WRITES_IDX_MAP.get(channel)
            if special is None:
                usual[number] = (channel, value)
                continue
            name = _name(thread, ns, "w", id_, task_id, f"s{-special}")
            await self._kept.put(
                name, self._pack_writes(task_id, task_path, {special: (channel, value)})
            )
        if usual:
            name = _name(thread, ns, "w", id_, task_id, "n")
            await self._put_usual(name, task_id, task_path, usual)

    async def _put_usual(
        self, name: str, task: str, path: str, writes: dict[int, tuple[str, Any]]
    ) -> None:
        if await self._kept.put(name, self._pack_writes(task, path, writes), new=True):
            return
        data = await self._kept.get(name)
        if data is None:
            await self._kept.put(name, self._pack_writes(task, path, writes))
            return
        head, parts = unpack(data)
        missing = {n: w for n, w in writes.items() if n not in head["at"]}
        if not missing:
            return
        for number, (channel, value) in missing.items():
            kind, body = self.serde.dumps_typed(value)
            head["at"].append(number)
            head["channels"].append(channel)
            head["types"].append(kind)
            parts.append(body)
        await self._kept.put(name, pack(head, *parts))

    def _pack_writes(self, task: str, path: str, writes: dict[int, tuple[str, Any]]) -> bytes:
        typed = [self.serde.dumps_typed(value) for _, value in writes.values()]
        head = {
            "v": 1,
            "task": task,
            "path": path,
            "at": list(writes),
            "channels": [channel for channel, _ in writes.values()],
            "types": [kind for kind, _ in typed],
        }
        return pack(head, *(body for _, body in typed))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint of a config: the one it names, else the newest of its thread."""
        thread, ns = _place(config)
        id_ = get_checkpoint_id(config)
        reply = await self._call(_request("latest", thread, ns, [id_] if id_ else []))
        names = sorted(reply.found, key=_is_checkpoint, reverse=True)
        if not names or not _is_checkpoint(names[0]):
            return None
        found = await self._read(names[0], names[1:])
        if found is not None and not id_ and reply.spare:
            await self._trim(found, reply.spare)
        return found

    async def _trim(self, newest: CheckpointTuple, spare: int) -> None:
        """Have the oldest of a thread deleted, but for those the newest is rebuilt from."""
        thread, ns = _place(newest.config)
        if not newest.metadata.get("counters_since_delta_snapshot"):
            await self._ask("trim", thread, ns)
            return
        if spare < self._spare.get((thread, ns), 0) + KEPT:
            return
        self._spare[thread, ns] = spare
        place = _config(thread, ns, "")
        found = [one async for one in self.alist(place)]
        needed = _needed(found)
        ids = [one.checkpoint["id"] for one in found[KEPT:]]
        doomed = [id_ for id_ in ids if id_ not in needed]
        if doomed:
            self._spare.pop((thread, ns))
            await self._ask("delete", thread, ns, doomed)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  the base's own
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints that match, the newest first."""
        configurable = (config or {}).get("configurable", {})
        thread, ns = configurable.get("thread_id"), configurable.get("checkpoint_ns")
        found = await self._ask("list", thread, ns)
        only = get_checkpoint_id(config) if config else None
        until = get_checkpoint_id(before) if before else None
        writes: dict[str, list[str]] = {}
        names = []
        for name in found:
            if _is_checkpoint(name):
                names.append(name)
            else:
                writes.setdefault(_owner(name), []).append(name)
        # Ids are UUIDs of version 6: their order is that of time.
        names.sort(key=lambda name: name.rsplit(".", 1)[1], reverse=True)
        left = limit
        for name in names:
            id_ = name.rsplit(".", 1)[1]
            if (only and id_ != kept_token(only)) or (until and id_ >= kept_token(until)):
                continue
            if left == 0:
                return
            one = await self._read(name, writes.get(_owner(name), []))
            if one is None or not _matches(one.metadata, filter):
                continue
            yield one
            left = None if left is None else left - 1

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all that is kept of a thread."""
        await self._ask("delete", thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that these runs made, in all threads."""
        runs = set(run_ids)
        doomed: dict[tuple[str, str], list[str]] = {}
        async for one in self.alist(None):
            if one.metadata.get("run_id") in runs:
                doomed.setdefault(_place(one.config), []).append(one.checkpoint["id"])
        for (thread, ns), ids in doomed.items():
            await self._ask("delete", thread, ns, ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all that is kept of a thread, every checkpoint with its writes."""
        mark = f"{kept_token(source_thread_id)}."
        for name in await self._ask("list", source_thread_id):
            data = await self._kept.get(name)
            if data is None:
                continue
            if _is_checkpoint(name):
                head, parts = unpack(data)
                data = pack({**head, "thread": target_thread_id}, *parts)
            copied = f"{kept_token(target_thread_id)}.{name.removeprefix(mark)}"
            await self._kept.put(copied, data)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all of these threads, or all but the newest checkpoint of each namespace.

        Raises ValueError for another strategy. Of a graph with delta channels the ancestors that
        its newest checkpoint needs are kept.
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"no such strategy: {strategy}")
        for thread in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread)
                continue
            spaces: dict[str, list[CheckpointTuple]] = {}
            async for one in self.alist({"configurable": {"thread_id": thread}}):
                spaces.setdefault(_place(one.config)[1], []).append(one)
            for ns, found in spaces.items():
                needed = _needed(found)
                doomed = [
                    one.checkpoint["id"] for one in found if one.checkpoint["id"] not in needed
                ]
                if doomed:
                    await self._ask("delete", thread, ns, doomed)

    async def threads(self, limit: int) -> list[ThreadView]:
        """The threads that are kept, the newest first."""
        newest: dict[str, str] = {}
        root = kept_token("")
        for name in await self._ask("list", None):
            parts = name.split(".")
            if not _is_checkpoint(name) or parts[1] != root:
                continue
            if parts[0] not in newest or newest[parts[0]].rsplit(".", 1)[1] < parts[3]:
                newest[parts[0]] = name
        names = sorted(newest.values(), key=lambda name: name.rsplit(".", 1)[1], reverse=True)
        views = []
        for name in names[:limit]:
            one = await self._read(name, [])
            if one is not None:
                views.append(
                    ThreadView(
                        thread=str(one.config["configurable"]["thread_id"]),
                        checkpoint=one.checkpoint["id"],
                        updated=cast("Any", one.checkpoint["ts"]),
                        step=one.metadata.get("step"),
                    )
                )
        return views

    async def _ask(
        self, verb: str, thread: str | None = None, ns: str | None = None, ids: Sequence[str] = ()
    ) -> list[str]:
        request = _request(verb, thread, ns, ids)
        found: list[str] = []
        while True:
            reply = await self._call(request)
            found += reply.found
            if not reply.more:
                return found
            request.before = reply.found[-1].split(".", 4)[3]

    async def _call(self, request: CheckpointsRequest) -> CheckpointsReply:
        return await call(self._bus, self._subject, request, CheckpointsReply, deadline=_ASK_S)

    async def _read(self, name: str, writes: Sequence[str]) -> CheckpointTuple | None:
        data, *written = await asyncio.gather(
            self._kept.get(name), *(self._kept.get(one) for one in writes[:_AT_ONCE])
        )
        for at in range(_AT_ONCE, len(writes), _AT_ONCE):
            some = writes[at : at + _AT_ONCE]
            written += await asyncio.gather(*(self._kept.get(one) for one in some))
        if data is None:
            return None
        try:
            head, (body, about) = unpack(data)
            thread, ns, id_ = head["thread"], head["ns"], head["id"]
            checkpoint = self.serde.loads_typed((head["types"][0], body))
            metadata = self.serde.loads_typed((head["types"][1], about))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise SparkplugError(f"a checkpoint does not hold: {error}", where=name) from error
        return CheckpointTuple(
            config=_config(thread, ns, id_),
            checkpoint=checkpoint,
            metadata=metadata,
            parent_config=_config(thread, ns, head["parent"]) if head["parent"] else None,
            pending_writes=self._pending(written),
        )

    def _pending(self, written: Sequence[bytes | None]) -> list[PendingWrite]:
        """The writes in the order in which they are applied."""
        found: list[tuple[tuple[str, str, int], PendingWrite]] = []
        for data in written:
            if data is None:
                continue
            head, parts = unpack(data)
            told = zip(head["at"], head["channels"], head["types"], parts, strict=True)
            for number, channel, kind, body in told:
                value = self.serde.loads_typed((kind, body))
                order = (str(head["path"]), str(head["task"]), int(number))
                found.append((order, (head["task"], channel, value)))
        return [write for _, write in sorted(found, key=lambda pair: pair[0])]


def _request(
    verb: str, thread: str | None, ns: str | None, ids: Sequence[str]
) -> CheckpointsRequest:
    return CheckpointsRequest.model_validate(
        {
            "verb": verb,
            "thread": kept_token(thread) if thread is not None else "",
            "ns": kept_token(ns) if ns is not None else "",
            "ids": [kept_token(one) for one in ids],
        }
    )


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    return str(configurable["thread_id"]), str(configurable.get("checkpoint_ns") or "")


def _config(thread: str, ns: str, id_: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id_}}


def _name(thread: str, ns: str, kind: str, *rest: str) -> str:
    return ".".join((kept_token(thread), kept_token(ns), kind, *map(kept_token, rest)))


def _is_checkpoint(name: str) -> bool:
    return name.split(".", 3)[2] == "c"


def _owner(name: str) -> str:
    """The thread, namespace and id a name belongs to."""
    parts = name.split(".")
    return ".".join((parts[0], parts[1], parts[3]))


def _matches(metadata: CheckpointMetadata, wanted: dict[str, Any] | None) -> bool:
    told = cast("dict[str, Any]", metadata)
    return all(key in told and told[key] == value for key, value in (wanted or {}).items())


def _needed(found: Sequence[CheckpointTuple]) -> set[str]:
    """The newest, and what a delta channel of it is rebuilt from; `found` has the newest first."""
    newest = found[0]
    needed = {newest.checkpoint["id"]}
    by_id = {one.checkpoint["id"]: one for one in found}
    missing = set(newest.checkpoint["channel_versions"]) - set(newest.checkpoint["channel_values"])
    missing = {
        name
        for name in missing
        if name in (newest.metadata.get("counters_since_delta_snapshot") or {})
    }
    one: CheckpointTuple | None = newest
    while missing and one is not None and one.parent_config:
        one = by_id.get(one.parent_config["configurable"]["checkpoint_id"])
        if one is not None:
            needed.add(one.checkpoint["id"])
            missing -= set(one.checkpoint["channel_values"])
    return needed
