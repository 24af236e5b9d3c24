"""How much of a memory's history is kept: who said it again, who read it, what it said before.

How often it was said and read is counted with the memory itself, and goes on being counted. That
the same is known is told by the memory's own digest: of these tables nothing depends on it.
"""

from __future__ import annotations

import sqlite3

#: Who said the same again: the newest of one memory, and of all.
MOST_SAID_OF_ONE, MOST_SAID = 1_000, 200_000
#: In which runs it was read by whom: the newest of one memory, and of all.
MOST_READERS_OF_ONE, MOST_READERS = 1_000, 500_000
#: Wordings of one memory, and bytes of them: the first, and the newest.
MOST_VERSIONS, MOST_VERSION_BYTES = 500, 16 << 20
#: Trimmed is not each time, but each time that so many came.
TRIM_EVERY = 100

TABLE = """
CREATE TABLE IF NOT EXISTS kept_since (what TEXT PRIMARY KEY, time REAL NOT NULL) WITHOUT ROWID;
"""


def after_saying(db: sqlite3.Connection, item: int, number: int, said: int) -> None:
    """Keep within bounds who said it: after the saying of this row, the item's so many-th."""
    if said % TRIM_EVERY == 0:
        trim_sayings_of(db, item)
    if number % TRIM_EVERY == 0:
        trim_sayings(db)


def trim_sayings_of(db: sqlite3.Connection, item: int) -> None:
    """Of one memory, the newest are kept."""
    db.execute(
        "DELETE FROM sayings WHERE item = ? AND rowid NOT IN (SELECT rowid FROM sayings"
        " WHERE item = ? ORDER BY time DESC, rowid DESC LIMIT ?)",
        (item, item, MOST_SAID_OF_ONE),
    )


def trim_sayings(db: sqlite3.Connection) -> None:
    """Of all memories, the newest are kept; from when on is noted."""
    oldest = db.execute(
        "SELECT time FROM sayings ORDER BY time DESC LIMIT 1 OFFSET ?", (MOST_SAID - 1,)
    ).fetchone()
    if oldest is None:
        return
    gone = db.execute("DELETE FROM sayings WHERE time < ?", (oldest["time"],)).rowcount
    if gone:
        db.execute(
            "INSERT OR REPLACE INTO kept_since (what, time) VALUES ('sayings', ?)",
            (oldest["time"],),
        )


def said_since(db: sqlite3.Connection) -> float | None:
    """From when on it is kept who said the same again; None: from the beginning."""
    row = db.execute("SELECT time FROM kept_since WHERE what = 'sayings'").fetchone()
    return float(row["time"]) if row is not None else None


def trim_versions(db: sqlite3.Connection, item: int) -> None:
    """Of one memory, keep its first wording and the newest."""
    sizes = db.execute(
        "SELECT version, length(CAST(text AS BLOB)) AS size FROM versions WHERE item = ?"
        " ORDER BY version DESC",
        (item,),
    ).fetchall()
    kept, used, last = 0, 0, None
    for row in sizes[:-1]:
        kept, used = kept + 1, used + row["size"]
        # What it says now is kept, however long.
        if kept > 1 and (kept >= MOST_VERSIONS or used > MOST_VERSION_BYTES):
            break
        last = row["version"]
    if last is not None and last - 1 > sizes[-1]["version"]:
        db.execute(
            "DELETE FROM versions WHERE item = ? AND version < ? AND version > ?",
            (item, last, sizes[-1]["version"]),
        )


def trim_all(db: sqlite3.Connection) -> None:
    """Bring all of it within bounds: also what an import brought, or a release before left."""
    for row in db.execute(
        "SELECT item FROM sayings GROUP BY item HAVING count(*) > ?", (MOST_SAID_OF_ONE,)
    ).fetchall():
        trim_sayings_of(db, row["item"])
    trim_sayings(db)
    for row in db.execute(
        "SELECT item FROM readings GROUP BY item HAVING count(*) > ?", (MOST_READERS_OF_ONE,)
    ).fetchall():
        oldest = db.execute(
            "SELECT last FROM readings WHERE item = ? ORDER BY last DESC LIMIT 1 OFFSET ?",
            (row["item"], MOST_READERS_OF_ONE - 1),
        ).fetchone()
        db.execute(
            "DELETE FROM readings WHERE item = ? AND last < ?", (row["item"], oldest["last"])
        )
    oldest = db.execute(
        "SELECT last FROM readings ORDER BY last DESC LIMIT 1 OFFSET ?", (MOST_READERS - 1,)
    ).fetchone()
    if oldest is not None:
        db.execute("DELETE FROM readings WHERE last < ?", (oldest["last"],))
