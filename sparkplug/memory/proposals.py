"""Pairs that say the same or contradict each other: found, decided about, and that taken back."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime

from sparkplug.memory import happened, outcomes, pairs, settled, upkeep
from sparkplug.memory.catalogue import Catalogue, short
from sparkplug.memory.comparison import Comparison
from sparkplug.memory.rows import item_of
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.memory import MemoryState
from sparkplug.schema.memory_pruning import Proposal, PruneRequest
from sparkplug.schema.memory_review import (
    ProposalsReply,
    ProposalsRequest,
    SettleReply,
    SettleRequest,
    pair_ids,
)
from sparkplug.schema.memory_timeline import HappeningKind

_CHARS = 600
_SURE = {"duplicate": 0, "contradiction": 1}


def read(
    catalogue: Catalogue,
    request: ProposalsRequest,
    half_life: float,
    comparison: Comparison | None = None,
) -> ProposalsReply:
    """Pairs that are proposed now, or that were decided about."""
    began = time.perf_counter()
    if request.decided:
        reply = ProposalsReply(proposals=_decided(catalogue.reader, request, half_life))
    else:
        wanted = PruneRequest(
            duplicates=not request.kinds or "duplicate" in request.kinds,
            contradictions=not request.kinds or "contradiction" in request.kinds,
            scopes=request.scopes,
            limit=request.limit,
        )
        made = upkeep.propose(catalogue, wanted, half_life, comparison, chars=request.chars)
        found = sorted(made.proposals, key=lambda one: (_SURE.get(one.kind, 2), -one.likeness))
        reply = ProposalsReply(proposals=found, items=made.items, compared=made.compared)
    reply.took_ms = round((time.perf_counter() - began) * 1000, 1)
    return reply


def _decided(db: sqlite3.Connection, request: ProposalsRequest, half_life: float) -> list[Proposal]:
    where: list[str] = ["1"]
    given: list[str] = []
    if request.kinds:
        where.append(f"s.kind IN ({','.join('?' * len(request.kinds))})")
        given += request.kinds
    if request.scopes:
        where.append(f"a.scope IN ({','.join('?' * len(request.scopes))})")
        given += request.scopes
    rows = db.execute(
        "SELECT s.* FROM settled s JOIN items a ON a.id = s.one JOIN items b ON b.id = s.other"  # noqa: S608
        f" WHERE {' AND '.join(where)} ORDER BY s.time DESC LIMIT ?",
        (*given, request.limit),
    ).fetchall()
    return [_told(db, row, half_life) for row in rows]


def _told(db: sqlite3.Connection, row: sqlite3.Row, half_life: float) -> Proposal:
    """A pair that was decided about."""
    ids = (row["one"], row["other"])
    one, other = (
        db.execute("SELECT * FROM items WHERE id = ?", (known,)).fetchone() for known in ids
    )
    if row["dropped"] == row["one"]:
        one, other = other, one
    return Proposal(
        kind=row["kind"],
        id=pairs.name_of(*ids),
        keep=item_of(one, half_life, _CHARS),
        drop=item_of(other, half_life, _CHARS),
        likeness=row["likeness"],
        why=row["found"],
        decided=row["decision"],
        decided_by=row["author"],
        decided_at=datetime.fromtimestamp(row["time"], UTC),
        decided_why=row["why"],
    )


def settle(
    catalogue: Catalogue, request: SettleRequest, author: str, half_life: float
) -> SettleReply:
    """Decide about a pair, in one transaction; a request that comes again changes nothing.

    Raises NotFoundError, InvalidError where it has to be said which of both is true, and
    ConflictError when one of both is not there any more, or nothing was decided.
    """
    with catalogue.change() as db:
        before = outcomes.answer(db, request.request)
        if before is not None:
            return SettleReply.model_validate_json(before)
        one, other = _both(catalogue, db, request.proposal)
        if request.decision == "open":
            reply = _take_back(catalogue, db, one, other, author, half_life)
        else:
            reply = _decide(catalogue, db, request, (one, other), author, half_life)
        outcomes.set_answer(db, request.request, reply.model_dump_json())
    return reply


def _both(
    catalogue: Catalogue, db: sqlite3.Connection, name: str
) -> tuple[sqlite3.Row, sqlite3.Row]:
    """The rows of a pair. Raises InvalidError, NotFoundError."""
    one, other = (catalogue.find(known, db) for known in pair_ids(name))
    if one["id"] == other["id"]:
        raise InvalidError(f"{short(one['id'])} twice is no pair of memories")
    return one, other


def _decide(
    catalogue: Catalogue,
    db: sqlite3.Connection,
    request: SettleRequest,
    pair: tuple[sqlite3.Row, sqlite3.Row],
    author: str,
    half_life: float,
) -> SettleReply:
    for row in pair:
        if row["state"] != MemoryState.KEPT:
            raise ConflictError(f"{short(row['id'])} is {row['state']}")
    if pair[0]["scope"] != pair[1]["scope"]:
        raise InvalidError(
            f"{short(pair[0]['id'])} is of {pair[0]['scope']}, and {short(pair[1]['id'])} of"
            f" {pair[1]['scope']}: of two scopes nothing is one memory"
        )
    found = pairs.judge_pair(*pair, half_life)
    kept, dropped = _sides(request, pair, found)
    kind = found.kind if found is not None else "duplicate"
    why = request.why[:500]
    settled.put(
        db,
        request.decision,
        kept,
        dropped,
        kind=kind,
        likeness=found.likeness if found is not None else 0.0,
        found=found.why if found is not None else "",
        author=author,
        why=why,
    )
    if request.decision == "both":
        for row, beside in ((kept, dropped), (dropped, kept)):
            told = f"beside {short(beside['id'])}{f': {why}' if why else ''}"
            happened.note(db, HappeningKind.KEPT, row, author, told)
    else:
        said = "says the same as" if kind == "duplicate" else "is contradicted by"
        told = f"{said} {short(kept['id'])}{f': {why}' if why else ''}"
        catalogue.delete(db, dropped["id"], author, told)
        if kind == "duplicate":
            settled.take_in(db, kept, dropped)
            happened.note(db, HappeningKind.MERGED, kept, author, f"took in {short(dropped['id'])}")
    made = settled.get(db, settled.pair(kept["id"], dropped["id"]))
    assert made is not None
    return SettleReply(proposal=_told(db, made, half_life))


def _sides(
    request: SettleRequest, pair: tuple[sqlite3.Row, sqlite3.Row], found: Proposal | None
) -> tuple[sqlite3.Row, sqlite3.Row]:
    """Which one stays, and which one goes."""
    one, other = pair
    if request.keep:
        chosen = [row for row in pair if row["id"].startswith(request.keep)]
        if len(chosen) != 1:
            raise NotFoundError(
                f"{request.keep[:64]} is none of both",
                hint=f"it is {short(one['id'])} or {short(other['id'])}",
            )
        return (one, other) if chosen[0]["id"] == one["id"] else (other, one)
    if request.decision == "merge" and (found is None or found.kind != "duplicate"):
        because = found.why if found is not None else "they are not alike"
        raise InvalidError(
            f"which of both stays has to be said: {because}",
            hint=f"--keep {short(one['id'])} or --keep {short(other['id'])}",
        )
    if found is None or found.keep is None or found.keep.id == one["id"]:
        return one, other
    return other, one


def _take_back(
    catalogue: Catalogue,
    db: sqlite3.Connection,
    one: sqlite3.Row,
    other: sqlite3.Row,
    author: str,
    half_life: float,
) -> SettleReply:
    ids = settled.pair(one["id"], other["id"])
    row = settled.get(db, ids)
    if row is None:
        raise ConflictError(f"nothing was decided about {pairs.name_of(*ids)}")
    told = _told(db, row, half_life)
    if row["dropped"]:
        catalogue.undo(db, row["dropped"], author)
    settled.open_again(db, ids)
    one, other = (catalogue.find(known, db) for known in ids)
    found = pairs.judge_pair(one, other, half_life)
    return SettleReply(
        proposal=found or told.model_copy(update={"decided": "", "decided_at": None})
    )
