"""Finding memories: by meaning and by words, put together, each with why."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sparkplug.memory.embedders.lexical import STOP_WORDS
from sparkplug.memory.rows import fields_of, strength
from sparkplug.schema.memory import MemoryHit, Why

#: Hits of each kind that are looked at.
POOL = 60
_WORD = re.compile(r"[^\W_]+")
#: Identifiers are asked for whole and in parts: `read_text`, `readText`.
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MOST_WORDS = 24
#: What meanings count for beside words. What is in a memory's own words is rarely wrong, and a
#: model alone misses names; an embedder that itself compares words adds little to them.
MEANINGS, WORDS_AGAIN = 0.6, 0.2
_STRENGTH = 0.04
#: A match by words that is half as good as the best one tells less than half as much.
_TELLS = 1.5
#: A word that is in a larger share of all memories says little, and takes long to rank.
_TOO_COMMON = 0.2
_COUNTED_FROM = 5_000
_ROWS_AT_ONCE = 500
#: What shares no word and is less alike than that has nothing to do with the question.
_UNLIKE = 0.12


@dataclass(slots=True)
class Found:
    """Rows found by words: the best bm25 of each, made a likeness from 0 to 1."""

    likeness: dict[int, float]
    words: list[str]


def words_of(query: str) -> list[str]:
    """The words of a question that are worth looking for, each once."""
    found = []
    for word in _WORD.findall(_CAMEL.sub(" ", query)):
        low = word.casefold()
        if low not in STOP_WORDS:
            found.append(low)
    chosen = list(dict.fromkeys(found)) or list(
        dict.fromkeys(w.casefold() for w in _WORD.findall(query))
    )
    return chosen[:_MOST_WORDS]


def by_words(
    db: sqlite3.Connection, query: str, scopes: Sequence[str] | None, *, total: int
) -> Found:
    """Rows that share words with the question, the most telling first."""
    words = words_of(query)
    if not words:
        return Found({}, [])
    looked = _telling(db, words, total) if total > _COUNTED_FROM else words
    match = " OR ".join(f'"{word}"' for word in looked)
    if scopes is None:
        sql = "SELECT rowid AS row, rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        rows = db.execute(sql, (match, POOL)).fetchall()
    else:
        marks = ",".join("?" * len(scopes))
        sql = (
            "SELECT items.row AS row, words.rank AS rank FROM words JOIN items"  # noqa: S608
            f" ON items.row = words.rowid WHERE words MATCH ? AND items.scope IN ({marks})"
            " ORDER BY words.rank LIMIT ?"
        )
        rows = db.execute(sql, (match, *scopes, POOL)).fetchall()
    if not rows:
        return Found({}, words)
    best = -float(rows[0]["rank"]) or 1.0
    return Found({r["row"]: max(0.0, -float(r["rank"]) / best) for r in rows}, words)


def _telling(db: sqlite3.Connection, words: Sequence[str], total: int) -> list[str]:
    """The words that are not in too many memories; the rarest when all are."""
    most = int(total * _TOO_COMMON)
    counts = {}
    for word in words:
        found = db.execute(
            "SELECT count(*) AS n FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)",
            (f'"{word}"', most + 1),
        ).fetchone()
        counts[word] = found["n"]
    there = [word for word in words if 0 < counts[word] <= most]
    if there:
        return there
    return sorted((w for w in words if counts[w]), key=counts.__getitem__)[:2] or list(words[:1])


def hybrid(
    db: sqlite3.Connection,
    semantic: Sequence[tuple[str, float]] | None,
    lexical: Found,
    scopes: Sequence[str] | None,
    *,
    limit: int,
    half_life: float,
    meanings: float = MEANINGS,
) -> list[tuple[sqlite3.Row, MemoryHit]]:
    """The best of both kinds, each as a hit with why it is one.

    `meanings` is what the first kind counts for, 0 to 1.
    """
    if semantic is not None and scopes is not None and len(semantic) > POOL:
        semantic = _of_scopes(db, semantic, set(scopes))
    rows = _rows(db, [known for known, _ in semantic or ()], list(lexical.likeness))
    by_id = dict(semantic or ())
    now = time.time()
    nearest = max(by_id.values(), default=0.0)
    furthest = min(by_id.values(), default=0.0)
    spread = max(nearest - furthest, 1e-6)
    allowed = set(scopes) if scopes is not None else None
    hits = []
    for row in rows:
        if row["state"] != "kept" or (allowed is not None and row["scope"] not in allowed):
            continue
        if row["expires"] is not None and row["expires"] <= now:
            continue
        meaning = by_id.get(row["id"])
        word = lexical.likeness.get(row["row"])
        # Likenesses of embedders lie close together: what counts is which is nearer.
        nearness = 0.0 if meaning is None else (meaning - furthest) / spread
        if word is None and (meaning or 0.0) < _UNLIKE:
            continue
        held = strength(row, half_life, now)
        if semantic is None:
            score = (1 - _STRENGTH) * (word or 0.0)
        else:
            score = meanings * nearness + (1 - meanings) * (word or 0.0) ** _TELLS
            score *= 1 - _STRENGTH
        score += _STRENGTH * held
        score *= 0.5 + 0.5 * float(row["confidence"])
        why = Why(
            semantic=None if meaning is None else round(meaning, 4),
            lexical=None if word is None else round(word, 4),
            strength=round(held, 4),
        )
        hits.append((score, row, why))
    hits.sort(key=lambda hit: (-hit[0], hit[1]["id"]))
    found = []
    for score, row, why in hits[:limit]:
        text = row["text"][:50_000].casefold()
        why.words = [word for word in lexical.words if word in text]
        fields = fields_of(row, half_life)
        found.append((row, MemoryHit.model_construct(**fields, score=round(score, 4), why=why)))
    return found


def _of_scopes(
    db: sqlite3.Connection, semantic: Sequence[tuple[str, float]], scopes: set[str]
) -> list[tuple[str, float]]:
    """The nearest that are in some scopes: a store was asked for more without its filter."""
    found: list[tuple[str, float]] = []
    for start in range(0, len(semantic), _ROWS_AT_ONCE):
        part = semantic[start : start + _ROWS_AT_ONCE]
        marks = ",".join("?" * len(part))
        sql = f"SELECT id, scope FROM items WHERE id IN ({marks})"  # noqa: S608
        rows = db.execute(sql, [known for known, _ in part])
        there = {row["id"] for row in rows if row["scope"] in scopes}
        found += [pair for pair in part if pair[0] in there]
        if len(found) >= POOL:
            break
    return found[:POOL]


def _rows(db: sqlite3.Connection, ids: Sequence[str], rows: Sequence[int]) -> list[sqlite3.Row]:
    found: dict[int, sqlite3.Row] = {}
    for column, values in (("id", ids), ("row", rows)):
        for start in range(0, len(values), _ROWS_AT_ONCE):
            part = values[start : start + _ROWS_AT_ONCE]
            sql = f"SELECT * FROM items WHERE {column} IN ({','.join('?' * len(part))})"  # noqa: S608
            for row in db.execute(sql, list(part)):
                found[row["row"]] = row
    return list(found.values())
