"""Facts, taken out of what was said by a model: Mem0's `add(infer=True)`, in the background.

What waits for a model is in the catalogue, so a crash forgets none of it. All that one `add`
extracts is stored in the transaction that takes it off the list: never twice, never in part.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sparkplug.memory import outcomes
from sparkplug.memory.access import Caller, caller_of
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.indexing import Indexing
from sparkplug.memory.storing import store
from sparkplug.memory.writing import Taken, Write, Writing, outcome_of, read_request
from sparkplug.schema.memory_requests import MemoryOutcome
from sparkplug.schema.settings import LlmSection

log = logging.getLogger(__name__)

_TRIES = 3
_AGAIN_S = 0.5
_IDLE_S = 5.0


class Extraction:
    """A thread of its own, which asks the model of the settings; one question at a time."""

    def __init__(
        self,
        catalogue: Catalogue,
        writing: Writing,
        indexing: Indexing,
        llm: LlmSection,
        told: Callable[[Taken], None],
    ) -> None:
        self._catalogue = catalogue
        self._writing = writing
        self._indexing = indexing
        self._llm = llm
        self._told = told
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="extraction", daemon=True)

    @property
    def model(self) -> str:
        """Which model extracts; or why none does."""
        if not self._llm.endpoint:
            return "none: no model is configured, what is said is kept as it is"
        space = self._indexing.wanted
        name = getattr(getattr(space.mem0.llm, "config", None), "model", "") if space else ""
        return f"{self._llm.model or name or 'the first model'} at {self._llm.endpoint}"

    def start(self) -> None:
        """Begin, when there is a model."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is being asked is asked again another time."""
        self._stop.set()
        self._wake.set()
        self._thread.join(2.0)

    def wake(self) -> None:
        """Something waits."""
        self._wake.set()

    def waiting(self) -> int:
        """How many writes wait for the model."""
        row = self._catalogue.reader.execute("SELECT count(*) AS n FROM extractions").fetchone()
        return int(row["n"])

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._step():
                    continue
            except Exception:
                log.exception("extraction")
            self._wake.wait(_IDLE_S)
            self._wake.clear()

    def _step(self) -> bool:
        """One write. False when none is due."""
        row = self._catalogue.reader.execute(
            "SELECT * FROM extractions WHERE after <= ? ORDER BY after LIMIT 1", (time.time(),)
        ).fetchone()
        if row is None:
            return False
        request = read_request(row["request"])
        caller = caller_of(row["caller"].split(".")) or Caller("", "", "", "unknown")
        write = Write(caller, request, request.scope)
        try:
            facts = self._facts(write)
        except Exception as error:  # noqa: BLE001  Mem0's, the model library's and HTTP's own kinds
            return self._failed(write, int(row["tries"]) + 1, f"{type(error).__name__}: {error}")
        note = f"extracted by {self.model}"
        if facts:
            self._store(write, facts, "extracted", note)
        else:
            # Nothing worth keeping, says the model: that is an answer.
            self._finish(write, MemoryOutcome(write=request.id, state="stored", error=""), note)
        return True

    def _facts(self, write: Write) -> list[str]:
        space = self._indexing.wanted
        if space is None:
            self._indexing.loaded.wait(30.0)
            space = self._indexing.wanted
        if space is None:
            raise RuntimeError(self._indexing.error or "the vector store is not open")
        # Mem0 is loaded by now: two threads that begin to load it wait for each other.
        from sparkplug.memory.seats import StagedStore

        mem0 = space.mem0
        staged, real = StagedStore(mem0.vector_store), mem0.vector_store
        # One thread extracts, and nothing else asks this Memory to add.
        mem0.vector_store = staged
        try:
            mem0.add(write.request.text, user_id=write.scope, infer=True)
        finally:
            mem0.vector_store = real
        return [str(one["data"]) for one in staged.inserted if str(one.get("data", "")).strip()]

    def _failed(self, write: Write, tries: int, why: str) -> bool:
        log.warning("a model did not extract facts (%d of %d): %s", tries, _TRIES, why[:300])
        if tries < _TRIES:
            with self._catalogue.change() as db:
                db.execute(
                    "UPDATE extractions SET tries = ?, after = ? WHERE write = ?",
                    (tries, time.time() + _AGAIN_S * 2**tries, write.request.id),
                )
            return True
        note = f"kept as it is: the model did not answer ({why[:120]})"
        self._store(write, [write.request.text], "verbatim", note)
        return True

    def _store(self, write: Write, facts: list[str], made: str, note: str) -> None:
        items = [
            self._writing.item(write, fact, number=number, made=made, note=note)
            for number, fact in enumerate(facts)
        ]
        taken = Taken()
        with self._catalogue.change() as db:
            stored = store(items, db)
            outcome = outcome_of(write.request.id, stored)
            outcomes.set_outcome(db, outcome)
            db.execute("DELETE FROM extractions WHERE write = ?", (write.request.id,))
        taken.outcomes.append(outcome)
        new = [one.id for one in stored if not one.same]
        if new:
            taken.added[write.scope, write.caller.author] = new
        self._indexing.wake()
        self._told(taken)

    def _finish(self, write: Write, outcome: MemoryOutcome, note: str) -> None:
        log.info("nothing to keep of a write of %s (%s)", write.caller.author, note)
        with self._catalogue.change() as db:
            outcomes.set_outcome(db, outcome)
            db.execute("DELETE FROM extractions WHERE write = ?", (write.request.id,))
        self._told(Taken(outcomes=[outcome]))
