"""Tidying the memory: what could go, and what went."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.memory import MemoryItem


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
    request: str = Field("", max_length=64, description="names it, to be asked how far it is")


class PruneReply(Record):
    """What could go, what went, and the disk that was freed."""

    proposals: list[Proposal]
    deleted: list[str] = Field(default_factory=list)
    more: bool = Field(False, description="there is more of it than was asked for")
    compared: int = Field(0, description="memories that were compared with each other")
    items: int = Field(0, description="memories there are; more than are compared at once")
    purged: int = Field(0, description="deleted for longer than they can be had back, now gone")
    freed_bytes: int = 0
