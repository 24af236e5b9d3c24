"""What agents remember: items, what they said before, where they came from, who read them."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sparkplug.schema.base import Record
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.text import one_line

#: Whose a memory is: `agent:NAME`, `run:ID`, `owner:NAME`, `group:NAME`, or `mesh` for all.
SCOPE = re.compile(r"mesh|(?:agent|run|owner|group):[A-Za-z0-9_][\w.@=-]{0,126}")
Scope = Annotated[str, StringConstraints(pattern=f"^(?:{SCOPE.pattern})$")]


def check_scope(scope: str) -> None:
    """Raise InvalidError for what is no scope."""
    if not SCOPE.fullmatch(scope):
        raise InvalidError(
            f"{one_line(scope)[:80]!r} is no scope",
            hint="agent:NAME, run:ID, owner:NAME, group:NAME or mesh",
        )


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


class MemoryDescription(Record):
    """All about one memory."""

    item: MemoryItem
    versions: list[MemoryVersion]
    reads: list[MemoryRead]
    sayings: list[MemorySaying]
    undo_until: datetime | None = None
    run_ended: str = Field("", description="how the run that wrote it ended")
