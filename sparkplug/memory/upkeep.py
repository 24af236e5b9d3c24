"""Tidying: what expired, what is said twice, what contradicts, what nobody needs.

Only what its author gave an end is deleted unasked. All else is proposed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence

from sparkplug.memory import pairs, settled
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.comparison import Comparison
from sparkplug.memory.rows import item_of, strength
from sparkplug.schema.memory_pruning import Proposal, PruneReply, PruneRequest

#: Characters of a text that a proposal has.
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
    catalogue: Catalogue,
    request: PruneRequest,
    half_life: float,
    comparison: Comparison | None = None,
    *,
    chars: int = _CHARS,
) -> PruneReply:
    """What could be tidied, by what is asked for; no pair of which both are to be kept.

    Raises SparkplugError when the comparison is stopped.
    """
    db = catalogue.reader
    found: list[Proposal] = []
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
                if len(found) > request.limit:
                    break
    reply = PruneReply(proposals=found)
    if request.duplicates or request.contradictions:
        apart = settled.kept_apart(db)
        rows = pairs.rows_to_compare(db, request.scopes)
        found += pairs.find_pairs(
            rows, request, half_life, apart, chars, comparison or Comparison()
        )
        reply.items, reply.compared = pairs.comparable(db, request.scopes)
    reply.more = len(found) >= request.limit
    reply.proposals = found[: request.limit]
    return reply


def apply(catalogue: Catalogue, reply: PruneReply, author: str, *, compacts: bool) -> None:
    """Delete what was proposed, and still is as it was; contradictions are left to people."""
    with catalogue.change() as db:
        for one in reply.proposals:
            if one.kind == "contradiction" or not _holds(db, one):
                continue
            if catalogue.delete(db, one.drop.id, author, f"pruned: {one.kind}"):
                reply.deleted.append(one.drop.id)
    if compacts:
        reply.purged, reply.freed_bytes = compact(catalogue)


def _holds(db: sqlite3.Connection, one: Proposal) -> bool:
    """Whether nothing happened to what a proposal is about since it was looked for."""
    return all(
        db.execute(
            "SELECT 1 FROM items WHERE id = ? AND state = 'kept' AND abs(updated - ?) < 1e-5",
            (item.id, item.updated.timestamp()),
        ).fetchone()
        for item in (one.drop, one.keep)
        if item is not None
    )


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
) -> Iterator[sqlite3.Row]:
    """The oldest first: it is what is weak."""
    where = f"state = 'kept' AND path = '' AND {more}"
    given: list[object] = list(values)
    if scopes:
        where += f" AND scope IN ({','.join('?' * len(scopes))})"
        given += scopes
    return db.execute(f"SELECT * FROM items WHERE {where} ORDER BY created", given)  # noqa: S608
