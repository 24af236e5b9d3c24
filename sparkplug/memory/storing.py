"""Storing items: one of a fact in a scope, whoever says it and however often."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from sparkplug.memory import happened, retention
from sparkplug.memory.rows import digest
from sparkplug.memory.wording import index_words
from sparkplug.schema.memory import MemoryState
from sparkplug.schema.memory_timeline import HappeningKind

#: Names of items are made of the write that brought them, so that one that comes again is known.
_NAMES = uuid.UUID("6f2f0d46-54a8-4e0e-9a1d-2f0f1a5c7b10")


def item_id(write: str, number: int = 0) -> str:
    """The id of the item that a write brings; of several, the one of that number."""
    return str(uuid.uuid5(_NAMES, f"{write}/{number}"))


@dataclass(slots=True)
class NewItem:
    """A memory that is to be stored."""

    id: str
    text: str
    scope: str
    agent: str = ""
    owner: str = ""
    run: str = ""
    step: str = ""
    message: str = ""
    host: str = ""
    author: str = ""
    source: str = "agent"
    made: str = "verbatim"
    note: str = ""
    confidence: float = 1.0
    flags: list[str] = field(default_factory=list)
    quarantined: bool = False
    importance: float = 0.5
    expires: float | None = None
    path: str = ""
    line_from: int = 0
    line_to: int = 0
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Stored:
    """What became of a new item: its id, and whether the same was known already."""

    id: str
    same: bool
    quarantined: bool


def store(items: Iterable[NewItem], db: sqlite3.Connection) -> list[Stored]:
    """Store items. What is known in its scope is noted to have been said again."""
    now = time.time()
    return [_store(item, db, now) for item in items]


def _store(item: NewItem, db: sqlite3.Connection, now: float) -> Stored:
    key = digest(item.text)
    known = db.execute(
        "SELECT row, id, state, said FROM items"
        " WHERE scope = ? AND digest = ? AND state != 'deleted'",
        (item.scope, key),
    ).fetchone()
    who = (item.author, item.agent, item.run, item.step, item.message)
    if known is not None:
        if item.path:
            db.execute(
                "INSERT OR IGNORE INTO also_in (item, path) VALUES (?, ?)",
                (known["row"], item.path),
            )
        elif known["id"] != item.id:
            db.execute("UPDATE items SET said = said + 1 WHERE row = ?", (known["row"],))
            saying = db.execute(
                "INSERT INTO sayings (item, time, author, agent, run, step, message)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (known["row"], now, *who),
            )
            retention.after_saying(db, known["row"], saying.lastrowid or 0, known["said"] + 1)
        return Stored(known["id"], True, known["state"] == MemoryState.QUARANTINED)
    state = MemoryState.QUARANTINED if item.quarantined else MemoryState.KEPT
    cursor = db.execute(
        "INSERT OR IGNORE INTO items (id, scope, digest, state, version, agent, owner, run,"
        " step, message, host, author, source, made, note, confidence, flags, importance,"
        " created, updated, expires, deleted, deleted_by, deleted_why, was, said, reads,"
        " read_last, size, path, line_from, line_to, labels, text)"
        " VALUES (?,?,?,?,1,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,NULL,'','','',1,0,NULL,"
        "?,?,?,?,?,?)",
        (
            *(item.id, item.scope, key, str(state), item.agent, item.owner, item.run),
            *(item.step, item.message, item.host, item.author, item.source, item.made),
            *(item.note, item.confidence, json.dumps(item.flags) if item.flags else ""),
            *(item.importance, now, now, item.expires),
            *(len(item.text.encode(errors="surrogatepass")), item.path),
            *(item.line_from, item.line_to, json.dumps(item.labels) if item.labels else ""),
            item.text,
        ),
    )
    if not cursor.rowcount:  # it was stored before, and deleted since
        return Stored(item.id, True, item.quarantined)
    row = cursor.lastrowid
    db.execute(
        "INSERT INTO versions (item, version, text, time, author, why) VALUES (?, 1, ?, ?, ?, '')",
        (row, item.text, now, item.author),
    )
    if state is MemoryState.KEPT:
        db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, index_words(item.text)))
    else:
        made = db.execute("SELECT * FROM items WHERE row = ?", (row,)).fetchone()
        happened.note(db, HappeningKind.QUARANTINED, made, "", ", ".join(item.flags))
    return Stored(item.id, False, item.quarantined)
