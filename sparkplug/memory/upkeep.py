"""Tidying: what expired, what is said twice, what contradicts, what nobody needs.

Only what its author gave an end is deleted unasked. All else is proposed.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence

import numpy as np

from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.rows import item_of, strength
from sparkplug.memory.stop_words import STOP_WORDS
from sparkplug.schema.memory import Proposal, PruneReply, PruneRequest

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


def propose(catalogue: Catalogue, request: PruneRequest, half_life: float) -> list[Proposal]:
    """What could be tidied, by what is asked for."""
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
        found += _pairs(_rows(db, request.scopes), request, half_life)
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


def _pairs(rows: Sequence[sqlite3.Row], request: PruneRequest, half_life: float) -> list[Proposal]:
    """Pairs within a scope that say the same, or of the same thing something else."""
    by_scope: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        by_scope.setdefault(row["scope"], []).append(row)
    found: list[Proposal] = []
    gone: set[str] = set()
    for group in by_scope.values():
        vectors = LexicalEmbedder(1024).embed([row["text"][:4000] for row in group])
        for start in range(0, len(group), _BLOCK):
            alike = vectors[start : start + _BLOCK] @ vectors.T
            near = np.argwhere(np.triu(alike >= _RELATED, k=start + 1))
            for left, right in near:
                newer, older = group[start + left], group[right]
                if newer["id"] in gone or older["id"] in gone:
                    continue
                likeness = float(alike[left, right])
                made = _judge(newer, older, likeness, request, half_life)
                if made is not None:
                    found.append(made)
                    if made.kind == "duplicate":
                        gone.add(made.drop.id)
                if len(found) >= request.limit:
                    return found
    return found


def _judge(
    newer: sqlite3.Row,
    older: sqlite3.Row,
    likeness: float,
    request: PruneRequest,
    half_life: float,
) -> Proposal | None:
    why = contradiction(newer["text"], older["text"])
    if why:
        if not request.contradictions:
            return None
        keep, drop = item_of(newer, half_life, _CHARS), item_of(older, half_life, _CHARS)
        return Proposal(kind="contradiction", keep=keep, drop=drop, likeness=likeness, why=why)
    if not request.duplicates or likeness < _DUPLICATE:
        return None
    # The one that is used stays; of two the older, whose provenance is the fact's.
    first = max((older, newer), key=lambda row: (row["reads"], row["importance"], -row["created"]))
    second = newer if first is older else older
    return Proposal(
        kind="duplicate",
        keep=item_of(first, half_life, _CHARS),
        drop=item_of(second, half_life, _CHARS),
        likeness=likeness,
        why=f"they say the same ({likeness:.0%} alike)",
    )


def contradiction(one: str, other: str) -> str:
    """Why two texts cannot both be true, as far as words tell; empty when they do not.

    Two short texts that share most of their words, of which one denies or names other numbers.
    It knows no meanings: it proposes, and a person judges.
    """
    if max(len(one), len(other)) > _CHARS:
        return ""
    mine, its = _TENSES.sub(" not", one.casefold()), _TENSES.sub(" not", other.casefold())
    words, their = set(_WORD.findall(mine)), set(_WORD.findall(its))
    said = {w for w in words - STOP_WORDS - _NOT if not w.isdigit()}
    said_too = {w for w in their - STOP_WORDS - _NOT if not w.isdigit()}
    if not said or not said_too:
        return ""
    shared = len(said & said_too) / min(len(said), len(said_too))
    if shared < 0.7:
        return ""
    if bool(words & _NOT) != bool(their & _NOT):
        return "one says what the other denies"
    numbers, others = set(_NUMBER.findall(mine)), set(_NUMBER.findall(its))
    if numbers - others and others - numbers and shared >= 0.8:
        listed = ", ".join(sorted(numbers - others)), ", ".join(sorted(others - numbers))
        return f"the numbers differ: {listed[0]} and {listed[1]}"
    return ""
