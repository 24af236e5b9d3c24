"""Mem0 and its vector store: one collection for each embedder, all made by Mem0's own providers.

The ids of vectors are those of the catalogue's items, and each carries what Mem0 writes beside
one: its text (`data`) and whose it is (`user_id`), so a store of ours reads as Mem0's.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparkplug.memory.embedders.port import Embedder, Vectors
from sparkplug.memory.narrow import MOST_ITEMS, Narrow
from sparkplug.memory.wording import words_of
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.settings import LlmSection, MemorySection

log = logging.getLogger(__name__)

#: Characters of a text that are kept beside its vector: the catalogue has all of it.
_DATA_CHARS = 4_000
_SEATS = "sparkplug.memory.seats"
_UNSUITED = re.compile(r"[^a-zA-Z0-9_-]")
#: Elsewhere the name of a collection is one of a table, which Mem0 does not quote, or of a class.
_TAKE_HYPHENS = ("chroma", "qdrant")
#: What speaks to a store that a server of its own is, as pip knows it.
_CLIENTS = {
    "pgvector": "psycopg[binary,pool]",
    "weaviate": "weaviate-client",
    "milvus": "pymilvus",
    "redis": "redisvl",
}
#: Where scopes are too large to be held here more is asked for without Chroma's filter, which
#: takes time for each that passes, and what is of other scopes is left out after.
_MOST_ASKED = 4_000
#: Texts that have nothing to do with each other.
_STRANGERS = (
    "The kettle is on the stove.",
    "A queue drops messages when it is full.",
    "Whales sing under the ice of the north.",
    "Her contract ends in November.",
    "Tensors of half precision overflow early.",
    "Goals scored away count twice.",
)


class Space:
    """The vectors of one embedder, in one collection, behind Mem0.

    Raises SparkplugError when Mem0 cannot be made. Methods block; one thread at a time writes.
    """

    def __init__(
        self, folder: Path, settings: MemorySection, llm: LlmSection, embedder: Embedder
    ) -> None:
        self.embedder = embedder
        self.name = embedder.name
        self._lock = threading.Lock()
        try:
            self.mem0 = _make(folder, settings, llm, embedder)
        except SparkplugError:
            raise
        except ImportError as error:
            client = _CLIENTS.get(settings.store, settings.store)
            raise SparkplugError(
                f"the store {settings.store} needs a package that is not here: {_gist(error)}",
                where="memory.store",
                hint=f"{sys.executable} -m pip install '{client}', on the memory's host",
            ) from error
        except Exception as error:
            raise SparkplugError(
                f"Mem0 does not start with the store {settings.store}: {_gist(error)}",
                where="memory.store",
                hint="memory.store_config is what Mem0 is told of it",
            ) from error
        self._store = self.mem0.vector_store
        self.unlike = _unlike(embedder)
        self._chroma = getattr(self._store, "collection", None)
        self._own = not settings.store_config
        if settings.store != "chroma":
            self._chroma = None
        self._narrow = Narrow(self._read_scope, self._lock)

    def insert(self, ids: Sequence[str], texts: Sequence[str], scopes: Sequence[str]) -> None:
        """Store vectors of texts. One that is there already is replaced."""
        vectors = self.embedder.embed(texts)
        telling = np.linalg.norm(vectors, axis=1) > 0
        if not telling.all():
            # What holds no word is nearer to all others than they are to each other: each would
            # be linked to it alone, and through one such text hardly any other were found.
            self.remove([known for known, tells in zip(ids, telling, strict=True) if not tells])
            ids, texts, scopes = (
                [one for one, tells in zip(given, telling, strict=True) if tells]
                for given in (ids, texts, scopes)
            )
            vectors = vectors[telling]
        if not ids:
            return
        payloads = [
            {"data": text[:_DATA_CHARS], "user_id": scope}
            for text, scope in zip(texts, scopes, strict=True)
        ]
        with self._lock:
            if self._chroma is not None:
                # What Mem0's `insert` does, but with vectors that were stored before a crash.
                self._chroma.upsert(ids=list(ids), embeddings=vectors, metadatas=payloads)
                self._narrow.write(ids, scopes, vectors)
                return
            for known in ids:
                self._remove(known)
            self._store.insert(vectors=vectors.tolist(), payloads=payloads, ids=list(ids))

    def remove(self, ids: Sequence[str]) -> None:
        """Let go of vectors; those that are not there are no error."""
        with self._lock:
            if self._chroma is not None:
                self._chroma.delete(ids=list(ids))
                self._narrow.remove(ids)
                return
            for known in ids:
                self._remove(known)

    def _remove(self, known: str) -> None:
        try:
            if self._store.get(vector_id=known) is not None:
                self._store.delete(vector_id=known)
        except Exception as error:  # noqa: BLE001  each store raises kinds of its own for what is not there
            log.debug("vector %s: %s", known, error)

    def search(
        self, query: str, scopes: Sequence[str] | None, limit: int, within: int, total: int
    ) -> list[tuple[str, float]]:
        """Ids and likenesses (0 to 1) of the nearest, the best first.

        `within` is how many of all `total` memories are in the scopes. Of some that are large more
        may come than is asked for, and what is not theirs: the caller leaves it out.
        """
        vector, length = self._asked(query)
        if not vector.any():
            return []
        if self._chroma is not None:
            # Chroma's own call: Mem0's makes lists of vectors, and 1/(1+d) of likenesses.
            if scopes is not None and within <= MOST_ITEMS:
                held = self._narrow.search(vector, scopes, limit)
                return [(known, alike * length) for known, alike in held]
            wanted = limit
            if scopes is not None and within < 0.99 * total:
                wanted = min(_MOST_ASKED, int(2 * limit * total / max(1, within)))
            found = self._chroma.query(
                query_embeddings=vector[None], n_results=max(1, wanted), include=["distances"]
            )
            pairs = zip(found["ids"][0], found["distances"][0], strict=True)
            # Of vectors of length one the squared distance is 2 - 2 cos.
            return [(known, length * max(0.0, 1.0 - distance / 2)) for known, distance in pairs]
        given: dict[str, float] = {}
        for scope in scopes if scopes is not None else [None]:
            filters = {"user_id": scope} if scope is not None else None
            listed = self._store.search(
                query=query, vectors=vector.tolist(), top_k=limit, filters=filters
            )
            for one in listed:
                given[str(one.id)] = max(given.get(str(one.id), 0.0), float(one.score or 0.0))
        return sorted(given.items(), key=lambda pair: -pair[1])[:limit]

    def _asked(self, query: str) -> tuple[Vectors, float]:
        """What a question is compared by, of length one, and what likenesses to it count.

        A model is given the question, and its telling words alone: what both are like is likelier
        meant than what only the phrase is like.
        """
        words = " ".join(words_of(query))
        if self.name.startswith("lexical-") or words in ("", query.casefold()):
            return self.embedder.embed([query])[0], 1.0
        mean = self.embedder.embed([query, words]).mean(axis=0)
        length = float(np.linalg.norm(mean))
        return mean / max(length, 1e-9), length

    def _read_scope(self, scope: str) -> tuple[list[str], Vectors]:
        """What Chroma has of a scope. Nothing is written meanwhile."""
        assert self._chroma is not None
        found = self._chroma.get(where={"user_id": scope}, include=["embeddings"])
        rows = np.asarray(found["embeddings"], dtype=np.float32)
        return list(found["ids"]), rows.reshape(len(found["ids"]), -1)

    @property
    def left_over(self) -> bool:
        """Whether Mem0's own folder holds vectors already."""
        return self._chroma is not None and self._own and self._chroma.count() > 0

    def drop(self) -> None:
        """Let go of the collection: another embedder's has taken its place."""
        try:
            self._store.delete_col()
        except Exception as error:  # noqa: BLE001  as above
            log.warning("the vectors of %s stay: %s", self.name, error)

    def close(self) -> None:
        """Let go of Mem0's own file."""
        self.mem0.close()


def _unlike(embedder: Embedder) -> float:
    """How alike an embedder finds texts that have nothing in common, 0 to 0.9."""
    vectors = embedder.embed(_STRANGERS)
    alike = vectors @ vectors.T
    count = len(_STRANGERS)
    between = float(alike.sum() - alike.trace()) / (count * (count - 1))
    return min(0.9, max(0.0, between))


def _make(folder: Path, settings: MemorySection, llm: LlmSection, embedder: Embedder) -> Any:
    try:
        from mem0 import Memory
        from mem0.utils.factory import EmbedderFactory, LlmFactory
    except ImportError as error:
        raise InvalidError(
            f"memory needs the extra `memory`: {error}",
            hint="pip install 'sparkplug-control[memory]'",
        ) from error
    from mem0.configs.llms.base import BaseLlmConfig

    logging.getLogger("mem0").setLevel(logging.ERROR)
    logging.getLogger("chromadb").setLevel(logging.ERROR)
    EmbedderFactory.provider_to_class["langchain"] = f"{_SEATS}.EmbedderSeat"
    LlmFactory.provider_to_class["langchain"] = (f"{_SEATS}.NoModelSeat", BaseLlmConfig)
    config = {
        "vector_store": {
            "provider": settings.store,
            "config": store_config(folder, settings, embedder),
        },
        "embedder": {"provider": "langchain", "config": {"model": embedder}},
        "llm": _llm_config(llm),
        "history_db_path": str(folder / "mem0.db"),
    }
    return Memory.from_config(config)


def store_config(folder: Path, settings: MemorySection, embedder: Embedder) -> dict[str, Any]:
    """What Mem0 is told of the store of the settings. Raises InvalidError for a missing secret."""
    config = dict(settings.store_config)
    config.setdefault("collection_name", "sparkplug")
    name = _UNSUITED.sub("_", f"{config['collection_name']}_{embedder.name}")
    if settings.store not in _TAKE_HYPHENS:
        name = name.replace("-", "_")
    if settings.store == "weaviate":
        name = name[0].upper() + name[1:]
    config["collection_name"] = name
    if settings.store == "chroma" and not config.keys() & {"host", "port", "api_key", "path"}:
        config["path"] = str(folder / "chroma")
    if settings.store != "chroma":
        config.setdefault("embedding_model_dims", embedder.dimensions)
    for key, variable in settings.store_secret_env.items():
        value = os.environ.get(variable, "")
        if not value:
            raise InvalidError(
                f"{variable} is not set, which memory.store_secret_env.{key} names",
                hint="set it where the node is started",
            )
        config[key] = value
    return config


def _llm_config(llm: LlmSection) -> Mapping[str, Any]:
    if not llm.endpoint:
        return {"provider": "langchain", "config": {}}
    key = os.environ.get(llm.api_key_env, "") if llm.api_key_env else ""
    return {
        "provider": "openai",
        "config": {
            "model": llm.model or _first_model(llm.endpoint, key, llm.timeout),
            "openai_base_url": llm.endpoint,
            "api_key": key or "none",
        },
    }


def _first_model(endpoint: str, key: str, timeout: float) -> str:
    """The first model an endpoint lists; a name that says so when it lists none now."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        url = f"{endpoint.rstrip('/')}/models"
        found = httpx.get(url, headers=headers, timeout=min(timeout, 5.0)).json()["data"]
        return str(found[0]["id"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
        return "default"


def _gist(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
