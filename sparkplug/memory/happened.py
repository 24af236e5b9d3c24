"""Writing down what happens to memories, as far as it is kept nowhere else.

When an item came, its wordings and who said it again are with the item. Here is the rest: what
became of it (deleted, restored, judged, moved) and each time it was read. Both are bounded.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sparkplug.schema.memory import MemoryItem
from sparkplug.schema.memory_export import ExportedHappening
from sparkplug.schema.memory_timeline import HappeningKind

#: As many are kept, the newest; readings of one item by one agent in one run within a minute are
#: one.
MOST_HAPPENED, MOST_READ = 100_000, 200_000
_TRIM_EVERY = 1000
_MINUTE_S = 60
_KINDS = frozenset(map(str, HappeningKind))

TABLES = """
CREATE TABLE IF NOT EXISTS happened (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, kind TEXT NOT NULL,
    item INTEGER NOT NULL, id TEXT NOT NULL, scope TEXT NOT NULL,
    author TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS happened_when ON happened (time);
CREATE INDEX IF NOT EXISTS happened_to ON happened (item);
CREATE TABLE IF NOT EXISTS read_log (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, minute INTEGER NOT NULL,
    item INTEGER NOT NULL, agent TEXT NOT NULL, run TEXT NOT NULL, times INTEGER NOT NULL,
    UNIQUE (item, agent, run, minute)
);
CREATE INDEX IF NOT EXISTS read_when ON read_log (time);
CREATE INDEX IF NOT EXISTS edited_when ON versions (time) WHERE version > 1;
CREATE INDEX IF NOT EXISTS said_when ON sayings (time);
"""


def lay_out(db: sqlite3.Connection) -> None:
    """Make the tables; of a catalogue without them, with what it knows of before."""
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'read_log'").fetchone()
    db.executescript(TABLES)
    if known is not None:
        return
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "INSERT INTO happened (time, kind, item, id, scope, author, why)"
        " SELECT deleted, 'deleted', row, id, scope, deleted_by, deleted_why FROM items"
        " WHERE state = 'deleted' AND deleted IS NOT NULL ORDER BY deleted"
    )
    # Of readings before, the last of each agent in each run is what is known.
    db.execute(
        "INSERT INTO read_log (time, minute, item, agent, run, times)"
        " SELECT last, cast(last / ? AS INTEGER), item, agent, run, times FROM readings"
        " ORDER BY last",
        (_MINUTE_S,),
    )
    db.execute("COMMIT")


def note(
    db: sqlite3.Connection,
    kind: HappeningKind,
    item: sqlite3.Row,
    author: str,
    why: str = "",
    *,
    scope: str = "",
) -> None:
    """Write down what happened to an item, in the transaction in which it did."""
    cursor = db.execute(
        "INSERT INTO happened (time, kind, item, id, scope, author, why)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (time.time(), str(kind), item["row"], item["id"], scope or item["scope"], author, why),
    )
    _trim(db, "happened", cursor.lastrowid or 0, MOST_HAPPENED)


def note_reads(
    db: sqlite3.Connection, rows: Sequence[int], agent: str, run: str, now: float
) -> None:
    """Write down that an agent was given these items."""
    minute = int(now / _MINUTE_S)
    cursor = db.cursor()
    for row in rows:
        cursor.execute(
            "INSERT INTO read_log (time, minute, item, agent, run, times) VALUES (?, ?, ?, ?, ?, 1)"
            " ON CONFLICT (item, agent, run, minute) DO UPDATE SET times = times + 1",
            (now, minute, row, agent, run),
        )
        _trim(db, "read_log", cursor.lastrowid or 0, MOST_READ)


def _trim(db: sqlite3.Connection, table: str, newest: int, most: int) -> None:
    if newest % _TRIM_EVERY == 0 and newest > most:
        db.execute(f"DELETE FROM {table} WHERE number <= ?", (newest - most,))  # noqa: S608


def reads_since(db: sqlite3.Connection) -> float | None:
    """The time of the oldest reading that is kept; None when all of them are."""
    newest = db.execute("SELECT max(number) AS n FROM read_log").fetchone()["n"]
    if newest is None or newest <= MOST_READ:
        return None
    row = db.execute("SELECT time FROM read_log ORDER BY number LIMIT 1").fetchone()
    return float(row["time"])


def forget(db: sqlite3.Connection, item: int) -> None:
    """Of an item that is gone for ever, what became of it stays, who read it does not."""
    db.execute("DELETE FROM read_log WHERE item = ?", (item,))


def weights(values: Mapping[str, float | None], why: str) -> str:
    """Which weights an item has from now on, in words."""
    told = []
    for name, value in values.items():
        if name == "expires":
            told.append("no end" if value is None else "another end")
        else:
            told.append(f"{name} {value:g}")
    return f"{', '.join(told)}: {why}" if why else ", ".join(told)


def exported(db: sqlite3.Connection, item: int) -> list[ExportedHappening]:
    """All that is kept here of an item, as a line of an export has it."""
    rows = db.execute(
        "SELECT time, kind, scope, author AS who, '' AS run, 1 AS times, why FROM happened"
        " WHERE item = ? UNION ALL"
        " SELECT time, 'read', '', agent, run, times, '' FROM read_log WHERE item = ?"
        " ORDER BY time",
        (item, item),
    )
    return [
        ExportedHappening.model_construct(
            v=1,
            time=datetime.fromtimestamp(row["time"], UTC),
            kind=row["kind"],
            scope=row["scope"],
            by=row["who"],
            run=row["run"],
            times=row["times"],
            why=row["why"],
        )
        for row in rows
    ]


def take_in(
    db: sqlite3.Connection, row: int, item: MemoryItem, told: Sequence[ExportedHappening]
) -> None:
    """The same, of a line that is taken in; of an export of before what its item tells."""
    if not told and item.deleted is not None:
        told = [
            ExportedHappening(
                time=item.deleted,
                kind=str(HappeningKind.DELETED),
                by=item.deleted_by,
                why=item.deleted_why,
            )
        ]
    for one in told:
        if one.kind == HappeningKind.READ:
            moment = one.time.timestamp()
            db.execute(
                "INSERT OR IGNORE INTO read_log (time, minute, item, agent, run, times)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (moment, int(moment / _MINUTE_S), row, one.by, one.run, one.times),
            )
        elif one.kind in _KINDS:
            db.execute(
                "INSERT INTO happened (time, kind, item, id, scope, author, why)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(one.time.timestamp(), one.kind, row, item.id, one.scope or item.scope),
                    *(one.by, one.why),
                ),
            )
