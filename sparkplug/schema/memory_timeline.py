"""What happened to memories over time, and what can be asked of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record

#: Spans of time one answer is divided into, at most.
MOST_SPANS = 500


class HappeningKind(StrEnum):
    """What can happen to a memory."""

    ADDED = "added"
    SAID = "said"  # the same again
    EDITED = "edited"
    READ = "read"
    DELETED = "deleted"
    RESTORED = "restored"
    QUARANTINED = "quarantined"
    RELEASED = "released"
    MOVED = "moved"  # to another scope
    WEIGHED = "weighed"  # another importance, confidence or end
    MERGED = "merged"  # what said the same was taken into it
    KEPT = "kept"  # a proposal to tidy it was dismissed


class Happening(Record):
    """One thing that happened to one memory."""

    time: datetime
    kind: HappeningKind
    id: str = Field(description="the memory's")
    scope: str
    by: str = Field("", description="agent/replica, agent or user; empty: the memory itself")
    run: str = Field("", description="the run in which it happened")
    ended: str = Field("", description="of a reading: the state of its run now")
    times: int = Field(1, description="of a reading: how often within that minute")
    version: int = Field(0, description="of an edit: the version it made")
    why: str = ""
    text: str = Field("", description="what it says now, cut; of an edit what that version says")
    state: Literal["kept", "quarantined", "deleted", "gone"] = Field(
        "kept", description="the memory's now; gone: it cannot be had back any more"
    )


class TimelineSpan(Record):
    """How often what happened in one span of time."""

    start: datetime
    counts: dict[HappeningKind, int] = Field(default_factory=dict)


class TimelineRequest(Record):
    """Ask what happened, the newest first. Without an item or scopes: to all memories."""

    item: str = Field("", max_length=64, description="id of one memory, or its beginning")
    scopes: list[str] = Field(default_factory=list, max_length=5000)
    kinds: list[HappeningKind] = Field(default_factory=list, max_length=20)
    by: str = Field("", max_length=200, description="only what this agent or user did")
    run: str = Field("", max_length=128)
    since: datetime | None = None
    until: datetime | None = None
    before: str = Field("", max_length=80, description="`more` of the page before")
    limit: int = Field(200, ge=0, le=1000)
    spans: int = Field(0, ge=0, le=MOST_SPANS, description="also count, in so many spans of time")
    chars: int = Field(200, ge=0, le=4000)


class TimelineReply(Record):
    """A page of what happened; with `spans`, how much there is of it when."""

    happenings: list[Happening]
    more: str = Field("", description="give it as `before` for the next page; empty: that is all")
    total: int | None = Field(None, description="of all pages; counted with `spans` alone")
    spans: list[TimelineSpan] = Field(default_factory=list)
    since: datetime | None = None
    until: datetime | None = None
    reads_since: datetime | None = Field(
        None, description="readings before are not kept one by one; None: all are"
    )
    said_since: datetime | None = Field(
        None, description="who said the same again before is not kept; None: all are"
    )
