"""What people decided about pairs of memories: kept so that nothing is proposed twice.

A pair is named by both ids, in their order. That both are kept holds for the words they have;
of a merge it is known what was taken into the one that stayed, so that it can be taken back.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sparkplug.memory import retention
from sparkplug.schema.memory_export import ExportedDecision

TABLE = """
CREATE TABLE IF NOT EXISTS settled (
    one TEXT NOT NULL, other TEXT NOT NULL,
    one_digest BLOB NOT NULL, other_digest BLOB NOT NULL,
    decision TEXT NOT NULL, kind TEXT NOT NULL, likeness REAL NOT NULL, found TEXT NOT NULL,
    dropped TEXT NOT NULL, time REAL NOT NULL, author TEXT NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (one, other)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS settled_with ON settled (other);
CREATE INDEX IF NOT EXISTS settled_dropped ON settled (dropped) WHERE dropped != '';
CREATE INDEX IF NOT EXISTS settled_when ON settled (time);
"""

Pair = tuple[str, str]


def pair(one: str, other: str) -> Pair:
    """Two ids in their order."""
    return (one, other) if one < other else (other, one)


def put(
    db: sqlite3.Connection,
    decision: str,
    kept: sqlite3.Row,
    other: sqlite3.Row,
    *,
    kind: str,
    likeness: float,
    found: str,
    author: str,
    why: str,
) -> None:
    """Note a decision: `both`, or `merge`, of which `other` is what goes."""
    first, second = (kept, other) if kept["id"] < other["id"] else (other, kept)
    dropped = other["id"] if decision == "merge" else ""
    db.execute(
        "INSERT OR REPLACE INTO settled (one, other, one_digest, other_digest, decision, kind,"
        " likeness, found, dropped, time, author, why) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            *(first["id"], second["id"], first["digest"], second["digest"], decision, kind),
            *(likeness, found, dropped, time.time(), author, why),
        ),
    )


def get(db: sqlite3.Connection, ids: Pair) -> sqlite3.Row | None:
    """What was decided about a pair."""
    found: sqlite3.Row | None = db.execute(
        "SELECT * FROM settled WHERE one = ? AND other = ?", ids
    ).fetchone()
    return found


def kept_apart(db: sqlite3.Connection) -> set[Pair]:
    """The pairs of which both are kept, and say what they said then."""
    return {
        (row["one"], row["other"])
        for row in db.execute(
            "SELECT s.one, s.other FROM settled s"
            " JOIN items a ON a.id = s.one AND a.digest = s.one_digest"
            " JOIN items b ON b.id = s.other AND b.digest = s.other_digest"
            " WHERE s.decision = 'both'"
        )
    }


def take_in(db: sqlite3.Connection, kept: sqlite3.Row, other: sqlite3.Row) -> None:
    """Who said `other`, and how often, is from now on told of `kept`."""
    mine = [(kept["row"], *saying) for saying in _sayings(db, other)]
    db.executemany(
        "INSERT INTO sayings (item, time, author, agent, run, step, message)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        mine,
    )
    db.execute("UPDATE items SET said = said + ? WHERE row = ?", (other["said"], kept["row"]))
    retention.trim_sayings_of(db, kept["row"])


def take_back(db: sqlite3.Connection, dropped: sqlite3.Row) -> None:
    """An item that a merge dropped is there again: the one that stayed no longer speaks for it."""
    merged = db.execute(
        "SELECT * FROM settled WHERE dropped = ? AND decision = 'merge'", (dropped["id"],)
    ).fetchone()
    if merged is None:
        return
    stayed = merged["one"] if merged["other"] == dropped["id"] else merged["other"]
    kept = db.execute("SELECT * FROM items WHERE id = ?", (stayed,)).fetchone()
    if kept is not None and merged["kind"] == "duplicate":
        for saying in _sayings(db, dropped):
            db.execute(
                "DELETE FROM sayings WHERE rowid = (SELECT rowid FROM sayings WHERE item = ?"
                " AND time = ? AND author = ? AND agent = ? AND run = ? AND step = ?"
                " AND message = ? LIMIT 1)",
                (kept["row"], *saying),
            )
        db.execute(
            "UPDATE items SET said = max(1, said - ?) WHERE row = ?",
            (dropped["said"], kept["row"]),
        )
    db.execute("DELETE FROM settled WHERE one = ? AND other = ?", (merged["one"], merged["other"]))


def _sayings(db: sqlite3.Connection, item: sqlite3.Row) -> list[tuple[object, ...]]:
    """Who said an item: the first, then the others."""
    first = (item["created"], *(item[n] for n in ("author", "agent", "run", "step", "message")))
    again = db.execute(
        "SELECT time, author, agent, run, step, message FROM sayings WHERE item = ? ORDER BY rowid",
        (item["row"],),
    ).fetchall()
    return [first, *(tuple(row) for row in again)]


def open_again(db: sqlite3.Connection, ids: Pair) -> None:
    """As if nothing had been decided."""
    db.execute("DELETE FROM settled WHERE one = ? AND other = ?", ids)


def forget(db: sqlite3.Connection, id: str) -> None:  # noqa: A002
    """An item is gone for ever, and what was decided about it with it."""
    db.execute("DELETE FROM settled WHERE one = ? OR other = ?", (id, id))


def exported(db: sqlite3.Connection, id: str) -> list[ExportedDecision]:  # noqa: A002
    """The decisions about an item and those after it, as a line of an export has them."""
    return [
        ExportedDecision.model_construct(
            v=1,
            other=row["other"],
            decision=row["decision"],
            kind=row["kind"],
            digests=(row["one_digest"].hex(), row["other_digest"].hex()),
            likeness=row["likeness"],
            found=row["found"],
            dropped=row["dropped"],
            time=datetime.fromtimestamp(row["time"], UTC),
            author=row["author"],
            why=row["why"],
        )
        for row in db.execute("SELECT * FROM settled WHERE one = ?", (id,))
    ]


def put_back(
    db: sqlite3.Connection,
    id: str,  # noqa: A002
    decisions: Sequence[ExportedDecision],
) -> None:
    """The same, of a line that is taken in."""
    for told in decisions:
        one, other = (bytes.fromhex(digest) for digest in told.digests)
        db.execute(
            "INSERT OR IGNORE INTO settled (one, other, one_digest, other_digest, decision, kind,"
            " likeness, found, dropped, time, author, why) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(id, told.other, one, other, told.decision, told.kind, told.likeness),
                *(told.found, told.dropped, told.time.timestamp(), told.author, told.why),
            ),
        )
