"""Tidying: what expired, what is said twice, what contradicts, what nobody needs.

Only what its author gave an end is deleted unasked. All else is proposed.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sparkplug.memory import settled
from sparkplug.memory.catalogue import Catalogue, short
from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.rows import item_of, strength
from sparkplug.memory.stop_words import STOP_WORDS
from sparkplug.schema.memory_pruning import Proposal, PruneReply, PruneRequest

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NOT = frozenset(
    """
    not no never none nothing cannot can't don't doesn't didn't isn't aren't
    wasn't won't nor without neither longer stopped disabled off false
    """.split()  # noqa: SIM905
)
_TENSES = re.compile(r"n't\b")
#: Two texts are one fact from this likeness of their words on; of one subject from that on.
_DUPLICATE, _RELATED = 0.86, 0.55
#: Items that are compared with each other at once, newest first.
_COMPARED = 20_000
_BLOCK = 512
#: Memories that one is told to contradict, at most.
_CONTRADICTED = 3
#: The likeness of words is of vectors of this size, over so many characters.
_SIZE, _EMBEDDED = 1024, 4000
_CHARS = 600


def expire(catalogue: Catalogue) -> list[sqlite3.Row]:
    """Delete what has come to its end; the rows that were."""
    rows = catalogue.reader.execute(
        "SELECT * FROM items WHERE expires IS NOT NULL AND expires <= ? AND state != 'deleted'",
        (time.time(),),
    ).fetchall()
    if rows:
        with catalogue.change() as db:
            for row in rows:
                catalogue.delete(db, row["id"], "", "expired")
    return rows


def propose(
    catalogue: Catalogue, request: PruneRequest, half_life: float, *, chars: int = _CHARS
) -> list[Proposal]:
    """What could be tidied, by what is asked for; no pair of which both are to be kept."""
    found: list[Proposal] = []
    db = catalogue.reader
    if request.expired:
        for row in _rows(db, request.scopes, "expires IS NOT NULL AND expires <= ?", time.time()):
            drop = item_of(row, half_life, _CHARS)
            found.append(Proposal(kind="expired", drop=drop, why="its time is over"))
    if request.weak_below is not None:
        for row in _rows(db, request.scopes):
            held = strength(row, half_life)
            if held < request.weak_below:
                drop = item_of(row, half_life, _CHARS)
                why = f"strength {held:.2f}, read {row['reads']} times"
                found.append(Proposal(kind="weak", drop=drop, why=why))
    if request.duplicates or request.contradictions:
        apart = settled.kept_apart(db)
        found += _pairs(_rows(db, request.scopes), request, half_life, apart, chars)
    return found[: request.limit]


def prune(catalogue: Catalogue, request: PruneRequest, half_life: float, author: str) -> PruneReply:
    """Propose, and with `apply` delete what is proposed; contradictions are left to people."""
    proposals = propose(catalogue, request, half_life)
    reply = PruneReply(proposals=proposals)
    if not request.apply:
        return reply
    with catalogue.change() as db:
        for one in proposals:
            if one.kind != "contradiction" and catalogue.delete(
                db, one.drop.id, author, f"pruned: {one.kind}"
            ):
                reply.deleted.append(one.drop.id)
    if request.compact:
        reply.purged, reply.freed_bytes = compact(catalogue)
    return reply


def compact(catalogue: Catalogue) -> tuple[int, int]:
    """Let go of what cannot be had back any more, and of the room it took."""
    before = catalogue.path.stat().st_size
    with catalogue.change() as db:
        purged = catalogue.purge_old(db)
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    catalogue.vacuum()
    return purged, max(0, before - catalogue.path.stat().st_size)


def _rows(
    db: sqlite3.Connection, scopes: Sequence[str], more: str = "1", *values: float
) -> list[sqlite3.Row]:
    where = f"state = 'kept' AND path = '' AND {more}"
    given: list[object] = list(values)
    if scopes:
        where += f" AND scope IN ({','.join('?' * len(scopes))})"
        given += scopes
    sql = f"SELECT * FROM items WHERE {where} ORDER BY created DESC LIMIT {_COMPARED}"  # noqa: S608
    return db.execute(sql, given).fetchall()


def comparable(db: sqlite3.Connection, scopes: Sequence[str]) -> tuple[int, int]:
    """How many memories there are to be compared, and how many are."""
    where, given = "state = 'kept' AND path = ''", list(scopes)
    if scopes:
        where += f" AND scope IN ({','.join('?' * len(scopes))})"
    sql = f"SELECT count(*) AS n FROM items WHERE {where}"  # noqa: S608
    count = int(db.execute(sql, given).fetchone()["n"])
    return count, min(count, _COMPARED)


def name_of(one: str, other: str) -> str:
    """How a pair is called: the beginnings of both ids."""
    return ".".join(map(short, settled.pair(one, other)))


def judge_pair(one: sqlite3.Row, other: sqlite3.Row, half_life: float) -> Proposal | None:
    """What would be proposed of two items."""
    newer, older = (one, other) if one["created"] >= other["created"] else (other, one)
    alike = LexicalEmbedder(_SIZE).embed([row["text"][:_EMBEDDED] for row in (newer, older)])
    likeness = float(alike[0] @ alike[1])
    if not _kind(newer, older, likeness):
        return None
    return _judge(newer, older, likeness, half_life, _CHARS)


def _pairs(
    rows: Sequence[sqlite3.Row],
    request: PruneRequest,
    half_life: float,
    apart: set[settled.Pair],
    chars: int,
) -> list[Proposal]:
    """Pairs within a scope that say the same, or of the same thing something else."""
    by_scope: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        by_scope.setdefault(row["scope"], []).append(row)
    found: dict[str, list[Proposal]] = {"duplicate": [], "contradiction": []}
    gone: set[str] = set()
    #: How often an item is contradicted: of a list of numbers not all are told against all.
    often: Counter[str] = Counter()
    for group in by_scope.values():
        vectors = LexicalEmbedder(_SIZE).embed([row["text"][:_EMBEDDED] for row in group])
        for start in range(0, len(group), _BLOCK):
            alike = vectors[start : start + _BLOCK] @ vectors[start:].T
            near = np.argwhere(np.triu(alike >= _RELATED, k=1))
            for left, right in near.tolist():
                newer, older = group[start + left], group[start + right]
                ids = settled.pair(newer["id"], older["id"])
                if ids[0] in gone or ids[1] in gone or ids in apart:
                    continue
                likeness = float(alike[left, right])
                if likeness < _DUPLICATE and max(often[ids[0]], often[ids[1]]) >= _CONTRADICTED:
                    continue
                kind = _kind(newer, older, likeness)
                if kind == "contradiction":
                    often.update(ids)
                    if max(often[ids[0]], often[ids[1]]) > _CONTRADICTED:
                        continue
                if not (request.duplicates if kind == "duplicate" else request.contradictions):
                    continue
                if kind and len(found[kind]) < request.limit:
                    found[kind].append(_judge(newer, older, likeness, half_life, chars))
                    if kind == "duplicate":
                        gone.add(found[kind][-1].drop.id)
    return [*found["duplicate"], *found["contradiction"]]


def _kind(newer: sqlite3.Row, older: sqlite3.Row, likeness: float) -> str:
    """What two items are to each other; empty: nothing that is told."""
    if contradiction(newer["text"], older["text"]):
        return "contradiction"
    return "duplicate" if likeness >= _DUPLICATE else ""


def _judge(
    newer: sqlite3.Row, older: sqlite3.Row, likeness: float, half_life: float, chars: int
) -> Proposal:
    """A pair that is something to each other, as it is proposed."""
    why = contradiction(newer["text"], older["text"])
    first, second = newer, older
    if not why:
        # The one that is used stays; of two the older, whose provenance is the fact's.
        first = max(
            (older, newer), key=lambda row: (row["reads"], row["importance"], -row["created"])
        )
        second = newer if first is older else older
    return Proposal(
        kind="contradiction" if why else "duplicate",
        id=name_of(newer["id"], older["id"]),
        keep=item_of(first, half_life, chars),
        drop=item_of(second, half_life, chars),
        likeness=likeness,
        why=why or f"they say the same ({likeness:.0%} alike)",
    )


def contradiction(one: str, other: str) -> str:
    """Why two texts cannot both be true, as far as words tell; empty when they do not.

    Two short texts that share most of their words, of which one denies or names other numbers.
    It knows no meanings: it proposes, and a person judges.
    """
    if max(len(one), len(other)) > _CHARS:
        return ""
    mine, its = _read(one), _read(other)
    if not mine.said or not its.said:
        return ""
    shared = len(mine.said & its.said) / min(len(mine.said), len(its.said))
    if shared < 0.7:
        return ""
    if mine.denies != its.denies:
        return "one says what the other denies"
    only, others = mine.numbers - its.numbers, its.numbers - mine.numbers
    if only and others and shared >= 0.8:
        return f"the numbers differ: {', '.join(sorted(only))} and {', '.join(sorted(others))}"
    return ""


@dataclass(frozen=True, slots=True)
class _Words:
    """What a text says, for comparing: words that tell, numbers, whether it denies."""

    said: frozenset[str]
    numbers: frozenset[str]
    denies: bool


@lru_cache(maxsize=8192)
def _read(text: str) -> _Words:
    plain = _TENSES.sub(" not", text.casefold())
    words = frozenset(_WORD.findall(plain))
    said = frozenset(w for w in words - STOP_WORDS - _NOT if not w.isdigit())
    return _Words(said, frozenset(_NUMBER.findall(plain)), bool(words & _NOT))
