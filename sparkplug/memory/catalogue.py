"""The catalogue: every memory, all its versions, where it is from and who read it.

What changes it runs on one thread in one transaction each (`change`); what reads it on others,
and sees what was committed last. Nothing here awaits: `parts.py` calls it off the loop.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from sparkplug.memory import happened, outcomes, retention, settled
from sparkplug.memory.rows import digest
from sparkplug.memory.tables import FILE, open_catalogue
from sparkplug.memory.wording import index_words
from sparkplug.schema.errors import ConflictError, NotFoundError, SparkplugError
from sparkplug.schema.memory import UNDO_S, MemoryState
from sparkplug.schema.memory_timeline import HappeningKind as Kind


class Catalogue:
    """One file. The thread that made it, or whichever holds its lock, writes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._writer = open_catalogue(self.path, writes=True)
        self._lock = threading.RLock()
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = open_catalogue(self.path, writes=False)
            self._opened.append(connection)
        return connection

    @contextlib.contextmanager
    def change(self) -> Generator[sqlite3.Connection, None, None]:
        """One transaction: all of it, or nothing. Raises SparkplugError for a full disk."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise SparkplugError(f"the memory cannot be written: {error}") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")

    def close(self) -> None:
        """Write out what is in the log, and let go of the file."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()

    def vacuum(self) -> None:
        """Give room that is not used back to the disk."""
        with self._lock:
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # Changing

    def edit(
        self,
        id: str,  # noqa: A002
        author: str,
        *,
        text: str | None = None,
        version: int | None = None,
        scope: str | None = None,
        flags: Sequence[str] = (),
        quarantine: bool = False,
        values: dict[str, float | None] | None = None,
        why: str = "",
    ) -> None:
        """Change an item; other words are a new version.

        Raises NotFoundError, and ConflictError when it has another version by now or when its
        scope knows the same already.
        """
        with self.change() as db:
            row = self.find(id, db)
            if row["state"] == MemoryState.DELETED:
                raise ConflictError(
                    f"{short(id)} is deleted", hint=f"`sparkplug memory undo {short(id)}`"
                )
            done = text is not None and row["text"] == text
            if version is not None and row["version"] != version and not done:
                raise ConflictError(
                    f"{short(id)} is at version {row['version']} by now, not {version}",
                    hint="read it again, then change it",
                )
            now = time.time()
            changed: dict[str, Any] = {**(values or {}), "updated": now}
            new_text = text if text is not None and text != row["text"] else None
            if new_text is not None:
                changed |= {
                    "text": new_text,
                    "digest": digest(new_text),
                    "version": row["version"] + 1,
                    "size": len(new_text.encode(errors="surrogatepass")),
                    "flags": json.dumps(list(flags)) if flags else "",
                    "state": str(MemoryState.QUARANTINED) if quarantine else row["state"],
                }
                db.execute(
                    "INSERT INTO versions (item, version, text, time, author, why)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (row["row"], row["version"] + 1, new_text, now, author, why),
                )
                retention.trim_versions(db, row["row"])
            if scope is not None and scope != row["scope"]:
                changed["scope"] = scope
            if new_text is not None or "scope" in changed:
                self._unindex(db, row)
            try:
                sets = ", ".join(f"{name} = ?" for name in changed)
                db.execute(
                    f"UPDATE items SET {sets} WHERE row = ?",  # noqa: S608  names are ours
                    (*changed.values(), row["row"]),
                )
            except sqlite3.IntegrityError as error:
                raise ConflictError(f"{scope or row['scope']} knows the same already") from error
            if new_text is not None or "scope" in changed:
                self._index_words(db, row["row"])
            if "scope" in changed:
                # Told of both: of the scope it went from, and of the one it came to.
                for told, here in ((f"to {scope}", row["scope"]), (f"from {row['scope']}", scope)):
                    because = f"{told}: {why}" if why else told
                    happened.note(db, Kind.MOVED, row, author, because, scope=here or "")
            if values:
                happened.note(db, Kind.WEIGHED, row, author, happened.weights(values, why))
            if new_text is not None and quarantine and row["state"] != MemoryState.QUARANTINED:
                happened.note(db, Kind.QUARANTINED, row, "", ", ".join(flags))

    def delete(self, db: sqlite3.Connection, id: str, author: str, why: str) -> bool:  # noqa: A002
        """Delete an item; it can be had back for a while. False: it was deleted already."""
        row = self.find(id, db)
        if row["state"] == MemoryState.DELETED:
            return False
        self._unindex(db, row)
        db.execute(
            "UPDATE items SET state = 'deleted', was = ?, deleted = ?, deleted_by = ?,"
            " deleted_why = ? WHERE row = ?",
            (row["state"], time.time(), author, why, row["row"]),
        )
        happened.note(db, Kind.DELETED, row, author, why)
        return True

    def undo(self, db: sqlite3.Connection, id: str, author: str = "", why: str = "") -> None:  # noqa: A002
        """Have a deleted item back. Raises ConflictError when that cannot be."""
        row = self.find(id, db)
        if row["state"] != MemoryState.DELETED:
            raise ConflictError(f"{short(id)} is not deleted")
        if time.time() - row["deleted"] > UNDO_S:
            raise ConflictError(f"{short(id)} was deleted more than seven days ago")
        try:
            db.execute(
                "UPDATE items SET state = ?, deleted = NULL, deleted_by = '', deleted_why = '',"
                " expires = NULL WHERE row = ?",
                (row["was"] or "kept", row["row"]),
            )
        except sqlite3.IntegrityError as error:
            raise ConflictError(f"{row['scope']} knows the same again by now") from error
        self._index_words(db, row["row"])
        settled.take_back(db, row)
        happened.note(db, Kind.RESTORED, row, author, why)

    def judge(
        self,
        db: sqlite3.Connection,
        id: str,  # noqa: A002
        author: str = "",
        why: str = "",
        *,
        keep: bool,
    ) -> None:
        """Let an item out of quarantine, or put one into it. Raises ConflictError."""
        row = self.find(id, db)
        wanted = MemoryState.KEPT if keep else MemoryState.QUARANTINED
        if row["state"] == MemoryState.DELETED or row["state"] == wanted:
            raise ConflictError(f"{short(id)} is {row['state']}")
        if not keep:
            self._unindex(db, row)
        db.execute("UPDATE items SET state = ? WHERE row = ?", (str(wanted), row["row"]))
        if keep:
            self._index_words(db, row["row"])
        happened.note(db, Kind.RELEASED if keep else Kind.QUARANTINED, row, author, why)

    def purge(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> None:
        """Let go of items for ever, with all that is known of them."""
        for row in rows:
            if row["state"] != MemoryState.DELETED:
                self._unindex(db, row)
                happened.note(db, Kind.DELETED, row, "", "no longer in its document")
            # What other documents say as well is theirs now: they are read again for it.
            db.execute(
                "UPDATE files SET digest = x'' WHERE path IN"
                " (SELECT path FROM also_in WHERE item = ?)",
                (row["row"],),
            )
            for table in ("versions", "sayings", "readings", "vectors", "also_in"):
                db.execute(f"DELETE FROM {table} WHERE item = ?", (row["row"],))  # noqa: S608
            happened.forget(db, row["row"])
            settled.forget(db, row["id"])
            db.execute("DELETE FROM items WHERE row = ?", (row["row"],))

    def purge_old(self, db: sqlite3.Connection) -> int:
        """Let go of what was deleted too long ago to be had back; how many there were."""
        now = time.time()
        rows = db.execute(
            "SELECT * FROM items WHERE deleted IS NOT NULL AND deleted < ?", (now - UNDO_S,)
        ).fetchall()
        self.purge(db, rows)
        outcomes.forget_old(db)
        retention.trim_all(db)
        return len(rows)

    def note_reads(self, rows: Sequence[int], agent: str, run: str) -> None:
        """Note that an agent was given these items."""
        now = time.time()
        with self.change() as db:
            db.executemany(
                "INSERT INTO readings (item, run, agent, times, last) VALUES (?, ?, ?, 1, ?)"
                " ON CONFLICT (item, run, agent) DO UPDATE SET times = times + 1, last = ?",
                [(row, run, agent, now, now) for row in rows],
            )
            db.executemany(
                "UPDATE items SET reads = reads + 1, read_last = ? WHERE row = ?",
                [(now, row) for row in rows],
            )
            happened.note_reads(db, rows, agent, run, now)

    # The index of words, and what has a vector

    def _index_words(self, db: sqlite3.Connection, row: int) -> None:
        db.execute(
            "INSERT INTO words (rowid, text) SELECT row, index_words(text) FROM items"
            " WHERE row = ? AND state = 'kept'",
            (row,),
        )

    def _unindex(self, db: sqlite3.Connection, row: sqlite3.Row) -> None:
        if row["state"] == MemoryState.KEPT:
            db.execute(
                "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)",
                (row["row"], index_words(row["text"])),
            )
        for found in db.execute("SELECT space FROM vectors WHERE item = ?", (row["row"],)):
            db.execute("INSERT INTO strays (space, id) VALUES (?, ?)", (found["space"], row["id"]))
        db.execute("DELETE FROM vectors WHERE item = ?", (row["row"],))

    # Finding

    def find(self, id: str, db: sqlite3.Connection | None = None) -> sqlite3.Row:  # noqa: A002
        """The row of an id or of the beginning of one. Raises NotFoundError, ConflictError."""
        db = db or self.reader
        exact: sqlite3.Row | None = db.execute("SELECT * FROM items WHERE id = ?", (id,)).fetchone()
        if exact is not None:
            return exact
        clean = "".join(c for c in id if c.isalnum() or c == "-")
        like = db.execute(
            "SELECT * FROM items WHERE id >= ? AND id < ? LIMIT 2", (clean, clean + "g")
        ).fetchall()
        if not clean or not like:
            raise NotFoundError(
                f"no memory {clean[:40] or 'of that id'}",
                hint="`sparkplug memory list` and `search` show their ids",
            )
        if len(like) > 1:
            raise ConflictError(f"{clean} is the beginning of several ids", hint="give more of it")
        row: sqlite3.Row = like[0]
        return row


def short(id: str) -> str:  # noqa: A002
    """As much of an id as people are shown."""
    return id[:8]
