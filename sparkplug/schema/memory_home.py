"""Where the memory is kept, and having it kept elsewhere."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sparkplug.schema.base import Record


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
    folders: list[str] = Field(
        default_factory=list, description="folders of documents that it does not watch from there"
    )
