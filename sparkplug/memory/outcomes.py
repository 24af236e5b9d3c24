"""What became of writes and how requests were answered: kept, so that one sent again is known."""

from __future__ import annotations

import sqlite3
import time

from sparkplug.schema.memory_requests import MemoryOutcome

_KEEP_S = 2 * 86400.0


def outcome(db: sqlite3.Connection, write: str) -> MemoryOutcome | None:
    """What became of a write; None when it never came."""
    found = db.execute("SELECT outcome FROM writes WHERE id = ?", (write,)).fetchone()
    return MemoryOutcome.model_validate_json(found["outcome"]) if found else None


def set_outcome(db: sqlite3.Connection, made: MemoryOutcome) -> None:
    """Note what became of a write."""
    db.execute(
        "INSERT INTO writes (id, time, outcome) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome",
        (made.write, time.time(), made.model_dump_json()),
    )


def answer(db: sqlite3.Connection, request: str) -> str | None:
    """How a request was answered; None when it was not yet."""
    found = db.execute("SELECT outcome FROM writes WHERE id = ?", (f"ask {request}",)).fetchone()
    return str(found["outcome"]) if found else None


def set_answer(db: sqlite3.Connection, request: str, reply: str) -> None:
    """Note how a request was answered, in the transaction that did what it asks."""
    db.execute(
        "INSERT OR REPLACE INTO writes (id, time, outcome) VALUES (?, ?, ?)",
        (f"ask {request}", time.time(), reply),
    )


def forget_old(db: sqlite3.Connection) -> None:
    """Let go of what nobody sends again."""
    db.execute("DELETE FROM writes WHERE time < ?", (time.time() - _KEEP_S,))
