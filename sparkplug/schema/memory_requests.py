"""What can be asked of the memory: remembering, finding, changing."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.memory import MemoryHit, MemoryItem, MemorySource, MemoryState


class MemoryAdd(Record):
    """Something to remember. Its id makes it one however often it is sent."""

    id: str = Field(default_factory=lambda: secrets.token_hex(16), pattern=r"^[0-9a-zA-Z-]{8,64}$")
    text: str
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
