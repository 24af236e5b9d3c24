"""The built-in embedder: words and parts of words, hashed. It knows no meanings.

Two texts are alike when they share words, or words that look alike (`connect`, `connection`).
Source of the way: feature hashing (Weinberger et al. 2009), with signs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from math import log1p
from zlib import crc32

import numpy as np

from sparkplug.memory.embedders.port import MOST_CHARS, Vectors, unit
from sparkplug.memory.stop_words import STOP_WORDS

_WORD = re.compile(r"[^\W_]+")
_PARTS_WEIGHT = 0.35
#: Words that say nothing of what a text is about count little.
_STOP_WEIGHT = 0.1


class LexicalEmbedder:
    """Needs nothing: no file, no network, no library but numpy."""

    note = "built in: compares words and parts of words, knows no meanings"

    def __init__(self, dimensions: int = 512) -> None:
        self.dimensions = dimensions
        self.name = f"lexical-{dimensions}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text."""
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            counts: dict[str, int] = {}
            for word in _WORD.findall(text[:MOST_CHARS].casefold()):
                counts[word] = counts.get(word, 0) + 1
            for word, count in counts.items():
                weight = log1p(count)
                places, signs = _features(word, self.dimensions)
                row[places] += signs * weight
        return unit(rows)


@lru_cache(maxsize=50_000)
def _features(word: str, dimensions: int) -> tuple[list[int], Vectors]:
    """Where a word and its parts stand, and with which weight."""
    if word in STOP_WORDS:
        found = {word: _STOP_WEIGHT}
    else:
        found = {word: 1.0}
        if len(word) > 3:
            marked = f"<{word}>"
            parts = {marked[at : at + 4] for at in range(len(marked) - 3)}
            found |= {f"#{part}": _PARTS_WEIGHT / len(parts) ** 0.5 for part in parts}
    weights: dict[int, float] = {}
    for feature, weight in found.items():
        mixed = crc32(feature.encode(errors="surrogatepass"))
        place = (mixed >> 1) % dimensions
        weights[place] = weights.get(place, 0.0) + (weight if mixed & 1 else -weight)
    return list(weights), np.fromiter(weights.values(), dtype=np.float32)
