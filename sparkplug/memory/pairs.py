"""Comparing memories with each other: which two of a scope say the same, or contradict each other.

All are compared with all, by the words they have. It knows no meanings: a person judges.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt

from sparkplug.memory import settled
from sparkplug.memory.catalogue import short
from sparkplug.memory.comparison import Comparison
from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.rows import item_of
from sparkplug.memory.stop_words import STOP_WORDS
from sparkplug.schema.memory_pruning import Proposal, PruneRequest

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
#: Others that one memory is judged beside, at most; making a vector takes so many comparisons.
_JUDGED, _EMBEDDING = 200, 2_000
#: Memories that one is told to contradict, at most.
_CONTRADICTED = 3
#: The likeness of words is of vectors of this size, over so many characters.
_SIZE, _EMBEDDED = 1024, 4000
_CHARS = 600


def rows_to_compare(db: sqlite3.Connection, scopes: Sequence[str]) -> list[sqlite3.Row]:
    """The memories that are compared with each other, the newest first."""
    where, given = _where(scopes)
    sql = f"SELECT * FROM items WHERE {where} ORDER BY created DESC LIMIT {_COMPARED}"  # noqa: S608
    return db.execute(sql, given).fetchall()


def comparable(db: sqlite3.Connection, scopes: Sequence[str]) -> tuple[int, int]:
    """How many memories there are to be compared, and how many are."""
    where, given = _where(scopes)
    count = int(db.execute(f"SELECT count(*) AS n FROM items WHERE {where}", given).fetchone()["n"])  # noqa: S608
    return count, min(count, _COMPARED)


def _where(scopes: Sequence[str]) -> tuple[str, list[str]]:
    where = "state = 'kept' AND path = ''"
    if scopes:
        where += f" AND scope IN ({','.join('?' * len(scopes))})"
    return where, list(scopes)


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


def find_pairs(
    rows: Sequence[sqlite3.Row],
    request: PruneRequest,
    half_life: float,
    apart: set[settled.Pair],
    chars: int,
    comparison: Comparison,
) -> list[Proposal]:
    """Pairs within a scope that say the same, or of the same thing something else.

    Raises SparkplugError when the comparison is stopped.
    """
    by_scope: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        by_scope.setdefault(row["scope"], []).append(row)
    comparison.begin(sum(_effort(len(group)) for group in by_scope.values()))
    search = _Search(request, half_life, apart, chars)
    for group in by_scope.values():
        vectors = np.concatenate(
            [
                LexicalEmbedder(_SIZE).embed([row["text"][:_EMBEDDED] for row in part])
                for part in _parts(group, comparison)
            ]
        )
        often = np.zeros(len(group), dtype=np.int64)
        gone = np.zeros(len(group), dtype=bool)
        for start in range(0, len(group), _BLOCK):
            alike = vectors[start : start + _BLOCK] @ vectors[start:].T
            for left in range(alike.shape[0]):
                search.row(group, start, left, alike[left], often, gone)
            comparison.went_on(alike.size)
            if search.full:
                break
    return [*search.found["duplicate"], *search.found["contradiction"]]


def _parts(group: Sequence[sqlite3.Row], comparison: Comparison) -> Iterator[Sequence[sqlite3.Row]]:
    for start in range(0, len(group), _BLOCK):
        yield group[start : start + _BLOCK]
        comparison.went_on(_BLOCK * _EMBEDDING)


def _effort(count: int) -> int:
    """What there is to be done for so many, in comparisons."""
    return count * count // 2 + count * (_EMBEDDING + _BLOCK // 2)


class _Search:
    """What is found so far."""

    def __init__(
        self, request: PruneRequest, half_life: float, apart: set[settled.Pair], chars: int
    ) -> None:
        self._request = request
        self._half_life = half_life
        self._apart = apart
        self._chars = chars
        self._wanted = {
            "duplicate": request.duplicates,
            "contradiction": request.contradictions,
        }
        self.found: dict[str, list[Proposal]] = {"duplicate": [], "contradiction": []}

    @property
    def full(self) -> bool:
        """Whether no more would be told."""
        return all(
            len(self.found[kind]) >= self._request.limit
            for kind, wanted in self._wanted.items()
            if wanted
        )

    def row(
        self,
        group: Sequence[sqlite3.Row],
        start: int,
        left: int,
        alike: npt.NDArray[np.float32],
        often: npt.NDArray[np.int64],
        gone: npt.NDArray[np.bool_],
    ) -> None:
        """Judge one memory beside those after it; `often` counts how often each is contradicted.

        Of a list of numbers not all are told against all.
        """
        here = start + left
        if gone[here]:
            return
        near = np.flatnonzero(alike[left + 1 :] >= _RELATED) + here + 1
        near = near[~gone[near]]
        same = alike[near - start] >= _DUPLICATE
        judged = 0
        related = near[~same & (often[near] < _CONTRADICTED)]
        for right in chain(near[same].tolist(), related.tolist()):
            likeness = float(alike[right - start])
            told = max(often[here], often[right]) >= _CONTRADICTED
            if told and likeness < _DUPLICATE:
                return  # as are all after it
            if judged >= _JUDGED:
                return
            judged += 1
            newer, older = group[here], group[right]
            if settled.pair(newer["id"], older["id"]) in self._apart:
                continue
            kind = _kind(newer, older, likeness)
            if kind == "contradiction":
                often[here] += 1
                often[right] += 1
                if told:
                    continue
            if not kind or not self._wanted[kind] or len(self.found[kind]) >= self._request.limit:
                continue
            made = _judge(newer, older, likeness, self._half_life, self._chars)
            self.found[kind].append(made)
            if kind == "duplicate":
                dropped = here if made.drop.id == newer["id"] else right
                gone[dropped] = True
                if dropped == here:
                    return


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
