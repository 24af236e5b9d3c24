"""Finding memories: by meaning and by words, put together, each with why.

The score is the likeness of meaning and, with a weight, the share of the question's words; the
weight grows with how much these words tell (the sum of their weights, BM25's idf), so that a
question of rare names is looked up and a common phrase is compared by what it means. How
the weights were chosen, and on what: docs/memory.md.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p

from sparkplug.memory.rows import fields_of, strength
from sparkplug.memory.wording import words_of
from sparkplug.schema.memory import MemoryHit, Why

#: Hits of each kind that are looked at.
POOL = 100
#: What words count for beside meanings: a model alone misses names; an embedder that itself
#: compares words adds little to them.
BESIDE_MEANINGS, BESIDE_WORDS = 0.015, 0.14
_STRENGTH = 0.01
#: A word that is in a larger share of all memories says little, and takes long to rank; so do
#: words that are in more than so many together, where rarer ones are asked for too.
_TOO_COMMON, _MOST_RANKED = 0.2, 8_000
_COUNTED_FROM = 5_000
_ROWS_AT_ONCE = 500
_RANKED_BY = "row, id, state, scope, expires, importance, updated, read_last, reads, confidence"
#: What shares no word and is less alike than that has nothing to do with the question.
_UNLIKE = 0.12
#: What was found by words alone is at most as alike as the last that was found by meaning.
_NOT_NEAR = 0.9
#: The least weight SQLite gives a word (`fts5Bm25GetData`), of one that is in half of all.
_LEAST_WEIGHT = 1e-6


@dataclass(slots=True)
class Found:
    """Rows found by words, each with the share of the question's words it holds.

    1 is every word once in a text of usual length; a word counts by how rare it is. `tells` is
    how much the words tell, 0 for nothing.
    """

    likeness: dict[int, float]
    words: list[str]
    tells: float = 0.0


def by_words(
    db: sqlite3.Connection, query: str, scopes: Sequence[str] | None, *, total: int
) -> Found:
    """Rows that share words with the question, the most telling first."""
    words = words_of(query)
    counts = _counts(db, words, total)
    looked = _telling(words, counts, total) if total > _COUNTED_FROM else list(counts)
    if not looked:
        return Found({}, words)
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
    among = max(total, *(counts[word] for word in looked))
    # SQLite's weights, which its ranks are made of; and Lucene's, which are never below nothing.
    weights = sum(
        max(_LEAST_WEIGHT, log((among - counts[word] + 0.5) / (counts[word] + 0.5)))
        for word in looked
    )
    tells = sum(log1p((among - counts[word] + 0.5) / (counts[word] + 0.5)) for word in looked)
    likeness = {row["row"]: max(0.0, -float(row["rank"]) / weights) for row in rows}
    return Found(likeness, words, tells)


def _counts(db: sqlite3.Connection, words: Sequence[str], total: int) -> dict[str, int]:
    """In how many memories a word is, of those that are in any; not counted beyond the usual."""
    most = int(total * _TOO_COMMON) if total > _COUNTED_FROM else _COUNTED_FROM
    sql = "SELECT count(*) AS n FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
    counts = {w: int(db.execute(sql, (f'"{w}"', most + 1)).fetchone()["n"]) for w in words}
    return {word: count for word, count in counts.items() if count}


def _telling(words: Sequence[str], counts: dict[str, int], total: int) -> list[str]:
    """The words that are not in too many memories; the rarest when all are."""
    chosen: list[str] = []
    ranked = 0
    for word in sorted(counts, key=counts.__getitem__):
        ranked += counts[word]
        if chosen and (ranked > _MOST_RANKED or counts[word] > int(total * _TOO_COMMON)):
            break
        chosen.append(word)
    return [word for word in words if word in chosen]


def hybrid(
    db: sqlite3.Connection,
    semantic: Sequence[tuple[str, float]] | None,
    lexical: Found,
    scopes: Sequence[str] | None,
    *,
    limit: int,
    half_life: float,
    beside: float = BESIDE_MEANINGS,
    unlike: float = 0.0,
) -> list[tuple[sqlite3.Row, MemoryHit]]:
    """The best of both kinds, each as a hit with why it is one.

    `beside` is what words count for beside meanings, `unlike` how alike the embedder finds texts
    that have nothing in common: some find all texts much alike.
    """
    if semantic is not None and scopes is not None and len(semantic) > POOL:
        semantic = _of_scopes(db, semantic, set(scopes))
    by_id = dict(semantic or ())
    now = time.time()
    furthest = _NOT_NEAR * min(by_id.values(), default=0.0)
    weight = beside * lexical.tells if semantic is not None else 1.0
    allowed = set(scopes) if scopes is not None else None
    ranked: list[tuple[float, str, int, float]] = []
    for row in _rows(db, _RANKED_BY, list(by_id), list(lexical.likeness)):
        if row["state"] != "kept" or (allowed is not None and row["scope"] not in allowed):
            continue
        if row["expires"] is not None and row["expires"] <= now:
            continue
        meaning = by_id.get(row["id"])
        word = lexical.likeness.get(row["row"])
        if word is None and (meaning or 0.0) < _UNLIKE:
            continue
        held = strength(row, half_life, now)
        score = weight * (word or 0.0)
        if semantic is not None:
            alike = furthest if meaning is None else meaning
            score += max(0.0, alike - unlike) / (1.0 - unlike)
            score /= 1.0 + weight
        score = (1 - _STRENGTH) * score + _STRENGTH * held
        ranked.append((-score * (0.5 + 0.5 * row["confidence"]), row["id"], row["row"], held))
    ranked.sort()
    best = ranked[:limit]
    whole = {row["row"]: row for row in _rows(db, "*", (), [number for _, _, number, _ in best])}
    found = []
    for score, known, number, held in best:
        if number not in whole:  # it went meanwhile
            continue
        row = whole[number]
        meaning, word = by_id.get(known), lexical.likeness.get(number)
        text = row["text"][:50_000].casefold()
        why = Why(
            semantic=None if meaning is None else round(meaning, 4),
            lexical=None if word is None else round(min(1.0, word), 4),
            strength=round(held, 4),
            words=[word for word in lexical.words if word in text],
        )
        shown = round(min(1.0, -score), 4)
        fields = fields_of(row, half_life)
        found.append((row, MemoryHit.model_construct(**fields, score=shown, why=why)))
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


def _rows(
    db: sqlite3.Connection, columns: str, ids: Sequence[str], rows: Sequence[int]
) -> list[sqlite3.Row]:
    found: dict[int, sqlite3.Row] = {}
    for column, values in (("id", ids), ("row", rows)):
        for start in range(0, len(values), _ROWS_AT_ONCE):
            part = values[start : start + _ROWS_AT_ONCE]
            marks = ",".join("?" * len(part))
            sql = f"SELECT {columns} FROM items WHERE {column} IN ({marks})"  # noqa: S608
            for row in db.execute(sql, list(part)):
                found[row["row"]] = row
    return list(found.values())
