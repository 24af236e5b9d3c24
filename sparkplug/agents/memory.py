"""`ctx.memory`: what an agent knows, of itself and of what is shared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from sparkplug.bus import memory as wire
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.schema.base import Record
from sparkplug.schema.memory import MemoryDescription, MemoryHit, MemoryItem, MemorySource
from sparkplug.schema.memory_requests import (
    EditRequest,
    ItemRequest,
    ListReply,
    ListRequest,
    ManyReply,
    ManyRequest,
    MemoryAdd,
    MemoryOutcome,
    OutcomeRequest,
    SearchReply,
    SearchRequest,
)

_ASK_S = 20.0

ReplyT = TypeVar("ReplyT", bound=Record)


class AgentMemory:
    """The memory as one request of an agent sees it: who writes, in which run and step.

    Scopes are `agent:NAME` (its own; also by the word "agent"), `run:ID`, `owner:NAME`,
    `group:NAME` and `mesh`. Its own are all an agent has unless settings say more.
    """

    def __init__(
        self, bus: Bus, agent: str, owner: str, replica: str, ids: Mapping[str, object]
    ) -> None:
        self._bus = bus
        self._agent = agent
        self._owner = owner
        self._caller = subjects.memory_caller(agent, owner, replica)
        self._run = str(ids.get("run", ""))
        self._step = str(ids.get("step", ""))
        self._message = str(ids.get("message") or ids.get("key") or "")

    async def add(
        self,
        text: str,
        *,
        scope: str = "",
        source: Literal["agent", "outside"] = "agent",
        confidence: float | None = None,
        importance: float = 0.5,
        expires: float | None = None,
        infer: bool | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Have something remembered; returns the id of the write once the mesh has stored it.

        That takes a millisecond: a model that extracts facts, and the store, come after. Say
        `source="outside"` of what a page, a file or a stranger said. `expires` in seconds;
        `infer=False` keeps the words as they are. Raises InvalidError for a text beyond 2 MiB,
        SparkplugError when so much waits that no more is taken.
        """
        request = MemoryAdd(
            text=text,
            scope=self._scope(scope),
            run=self._run,
            step=self._step,
            message=self._message,
            source=MemorySource(source),
            confidence=confidence,
            importance=importance,
            expires_seconds=expires,
            infer=infer,
            labels=dict(labels or {}),
        )
        await wire.write(self._bus, self._caller, request)
        return request.id

    async def outcome(self, write: str, *, wait: float = 10.0) -> MemoryOutcome:
        """What became of a write, waiting at most `wait` seconds for it (30 are the most)."""
        request = OutcomeRequest(write=write, wait=wait)
        return await self._ask("outcome", request, MemoryOutcome, wait + _ASK_S)

    async def search(
        self, query: str, *, limit: int = 10, scopes: Sequence[str] = ()
    ) -> list[MemoryHit]:
        """The memories that fit a question best, each with its score and why.

        Looks in all it may read, or in `scopes`. Raises RefusedError for one it may not,
        NoMeshError when the memory is away: an empty list means that there is nothing.
        """
        request = SearchRequest(
            query=query, scopes=[self._scope(s) for s in scopes], limit=limit, run=self._run
        )
        return (await self._ask("search", request, SearchReply)).hits

    async def list(
        self, *, limit: int = 50, offset: int = 0, scopes: Sequence[str] = ()
    ) -> list[MemoryItem]:
        """Memories, the newest first."""
        request = ListRequest(
            scopes=[self._scope(s) for s in scopes], limit=limit, offset=offset, chars=0
        )
        return (await self._ask("list", request, ListReply)).items

    async def describe(self, id: str) -> MemoryDescription:  # noqa: A002
        """All about one. Raises NotFoundError, also for one it may not read."""
        return await self._ask("describe", ItemRequest(id=id), MemoryDescription)

    async def edit(self, id: str, text: str, *, version: int | None = None) -> MemoryItem:  # noqa: A002
        """Change one that it wrote. Raises ConflictError when `version` is not its newest."""
        request = EditRequest(id=id, text=text, version=version)
        return await self._ask("edit", request, MemoryItem)

    async def delete(self, *ids: str) -> ManyReply:
        """Delete some that it wrote; they can be had back for seven days."""
        return await self._ask("delete", ManyRequest(ids=list(ids)), ManyReply)

    async def undo(self, *ids: str) -> ManyReply:
        """Have deleted ones back."""
        return await self._ask("undo", ManyRequest(ids=list(ids)), ManyReply)

    def _scope(self, scope: str) -> str:
        """The short words for what is its own."""
        match scope:
            case "agent":
                return f"agent:{self._agent}"
            case "owner":
                return f"owner:{self._owner}"
            case "run" if self._run:
                return f"run:{self._run}"
        return scope

    async def _ask(
        self, verb: str, request: Record, reply: type[ReplyT], deadline: float = _ASK_S
    ) -> ReplyT:
        return await wire.ask(self._bus, verb, self._caller, request, reply, deadline=deadline)
