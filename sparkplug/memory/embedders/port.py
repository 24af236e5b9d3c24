"""What every embedder is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

#: Characters of a text that are embedded: models read a few hundred words at most.
MOST_CHARS = 8_000


class Embedder(Protocol):
    """Makes vectors of length one out of texts. Called on threads of its own, by one at a time.

    `name` says which it is, for people and for the store: vectors of another name are not
    compared. `note` says what to think of it, `dimensions` the size of a vector.
    """

    name: str
    note: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text. Raises SparkplugError when it cannot."""


def unit(rows: Vectors) -> Vectors:
    """Rows of length one; those of nothing stay nothing."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-9), dtype=np.float32)
