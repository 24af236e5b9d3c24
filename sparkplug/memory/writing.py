"""Storing what agents and people say: who may, what is odd about it, whose quota it is on."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sparkplug.memory import looking, outcomes
from sparkplug.memory.access import Caller
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.storing import NewItem, Stored, item_id, store
from sparkplug.memory.suspicion import INSTRUCTIONS, flags_of
from sparkplug.schema.errors import RefusedError
from sparkplug.schema.memory import MOST_TEXT_BYTES, MemorySource
from sparkplug.schema.memory_requests import MemoryAdd, MemoryOutcome
from sparkplug.schema.settings import MemorySection

log = logging.getLogger(__name__)

_OUTSIDE_CONFIDENCE = 0.5


@dataclass(slots=True)
class Write:
    """One add, with who sent it and where it goes; `refused` says why it does not."""

    caller: Caller
    request: MemoryAdd
    scope: str = ""
    refused: str = ""


@dataclass(slots=True)
class Taken:
    """What a batch did, to be told of."""

    outcomes: list[MemoryOutcome] = field(default_factory=list)
    added: dict[tuple[str, str], list[str]] = field(default_factory=dict)


class Writing:
    """Turns writes into items. `extracts` says whether a model reads one first."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: MemorySection,
        host: str,
        extracts: Callable[[Write], bool],
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._host = host
        self._extracts = extracts

    def take(self, writes: Sequence[Write]) -> Taken:
        """Store a batch in one transaction. A write that was taken before changes nothing."""
        taken = Taken()
        used: dict[str, tuple[int, int]] = {}
        with self._catalogue.change() as db:
            for write in writes:
                taken.outcomes.append(self._take(db, write, used, taken))
        return taken

    def _take(
        self,
        db: sqlite3.Connection,
        write: Write,
        used: dict[str, tuple[int, int]],
        taken: Taken,
    ) -> MemoryOutcome:
        request = write.request
        known = outcomes.outcome(db, request.id)
        if known is not None:
            return known
        refused = write.refused or self._too_much(db, write, used)
        if refused:
            made = MemoryOutcome(write=request.id, state="refused", error=refused)
        elif self._extracts(write):
            db.execute(
                "INSERT OR IGNORE INTO extractions (write, request, caller, tries, after)"
                " VALUES (?, ?, ?, 0, 0)",
                (
                    request.id,
                    request.model_copy(update={"scope": write.scope}).model_dump_json(),
                    write.caller.subject,
                ),
            )
            made = MemoryOutcome(write=request.id, state="extracting")
        else:
            item = self.item(write, request.text, note=self._verbatim_note(write))
            stored = store([item], db)[0]
            made = outcome_of(request.id, [stored])
            if not stored.same:
                key = (write.scope, write.caller.author)
                taken.added.setdefault(key, []).append(stored.id)
        outcomes.set_outcome(db, made)
        return made

    def item(self, write: Write, text: str, *, number: int = 0, **more: str) -> NewItem:
        """The item that a text of a write becomes."""
        request, caller = write.request, write.caller
        source = self._source(write)
        flags = flags_of(text)
        confidence = request.confidence
        if confidence is None:
            confidence = _OUTSIDE_CONFIDENCE if source is MemorySource.OUTSIDE else 1.0
        expires = request.expires_seconds
        return NewItem(
            id=item_id(request.id, number),
            text=text,
            scope=write.scope,
            agent=caller.agent,
            owner=caller.owner or caller.user,
            run=request.run[:128],
            step=request.step[:128],
            message=request.message[:256],
            host=self._host,
            author=caller.author,
            source=str(source),
            confidence=confidence,
            flags=flags,
            quarantined=self.keeps_back(source, flags),
            importance=request.importance,
            expires=time.time() + expires if expires is not None else None,
            labels=dict(list(request.labels.items())[:32]),
            **more,  # type: ignore[arg-type]
        )

    def keeps_back(self, source: MemorySource, flags: Sequence[str]) -> bool:
        """Whether it waits for a review: somebody speaks to the model that will read it."""
        if INSTRUCTIONS not in flags or self._settings.quarantine == "never":
            return False
        return self._settings.quarantine == "all" or source in (
            MemorySource.OUTSIDE,
            MemorySource.DOCUMENT,
        )

    def _source(self, write: Write) -> MemorySource:
        """An agent may say that something is from outside, not that a person said it."""
        asked = write.request.source
        if write.caller.is_person:
            return asked or MemorySource.PERSON
        return MemorySource.OUTSIDE if asked is MemorySource.OUTSIDE else MemorySource.AGENT

    def _verbatim_note(self, write: Write) -> str:
        if write.request.infer:
            return "kept as it is: no model is configured to extract facts"
        return ""

    def check_edit(self, agent: str, known: str, text: str) -> None:
        """Raise RefusedError when other words of a memory are beyond the quota of its agent."""
        row = self._catalogue.find(known)
        size = len(text.encode(errors="surrogatepass"))
        items, total = looking.used_by(self._catalogue.reader, agent)
        if size > row["size"] and total - row["size"] + size > self._settings.quota_bytes:
            raise RefusedError(self._used_up(agent, items, total))

    def _used_up(self, agent: str, items: int, total: int) -> str:
        return (
            f"{agent} has used its quota: {items} of {self._settings.quota_items} memories,"
            f" {total} of {self._settings.quota_bytes} bytes"
        )

    def _too_much(
        self, db: sqlite3.Connection, write: Write, used: dict[str, tuple[int, int]]
    ) -> str:
        if not write.request.text.strip():
            return "a memory cannot be empty"
        size = len(write.request.text.encode(errors="surrogatepass"))
        if size > MOST_TEXT_BYTES:
            return f"a memory has at most {MOST_TEXT_BYTES >> 20} MiB, and this has {size} bytes"
        agent = write.caller.agent
        if not agent:
            return ""
        items, total = used.get(agent) or looking.used_by(db, agent)
        if items >= self._settings.quota_items or total + size > self._settings.quota_bytes:
            return self._used_up(agent, items, total)
        used[agent] = (items + 1, total + size)
        return ""


def outcome_of(write: str, stored: Sequence[Stored]) -> MemoryOutcome:
    """What became of a write, from what became of its items."""
    ids = [one.id for one in stored]
    if stored and all(one.quarantined for one in stored):
        return MemoryOutcome(write=write, state="quarantined", ids=ids)
    same = bool(stored) and all(one.same for one in stored)
    return MemoryOutcome(write=write, state="same" if same else "stored", ids=ids)


def read_request(text: str) -> MemoryAdd:
    """A request as it was put away."""
    return MemoryAdd.model_validate(json.loads(text))
