"""The catalogue's tables: SQLite, in one file beside the vectors.

What is in the catalogue is what is remembered. Vectors and the index of words are made from it
and can be made again.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sparkplug.memory import happened, retention, settled
from sparkplug.memory.wording import index_words

FILE = "catalogue.db"

_TABLES = """
CREATE TABLE IF NOT EXISTS items (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    digest BLOB NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    agent TEXT NOT NULL, owner TEXT NOT NULL, run TEXT NOT NULL, step TEXT NOT NULL,
    message TEXT NOT NULL, host TEXT NOT NULL, author TEXT NOT NULL,
    source TEXT NOT NULL, made TEXT NOT NULL, note TEXT NOT NULL,
    confidence REAL NOT NULL, flags TEXT NOT NULL, importance REAL NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL, expires REAL,
    deleted REAL, deleted_by TEXT NOT NULL, deleted_why TEXT NOT NULL, was TEXT NOT NULL,
    said INTEGER NOT NULL, reads INTEGER NOT NULL, read_last REAL,
    size INTEGER NOT NULL,
    path TEXT NOT NULL, line_from INTEGER NOT NULL, line_to INTEGER NOT NULL,
    labels TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_of_a_fact ON items (scope, digest) WHERE state != 'deleted';
CREATE INDEX IF NOT EXISTS newest ON items (state, created);
CREATE INDEX IF NOT EXISTS newest_of_scope ON items (scope, state, created);
CREATE INDEX IF NOT EXISTS by_agent ON items (agent, state, size);
CREATE INDEX IF NOT EXISTS by_use ON items (scope, state, size, created);
CREATE INDEX IF NOT EXISTS by_path ON items (path) WHERE path != '';
CREATE INDEX IF NOT EXISTS by_expiry ON items (expires) WHERE expires IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_deletion ON items (deleted) WHERE deleted IS NOT NULL;
CREATE TABLE IF NOT EXISTS versions (
    item INTEGER NOT NULL, version INTEGER NOT NULL, text TEXT NOT NULL, time REAL NOT NULL,
    author TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (item, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sayings (
    item INTEGER NOT NULL, time REAL NOT NULL, author TEXT NOT NULL, agent TEXT NOT NULL,
    run TEXT NOT NULL, step TEXT NOT NULL, message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS sayings_of ON sayings (item);
CREATE TABLE IF NOT EXISTS readings (
    item INTEGER NOT NULL, run TEXT NOT NULL, agent TEXT NOT NULL,
    times INTEGER NOT NULL, last REAL NOT NULL, PRIMARY KEY (item, run, agent)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS writes (
    id TEXT PRIMARY KEY, time REAL NOT NULL, outcome TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS extractions (
    write TEXT PRIMARY KEY, request TEXT NOT NULL, caller TEXT NOT NULL,
    tries INTEGER NOT NULL, after REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spaces (
    name TEXT PRIMARY KEY, embedder TEXT NOT NULL, serving INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (
    space TEXT NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (space, item)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS strays (space TEXT NOT NULL, id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS folders (
    path TEXT PRIMARY KEY, scope TEXT NOT NULL, watched INTEGER NOT NULL,
    read REAL, error TEXT NOT NULL, host TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, folder TEXT NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS also_in (
    item INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (item, path)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    text, content='', tokenize='porter unicode61'
);
"""
#: How the index of words is made, and vectors; they are made anew where it was otherwise.
_WORDS_MADE, _VECTORS_MADE = 2, 3


def open_catalogue(path: Path, *, writes: bool) -> sqlite3.Connection:
    """A connection to the catalogue; one process has one that writes.

    A commit is on the disk when it returns: what was acknowledged survives a power cut.
    """
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = 10000")
    if writes:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.create_function("index_words", 1, index_words, deterministic=True)
        connection.executescript(_TABLES)
        connection.executescript(settled.TABLE)
        connection.executescript(retention.TABLE)
        happened.lay_out(connection)
        _add_hosts(connection)
        _make_anew(connection)
        path.chmod(0o600)
    else:
        connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA mmap_size = 268435456")
    return connection


def _add_hosts(connection: sqlite3.Connection) -> None:
    """A catalogue of a release before does not say on which host its folders are."""
    names = {row["name"] for row in connection.execute("PRAGMA table_info(folders)")}
    if "host" not in names:
        connection.execute("ALTER TABLE folders ADD COLUMN host TEXT NOT NULL DEFAULT ''")


def _make_anew(connection: sqlite3.Connection) -> None:
    """What is made of the texts is made again where it is of a release before."""
    made = connection.execute("PRAGMA user_version").fetchone()[0]
    if made == _VECTORS_MADE:
        return
    connection.execute("BEGIN IMMEDIATE")
    if made < _WORDS_MADE:
        connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
        connection.execute(
            "INSERT INTO words (rowid, text) SELECT row, index_words(text) FROM items"
            " WHERE state = 'kept'"
        )
    # Among them were some of texts without a word, through which others were not found.
    connection.execute("DELETE FROM vectors WHERE space LIKE 'lexical-%'")
    connection.execute("DELETE FROM spaces WHERE name LIKE 'lexical-%'")
    connection.execute(f"PRAGMA user_version = {_VECTORS_MADE}")
    connection.execute("COMMIT")
