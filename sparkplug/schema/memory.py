"""What agents remember: items and where they came from, and what can be asked of them."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from sparkplug.schema.base import Record

#: Whose a memory is: `agent:NAME`, `run:ID`, `owner:NAME`, `group:NAME`, or `mesh` for all.
SCOPE = re.compile(r"mesh|(?:agent|run|owner|group):[A-Za-z0-9_][\w.@=-]{0,126}")
Scope = Annotated[str, StringConstraints(pattern=f"^(?:{SCOPE.pattern})$")]
#: Bytes of UTF-8 one memory may have: a line of a megabyte is kept whole.
MOST_TEXT_BYTES = 2 << 20
#: Seconds for which a deleted memory can be had back.
UNDO_S = 7 * 86400.0


class MemoryState(StrEnum):
    """Whether a memory is used: one in quarantine is shown to people, and given to no agent."""

    KEPT = "kept"
    QUARANTINED = "quarantined"
    DELETED = "deleted"


class MemorySource(StrEnum):
    """Who a memory is from. What came from `outside` is nobody's word of the mesh."""

    AGENT = "agent"
    PERSON = "person"
    OUTSIDE = "outside"
    DOCUMENT = "document"


class MemoryItem(Record):
    """One memory: what it says, whose it is, where it came from, how far it is trusted."""

    id: str
    text: str
    scope: str
    state: MemoryState = MemoryState.KEPT
    version: int = 1
    agent: str = Field("", description="the agent that wrote it; empty: a person or a folder")
    owner: str = ""
    run: str = ""
    step: str = ""
    message: str = Field("", description="the request in which it was written")
    host: str = ""
    author: str = Field("", description="agent/replica, or the user, by their proved identity")
    source: MemorySource = MemorySource.AGENT
    made: Literal["verbatim", "extracted"] = "verbatim"
    note: str = Field("", description="how it was made: by which model, or why by none")
    confidence: float = 1.0
    flags: list[str] = Field(default_factory=list)
    importance: float = 0.5
    strength: float = Field(1.0, description="importance now: it fades, and is kept up by use")
    created: datetime
    updated: datetime
    expires: datetime | None = None
    deleted: datetime | None = None
    deleted_by: str = ""
    deleted_why: str = ""
    said: int = Field(1, description="how often the same was said")
    reads: int = 0
    read_last: datetime | None = None
    size: int = Field(0, description="bytes of its text")
    path: str = Field("", description="of a document: the file it is from")
    line_from: int = 0
    line_to: int = 0
    labels: dict[str, str] = Field(default_factory=dict)


class Why(Record):
    """Why a memory was found: the parts its score is made of, each from 0 to 1."""

    semantic: float | None = Field(None, description="likeness of meaning; None: not compared")
    lexical: float | None = Field(
        None, description="the share of the question's words it holds, rare ones more; None: none"
    )
    strength: float = 0.0
    words: list[str] = Field(default_factory=list, description="words of the question in it")


class MemoryHit(MemoryItem):
    """A memory that was found."""

    score: float
    why: Why = Field(default_factory=Why)


class MemoryVersion(Record):
    """One wording a memory had."""

    version: int
    text: str
    time: datetime
    author: str = ""
    why: str = ""


class MemoryRead(Record):
    """Who read a memory: an agent, in a run, how often, and how that run ended."""

    run: str = ""
    agent: str = ""
    times: int = 1
    last: datetime
    ended: str = Field("", description="the state of the run now; empty: it is not known")


class MemorySaying(Record):
    """One time that the same was said: who, where, when."""

    author: str = ""
    agent: str = ""
    run: str = ""
    step: str = ""
    message: str = ""
    time: datetime


class MemoryAdd(Record):
    """Something to remember. Its id makes it one however often it is sent."""

    id: str = Field(default_factory=lambda: secrets.token_hex(16), pattern=r"^[0-9a-zA-Z-]{8,64}$")
    text: str = Field(min_length=1)
    scope: str = Field("", description="empty: the one the agent's file names")
    run: str = ""
    step: str = ""
    message: str = ""
    source: MemorySource | None = None
    confidence: float | None = Field(None, ge=0, le=1)
    importance: float = Field(0.5, ge=0, le=1)
    expires_seconds: float | None = Field(None, gt=0)
    infer: bool | None = Field(None, description="let a model say what is worth keeping")
    labels: dict[str, str] = Field(default_factory=dict)


class MemoryOutcome(Record):
    """What became of something that was to be remembered."""

    write: str
    state: Literal["waiting", "extracting", "stored", "same", "quarantined", "refused"]
    ids: list[str] = Field(default_factory=list)
    error: str = ""


class OutcomeRequest(Record):
    """Ask what became of a write, waiting for at most so many seconds."""

    write: str
    wait: float = Field(0.0, ge=0, le=30)


class SearchRequest(Record):
    """Look for memories by what they mean and by the words in them."""

    query: str = Field(min_length=1, max_length=10_000)
    scopes: list[str] = Field(default_factory=list, description="empty: all that may be read")
    limit: int = Field(10, ge=1, le=200)
    run: str = Field("", description="the run in which it is read")
    quarantined: bool = Field(False, description="those in quarantine, too: for people")


class SearchReply(Record):
    """What was found, the best first, and how it was looked for."""

    hits: list[MemoryHit]
    took_ms: float = 0.0
    embedder: str = ""
    note: str = Field("", description="what was not compared, and why")


class ListRequest(Record):
    """List memories, the newest first."""

    scopes: list[str] = Field(default_factory=list)
    state: MemoryState = MemoryState.KEPT
    agent: str = ""
    flagged: bool = False
    since: datetime | None = None
    offset: int = Field(0, ge=0)
    limit: int = Field(200, ge=1, le=5000)
    chars: int = Field(400, ge=0, description="at most so many of each text; 0: all")


class ListReply(Record):
    """Memories, and how many there are of that kind."""

    items: list[MemoryItem]
    total: int


class ItemRequest(Record):
    """Ask for one memory, by its id or the beginning of it."""

    id: str = Field(min_length=4, max_length=64)


class MemoryDescription(Record):
    """All about one memory."""

    item: MemoryItem
    versions: list[MemoryVersion]
    reads: list[MemoryRead]
    sayings: list[MemorySaying]
    undo_until: datetime | None = None
    run_ended: str = Field("", description="how the run that wrote it ended")


class EditRequest(Record):
    """Change what a memory says, from the version it was read at; or how far it is trusted."""

    id: str
    text: str | None = None
    version: int | None = Field(None, description="refused when it is not that one any more")
    importance: float | None = Field(None, ge=0, le=1)
    confidence: float | None = Field(None, ge=0, le=1)
    scope: str | None = None
    expires_seconds: float | None = Field(None, description="0: never")
    why: str = ""


class ManyRequest(Record):
    """Delete memories, have them back, or judge those in quarantine."""

    ids: list[str] = Field(max_length=100_000)
    why: str = ""
    request: str = Field(
        default_factory=lambda: secrets.token_hex(16),
        max_length=64,
        description="names this request: one that comes again is answered as before",
    )


class ManyReply(Record):
    """What was changed, and what was not, with the reason of each."""

    changed: list[str]
    left: dict[str, str] = Field(default_factory=dict)


class ScopeUse(Record):
    """What one scope holds."""

    scope: str
    items: int = 0
    bytes: int = 0
    quarantined: int = 0
    deleted: int = 0
    newest: datetime | None = None


class AgentUse(Record):
    """What one agent has written, and what it may."""

    agent: str
    items: int
    bytes: int
    most_items: int
    most_bytes: int


class GrowthPoint(Record):
    """A span of time: what came and went in it, and what there was at its end."""

    time: datetime
    added: int = 0
    deleted: int = 0
    items: int = 0
    bytes: int = 0


class Reembedding(Record):
    """How far the memories are made comparable by another embedder."""

    embedder: str
    done: int
    total: int
    error: str = ""


class MemoryStats(Record):
    """How the memory is: where, how much, by what it compares, what it has in work."""

    node: str
    items: int
    bytes: int
    quarantined: int
    flagged: int
    deleted: int
    scopes: list[ScopeUse]
    agents: list[AgentUse]
    growth: list[GrowthPoint]
    embedder: str
    embedder_note: str = ""
    store: str = Field("", description="where vectors are kept: Mem0's provider")
    indexed: int = Field(0, description="memories whose vectors are stored")
    reembedding: Reembedding | None = None
    extraction: str = Field("", description="the model that extracts facts, or why there is none")
    extracting: int = 0
    waiting: int = Field(0, description="writes accepted and not yet stored")
    disk_bytes: int = 0
    folders: list[KnowledgeFolder] = Field(default_factory=list)


class KnowledgeFolder(Record):
    """A folder of documents that is part of what is known."""

    path: str
    scope: str
    files: int = 0
    chunks: int = 0
    watched: bool = True
    read: datetime | None = None
    error: str = ""


class IngestRequest(Record):
    """Read a folder (or file) of the memory's host, and go on watching it."""

    path: str
    scope: str = "mesh"
    watch: bool = True


class ForgetRequest(Record):
    """Let go of a folder and of all that was read from it."""

    path: str


class Proposal(Record):
    """Something that could be tidied, and what would be done. Nothing is done unasked."""

    kind: Literal["duplicate", "contradiction", "weak", "expired", "orphaned"]
    id: str = Field("", description="of a pair: the beginnings of both ids, A.B")
    keep: MemoryItem | None = None
    drop: MemoryItem
    likeness: float = 0.0
    why: str = ""
    decided: Literal["", "merge", "both"] = Field("", description="what was decided about it")
    decided_by: str = ""
    decided_at: datetime | None = None
    decided_why: str = ""


class PruneRequest(Record):
    """Tidy: find what could go, and delete it when `apply` is set.

    A contradiction is only ever proposed: which of two is true, a person says.
    """

    duplicates: bool = False
    contradictions: bool = False
    expired: bool = False
    weak_below: float | None = Field(None, ge=0, le=1)
    scopes: list[str] = Field(default_factory=list)
    compact: bool = False
    apply: bool = False
    limit: int = Field(1000, ge=1, le=10_000)


class PruneReply(Record):
    """What could go, what went, and the disk that was freed."""

    proposals: list[Proposal]
    deleted: list[str] = Field(default_factory=list)
    purged: int = Field(0, description="deleted for longer than they can be had back, now gone")
    freed_bytes: int = 0


class ExportRequest(Record):
    """A page of everything, losslessly: rows after `after`; of the next, lines from `part` on."""

    after: int = Field(0, ge=0)
    part: int = Field(0, ge=0)
    limit: int = Field(500, ge=1, le=5000)
    scopes: list[str] = Field(default_factory=list)


class ExportReply(Record):
    """Lines of JSON, one memory each with all its versions and readings."""

    lines: list[str]
    packed: str = Field("", description="in place of `lines`, one that is long: zlib in base64")
    after: int
    part: int = 0
    done: bool


class ImportRequest(Record):
    """Lines of an export. What is there already under the same id stays as it is."""

    lines: list[str] = Field(default_factory=list, max_length=5000)
    packed: str = Field("", description="lines that are long: zlib in base64")
    dry_run: bool = False


class ImportReply(Record):
    """How many lines were taken in, and how many were there."""

    added: int
    there: int


#: 16 bytes, as `memory.rows.digest` makes them.
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class ExportedHappening(Record):
    """What became of a memory, or who read it when."""

    time: datetime
    kind: str
    scope: str = ""
    by: str = ""
    run: str = ""
    times: int = 1
    why: str = ""


class ExportedDecision(Record):
    """What was decided about a memory and another; both by the digests of what they said."""

    other: str
    decision: Literal["merge", "both"]
    kind: Literal["duplicate", "contradiction"]
    digests: tuple[Digest, Digest]
    likeness: float = 0.0
    found: str = ""
    dropped: str = ""
    time: datetime
    author: str = ""
    why: str = ""


class ExportedMemory(Record):
    """One line of an export; of an item with long versions these come in lines after its first."""

    item: MemoryItem
    part: int = Field(0, description="from 1 on: versions alone of an item that came before")
    was: MemoryState = Field(
        MemoryState.KEPT, description="of a deleted one: what it is again when it is had back"
    )
    versions: list[MemoryVersion] = Field(default_factory=list)
    reads: list[MemoryRead] = Field(default_factory=list)
    sayings: list[MemorySaying] = Field(default_factory=list)
    happened: list[ExportedHappening] = Field(default_factory=list)
    decisions: list[ExportedDecision] = Field(default_factory=list)


class MemoryHome(Record):
    """Which node keeps the memory; it alone takes the lease. `moving` names where it goes."""

    node: str
    moving: str = ""
    handover: str = Field("", description="the object that holds all of it, while it moves")
    detail: dict[str, Any] = Field(default_factory=dict)


class MoveRequest(Record):
    """Have another node keep the memory."""

    node: str


class MoveReply(Record):
    """Where it goes, and how much of it."""

    node: str
    items: int


MemoryStats.model_rebuild()
