"""Folders of documents as rows: what was read from each, and taking over those of another host."""

from __future__ import annotations

import json
import sqlite3

from sparkplug.memory.rows import when
from sparkplug.schema.memory_documents import KnowledgeFolder


def folders(db: sqlite3.Connection) -> list[KnowledgeFolder]:
    """The folders of documents, and what was read from each."""
    return [
        KnowledgeFolder(
            path=row["path"],
            scope=row["scope"],
            watched=bool(row["watched"]),
            read=when(row["read"]),
            error=row["error"],
            host=row["host"],
            files=row["files"],
            chunks=row["chunks"],
        )
        for row in db.execute(
            "SELECT folders.*, (SELECT count(*) FROM files WHERE folder = folders.path) AS files,"
            " (SELECT count(*) FROM items JOIN files ON files.path = items.path"
            "  WHERE files.folder = folders.path AND items.state = 'kept') AS chunks"
            " FROM folders ORDER BY path"
        )
    ]


def put_back(db: sqlite3.Connection, told: str) -> None:
    """Take over folders that came with the memory from another host; `told` is a list of them.

    Which file a piece is from is with the piece. What a file said is not known any more: on the
    host that it is of it is read again, and pieces that stay as they are stay.
    """
    came = [KnowledgeFolder.model_validate(one) for one in json.loads(told)]
    # Of a folder in another the files are its own.
    for folder in sorted(came, key=lambda one: len(one.path)):
        db.execute(
            "INSERT OR IGNORE INTO folders (path, scope, watched, read, error, host)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(folder.path, folder.scope, int(folder.watched)),
                folder.read.timestamp() if folder.read is not None else None,
                *(folder.error, folder.host),
            ),
        )
        inside = folder.path.rstrip("/") + "/"
        db.execute(
            "INSERT OR REPLACE INTO files (path, folder, digest) SELECT DISTINCT path, ?, x''"
            " FROM items WHERE scope = ? AND (path = ? OR substr(path, 1, ?) = ?)",
            (folder.path, folder.scope, folder.path, len(inside), inside),
        )
