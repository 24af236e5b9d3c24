"""The places where Mem0 looks for an embedder and a model, taken by ours.

Mem0 makes its parts by name from a table of classes; these are the names our entries give.
Imported by Mem0 alone, after it: this module imports it.
"""

from __future__ import annotations

from typing import Any

from mem0.embeddings.base import EmbeddingBase
from mem0.llms.base import LLMBase
from mem0.vector_stores.base import VectorStoreBase

from sparkplug.memory.embedders.port import Embedder
from sparkplug.schema.errors import SparkplugError


class EmbedderSeat(EmbeddingBase):  # type: ignore[misc]
    """Mem0's embedder, which is one of ours."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._embedder: Embedder = self.config.model

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        """One vector."""
        return list(map(float, self._embedder.embed([text])[0]))

    def embed_batch(self, texts: list[str], memory_action: str = "add") -> list[list[float]]:
        """Several."""
        return [list(map(float, row)) for row in self._embedder.embed(texts)]


class NoModelSeat(LLMBase):  # type: ignore[misc]
    """Mem0's model where none is configured: asked, it says so."""

    def generate_response(self, *_: Any, **__: Any) -> str:
        """Raises SparkplugError."""
        raise SparkplugError(
            "no model is configured", hint="llm.endpoint in the settings names one"
        )


class StagedStore(VectorStoreBase):  # type: ignore[misc]
    """A vector store for one of Mem0's `add`s: it reads the real one, and keeps what is written.

    So all that a model extracts is stored in one transaction with the note that it was, and a
    crash in between neither loses any of it nor stores it twice.
    """

    def __init__(self, below: Any) -> None:
        self._below = below
        self.inserted: list[dict[str, Any]] = []

    def insert(self, vectors: Any, payloads: Any = None, ids: Any = None) -> None:
        """Keep what is to be stored."""
        self.inserted += payloads or []

    def search(self, query: str, vectors: Any, top_k: int = 5, filters: Any = None) -> Any:
        """What there is."""
        return self._below.search(query=query, vectors=vectors, top_k=top_k, filters=filters)

    def get(self, vector_id: str) -> Any:
        """What there is."""
        return self._below.get(vector_id)

    def list(self, filters: Any = None, top_k: Any = None) -> Any:
        """What there is."""
        return self._below.list(filters=filters, top_k=top_k)

    def create_col(self, name: Any, vector_size: Any = None, distance: Any = None) -> None:
        """It is there."""

    def delete(self, vector_id: str) -> None:
        """Nothing is deleted by an extraction."""

    def update(self, vector_id: str, vector: Any = None, payload: Any = None) -> None:
        """Nothing is changed by an extraction."""

    def list_cols(self) -> Any:
        """What there is."""
        return self._below.list_cols()

    def delete_col(self) -> None:
        """Nothing is deleted by an extraction."""

    def col_info(self) -> Any:
        """What there is."""
        return self._below.col_info()

    def reset(self) -> None:
        """Nothing is deleted by an extraction."""
