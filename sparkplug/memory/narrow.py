"""The vectors of small scopes, held in this process: a store's filter takes longer than all else.

Chroma needs a tenth of a second to search 800 of 100,000 through its filter, numpy a millisecond.
What is held follows what is written; it is read from the store when a scope is first asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from sparkplug.memory.embedders.port import Vectors

#: Vectors of all scopes that are held, in bytes, and the most items scopes are small with.
_MOST_BYTES = 64 << 20
MOST_ITEMS = 8_000

#: Ids and vectors of a scope, as the store has them.
ReadScope = Callable[[str], tuple[list[str], Vectors]]


class Narrow:
    """Scopes and their vectors, those that were asked for least lately let go of first.

    `writing` is held by who writes to the store, and while a scope is read from it: taken before
    the lock of this, never after.
    """

    def __init__(self, read: ReadScope, writing: threading.Lock) -> None:
        self._read = read
        self._writing = writing
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[list[str], Vectors]] = OrderedDict()

    def search(self, vector: Vectors, scopes: Sequence[str], limit: int) -> list[tuple[str, float]]:
        """Ids and likenesses (0 to 1) of the nearest in some scopes, the best first."""
        found: list[tuple[str, float]] = []
        for scope in scopes:
            ids, vectors = self._scope(scope)
            if not ids:
                continue
            alike = vectors @ vector
            best = np.argsort(-alike)[:limit]
            found += [(ids[at], max(0.0, float(alike[at]))) for at in best]
        found.sort(key=lambda pair: -pair[1])
        return found[:limit]

    def _scope(self, scope: str) -> tuple[list[str], Vectors]:
        with self._lock:
            if scope in self._held:
                self._held.move_to_end(scope)
                return self._held[scope]
        with self._writing:
            read = self._read(scope)
            with self._lock:
                self._held[scope] = read
                while len(self._held) > 1 and self._bytes() > _MOST_BYTES:
                    self._held.popitem(last=False)
        return read

    def _bytes(self) -> int:
        return sum(vectors.nbytes for _, vectors in self._held.values())

    def write(self, ids: Sequence[str], scopes: Sequence[str], vectors: Vectors) -> None:
        """These were stored."""
        with self._lock:
            self._take_out(set(ids))
            for scope in set(scopes) & self._held.keys():
                at = [number for number, own in enumerate(scopes) if own == scope]
                known, held = self._held[scope]
                joined = np.concatenate([held, vectors[at]]) if known else vectors[at]
                self._held[scope] = ([*known, *(ids[number] for number in at)], joined)

    def remove(self, ids: Sequence[str]) -> None:
        """These were taken out."""
        with self._lock:
            self._take_out(set(ids))

    def _take_out(self, gone: set[str]) -> None:
        for scope, (known, held) in self._held.items():
            if gone.isdisjoint(known):
                continue
            left = [at for at, one in enumerate(known) if one not in gone]
            self._held[scope] = ([known[at] for at in left], held[left])
