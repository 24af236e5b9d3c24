"""Vectors, made in the background of what is in the catalogue: at first, and by another embedder.

A space serves searches while the next one fills; it goes once that one has everything. What is
in the catalogue and not yet in the space is found by its words meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.vectors import Space
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.memory_stats import Reembedding

log = logging.getLogger(__name__)

_BATCH = 128
#: From so many on that have no vector yet it is told how many have one.
BEHIND = 1_000
_AGAIN_S = 5.0
_SPREAD_S = 0.002

#: Opens the space of the embedder that settings name; and one of an earlier embedder by its name,
#: None when that one cannot be had any more.
OpenSpace = Callable[[], Space]
ReopenSpace = Callable[[str], Space | None]


class Indexing:
    """A thread of its own. `wake` after a change."""

    def __init__(self, catalogue: Catalogue, wanted: OpenSpace, earlier: ReopenSpace) -> None:
        self._catalogue = catalogue
        self._open_wanted = wanted
        self._open_earlier = earlier
        self._wake = threading.Event()
        self._stop = threading.Event()
        self.loaded = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)
        #: The space that searches use, and the one that is being filled (the same mostly).
        self.serving: Space | None = None
        self.wanted: Space | None = None
        self.error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stop.set()
        self._wake.set()
        self._thread.join(20.0)

    def wake(self) -> None:
        """Something changed."""
        self._wake.set()

    def indexed(self) -> int:
        """How many items the serving space has."""
        if self.serving is None:
            return 0
        return self._count(self.serving.name)

    def progress(self) -> Reembedding | None:
        """How far the next space is filled; None when none is."""
        wanted, serving = self.wanted, self.serving
        if wanted is None:
            return None
        kept = self._catalogue.reader.execute(
            "SELECT count(*) AS n FROM items WHERE state = 'kept'"
        ).fetchone()["n"]
        done = self._count(wanted.name)
        if serving is wanted and kept - done < (1 if self.error else BEHIND):
            return None
        return Reembedding(embedder=wanted.name, done=done, total=kept, error=self.error)

    def _count(self, space: str) -> int:
        sql = "SELECT count(*) AS n FROM vectors WHERE space = ?"
        return int(self._catalogue.reader.execute(sql, (space,)).fetchone()["n"])

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self.wanted is None:
                    self._load()
                if not self._step():
                    self._wake.wait(_AGAIN_S)
                    self._wake.clear()
                self.error = ""
            except SparkplugError as error:
                self._fail(error.message)
            except Exception as error:  # the store's own kinds; the thread has to go on
                log.exception("indexing")
                self._fail(f"{type(error).__name__}: {error}"[:300])

    def _fail(self, why: str) -> None:
        if why != self.error:
            log.warning("vectors wait: %s", why)
        self.error = why
        self.loaded.set()
        self._stop.wait(_AGAIN_S)

    def _load(self) -> None:
        wanted = self._open_wanted()
        known = self._catalogue.reader.execute(
            "SELECT 1 FROM spaces WHERE name = ?", (wanted.name,)
        ).fetchone()
        if known is None and wanted.left_over:
            wanted.drop()
            wanted.close()
            wanted = self._open_wanted()
        with self._catalogue.change() as db:
            rows = db.execute("SELECT name FROM spaces WHERE serving = 1").fetchall()
            db.execute(
                "INSERT INTO spaces (name, embedder, serving) VALUES (?, ?, 0)"
                " ON CONFLICT (name) DO NOTHING",
                (wanted.name, wanted.embedder.note),
            )
        serving = [row["name"] for row in rows]
        if not serving or wanted.name in serving:
            self.serving = wanted
            with self._catalogue.change() as db:
                db.execute("UPDATE spaces SET serving = (name = ?)", (wanted.name,))
        else:
            self.serving = self._open_earlier(serving[0])
            log.info("memories are made comparable by %s", wanted.name)
        self.wanted = wanted
        self.loaded.set()

    def _step(self) -> bool:
        """One batch. False when there is nothing to do."""
        assert self.wanted is not None
        strays = self._drop_strays()
        serving, wanted = self.serving, self.wanted
        if serving is not None and serving is not wanted and self._fill(serving):
            return True
        if self._fill(wanted):
            if serving is not wanted:
                # What is asked meanwhile goes first.
                time.sleep(_SPREAD_S)
            return True
        if serving is not wanted:
            self._switch()
        return strays

    def _fill(self, space: Space) -> bool:
        rows = self._catalogue.reader.execute(
            "SELECT row, id, text, scope, version FROM items WHERE state = 'kept' AND NOT EXISTS"
            # The newest first: what was just said is asked about next.
            " (SELECT 1 FROM vectors WHERE space = ? AND item = items.row)"
            " ORDER BY row DESC LIMIT ?",
            (space.name, _BATCH),
        ).fetchall()
        if not rows:
            return False
        space.insert(
            [row["id"] for row in rows], [row["text"] for row in rows], [r["scope"] for r in rows]
        )
        with self._catalogue.change() as db:
            for row in rows:
                same = db.execute(
                    "SELECT 1 FROM items WHERE row = ? AND version = ? AND scope = ?"
                    " AND state = 'kept'",
                    (row["row"], row["version"], row["scope"]),
                ).fetchone()
                if same is None:  # changed meanwhile
                    db.execute(
                        "INSERT INTO strays (space, id) VALUES (?, ?)", (space.name, row["id"])
                    )
                else:
                    db.execute(
                        "INSERT OR IGNORE INTO vectors (space, item) VALUES (?, ?)",
                        (space.name, row["row"]),
                    )
        return True

    def _drop_strays(self) -> bool:
        """Take vectors out whose items went or changed."""
        did = False
        for space in {id(s): s for s in (self.serving, self.wanted) if s is not None}.values():
            rows = self._catalogue.reader.execute(
                "SELECT rowid AS row, id FROM strays WHERE space = ? LIMIT ?", (space.name, _BATCH)
            ).fetchall()
            if not rows:
                continue
            did = True
            space.remove(list({row["id"] for row in rows}))
            with self._catalogue.change() as db:
                db.executemany("DELETE FROM strays WHERE rowid = ?", [(r["row"],) for r in rows])
                # One that was stored again in between lost its vector with the stray.
                db.executemany(
                    "DELETE FROM vectors WHERE space = ? AND item ="
                    " (SELECT row FROM items WHERE id = ?)",
                    [(space.name, row["id"]) for row in rows],
                )
        return did

    def _switch(self) -> None:
        """Everything is in the wanted space: it serves, the one before goes."""
        assert self.wanted is not None
        before, self.serving = self.serving, self.wanted
        with self._catalogue.change() as db:
            db.execute("UPDATE spaces SET serving = (name = ?)", (self.wanted.name,))
            db.execute("DELETE FROM vectors WHERE space != ?", (self.wanted.name,))
            db.execute("DELETE FROM strays WHERE space != ?", (self.wanted.name,))
            db.execute("DELETE FROM spaces WHERE serving = 0")
        log.info("memories are compared by %s now", self.wanted.name)
        if before is not None:
            before.drop()
