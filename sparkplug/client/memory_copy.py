"""A copy of the memory's catalogue, made while it is used. Vectors are made anew from it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from sparkplug.schema.errors import SparkplugError

#: The catalogue in the memory's folder, and in a backup.
FILE = "catalogue.db"
NAME = f"memory/{FILE}"
#: Beside a catalogue that was restored: its node takes the memory over.
RESTORED = "restored"
_PAGES = 2_000


def copy_catalogue(source: Path, target: Path) -> None:
    """Copy what was committed by now, as SQLite's own backup does, and check the copy.

    What a vector was stored of is left out: after a restore there are none. Raises
    SparkplugError for a catalogue that cannot be read.
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as here,
            contextlib.closing(sqlite3.connect(target)) as there,
        ):
            here.execute("PRAGMA busy_timeout = 30000")
            here.backup(there, pages=_PAGES)
            for table in ("vectors", "strays", "spaces"):
                there.execute(f"DELETE FROM {table}")  # noqa: S608  names of ours
            there.commit()
            found = there.execute("PRAGMA quick_check").fetchone()[0]
            there.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise SparkplugError(f"the memory cannot be read: {error}", where=str(source)) from error
    if found != "ok":
        raise SparkplugError(f"the memory is damaged: {found}", where=str(source))
