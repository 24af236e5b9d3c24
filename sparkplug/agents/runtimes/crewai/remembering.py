"""Vectors for CrewAI's memory and knowledge that need no model and no network.

Left to itself, CrewAI embeds by OpenAI. Here a text is what words and pairs of words it has,
hashed into a vector: alike texts share words, so they are found by their words, not by their
meaning. A crew that names its own embedder keeps it.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from crewai.memory import unified_memory
from crewai.rag.chromadb.config import ChromaDBConfig
from crewai.rag.config import utils as rag_config

_DIMENSIONS = 384
_WORD = re.compile(r"\w+")


class WordVectors:
    """An embedding function as ChromaDB and CrewAI's memory call it."""

    def __init__(self) -> None:
        """Nothing to set: ChromaDB makes one anew from what `get_config` says."""

    def __call__(self, input: Iterable[str]) -> list[list[float]]:  # noqa: A002  ChromaDB's name
        """A vector of length one for each text."""
        return [vector(text) for text in input]

    def embed_query(self, input: Iterable[str]) -> list[list[float]]:  # noqa: A002
        """The same, for questions."""
        return self(input)

    @staticmethod
    def name() -> str:
        """What ChromaDB keeps with a collection."""
        return "sparkplug-words"

    def get_config(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> WordVectors:
        """One as a collection was made with."""
        return WordVectors()

    def is_legacy(self) -> bool:
        """ChromaDB asks."""
        return False

    def default_space(self) -> str:
        """How its vectors are compared."""
        return "cosine"

    def supported_spaces(self) -> list[str]:
        """How they can be."""
        return ["cosine", "l2", "ip"]


class LocalKnowledge(ChromaDBConfig):
    """CrewAI's vector store, with vectors made here."""

    def __init__(self, **settings: Any) -> None:
        vectors: Any = WordVectors()
        super().__init__(embedding_function=vectors, **settings)


def vector(text: str) -> list[float]:
    """A text as a vector of length one; that of a text without words points one fixed way."""
    found = [0.0] * _DIMENSIONS
    words = [word.lower() for word in _WORD.findall(text)]
    for feature, weight in (
        *((word, 1.0) for word in words),
        *((f"{a} {b}", 0.5) for a, b in pairwise(words)),
    ):
        digest = hashlib.blake2b(feature.encode(), digest_size=5).digest()
        sign = 1.0 if digest[4] & 1 else -1.0
        found[int.from_bytes(digest[:4], "big") % _DIMENSIONS] += sign * weight
    length = math.sqrt(sum(value * value for value in found))
    if not length:
        return [1.0, *found[1:]]
    return [value / length for value in found]


def remember_here() -> None:
    """Have CrewAI use these vectors wherever an author names no embedder."""
    # There is no other way in: neither is a setting.
    memory, knowledge = sys.modules[unified_memory.__name__], sys.modules[rag_config.__name__]
    vars(memory)["_default_embedder"] = WordVectors
    vars(knowledge).update(
        DEFAULT_RAG_CONFIG_PATH=__name__, DEFAULT_RAG_CONFIG_CLASS=LocalKnowledge.__name__
    )
