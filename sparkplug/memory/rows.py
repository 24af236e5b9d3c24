"""Rows of the catalogue as the records they are, and the other way round."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sqlite3
import time
from datetime import UTC, datetime
from typing import Any

from sparkplug.schema.memory import (
    MemoryItem,
    MemoryRead,
    MemorySaying,
    MemorySource,
    MemoryState,
    MemoryVersion,
)

_SPACE = re.compile(r"\s+")


def when(value: float | None) -> datetime | None:
    """Seconds since the epoch as a moment."""
    return None if value is None else datetime.fromtimestamp(value, UTC)


def digest(text: str) -> bytes:
    """What two wordings of one fact share: all but case and white space."""
    return hashlib.blake2b(
        _SPACE.sub(" ", text).strip().casefold().encode(errors="surrogatepass"), digest_size=16
    ).digest()


def strength(row: sqlite3.Row, half_life: float, now: float | None = None) -> float:
    """The importance of an item now, 0 to 1: it halves with the time unread, use keeps it up."""
    age = max(0.0, (now or time.time()) - (row["read_last"] or row["updated"]))
    kept_up = half_life * (1.0 + math.log1p(row["reads"]))
    return float(row["importance"]) * float(0.5 ** (age / kept_up))


def item_of(row: sqlite3.Row, half_life: float, chars: int = 0) -> MemoryItem:
    """The record of a row, with at most `chars` of its text (0: all)."""
    return MemoryItem.model_construct(**fields_of(row, half_life, chars))


def fields_of(row: sqlite3.Row, half_life: float, chars: int = 0) -> dict[str, Any]:
    """The fields of an item's record."""
    text = row["text"]
    return {
        "v": 1,
        "id": row["id"],
        "text": text[:chars] if chars else text,
        "scope": row["scope"],
        "state": MemoryState(row["state"]),
        "version": row["version"],
        "agent": row["agent"],
        "owner": row["owner"],
        "run": row["run"],
        "step": row["step"],
        "message": row["message"],
        "host": row["host"],
        "author": row["author"],
        "source": MemorySource(row["source"]),
        "made": row["made"],
        "note": row["note"],
        "confidence": row["confidence"],
        "flags": json.loads(row["flags"]) if row["flags"] else [],
        "importance": row["importance"],
        "strength": round(strength(row, half_life), 4),
        "created": when(row["created"]),
        "updated": when(row["updated"]),
        "expires": when(row["expires"]),
        "deleted": when(row["deleted"]),
        "deleted_by": row["deleted_by"],
        "deleted_why": row["deleted_why"],
        "said": row["said"],
        "reads": row["reads"],
        "read_last": when(row["read_last"]),
        "size": row["size"],
        "path": row["path"],
        "line_from": row["line_from"],
        "line_to": row["line_to"],
        "labels": json.loads(row["labels"]) if row["labels"] else {},
    }


def version_of(row: sqlite3.Row) -> MemoryVersion:
    """A wording it had."""
    return MemoryVersion(
        version=row["version"],
        text=row["text"],
        time=datetime.fromtimestamp(row["time"], UTC),
        author=row["author"],
        why=row["why"],
    )


def read_of(row: sqlite3.Row) -> MemoryRead:
    """Who read it."""
    return MemoryRead(
        run=row["run"],
        agent=row["agent"],
        times=row["times"],
        last=datetime.fromtimestamp(row["last"], UTC),
    )


def saying_of(row: sqlite3.Row) -> MemorySaying:
    """Who said it again."""
    return MemorySaying(
        author=row["author"],
        agent=row["agent"],
        run=row["run"],
        step=row["step"],
        message=row["message"],
        time=datetime.fromtimestamp(row["time"], UTC),
    )
