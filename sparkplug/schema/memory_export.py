"""The memory as lines of JSON, all of it, out and in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sparkplug.schema.base import Record
from sparkplug.schema.memory import MemoryItem, MemoryRead, MemorySaying, MemoryState, MemoryVersion


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
