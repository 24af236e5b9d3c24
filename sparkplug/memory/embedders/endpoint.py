"""An embedding model behind an endpoint that speaks OpenAI's API: POST {url}/embeddings."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from sparkplug.memory.embedders.port import MOST_CHARS, Vectors, unit
from sparkplug.schema.errors import SparkplugError

_DEADLINE_S = 30.0
_BATCH = 64


class EndpointEmbedder:
    """A model at an endpoint. Raises SparkplugError when it gives no vectors."""

    def __init__(self, url: str, model: str = "", key_env: str = "") -> None:
        self._url = url.rstrip("/")
        self._model = model
        key = os.environ.get(key_env, "") if key_env else ""
        self._http = httpx.Client(
            timeout=_DEADLINE_S, headers={"Authorization": f"Bearer {key}"} if key else {}
        )
        if not model:
            self._model = self._first_model()
        self.dimensions = 0
        self.dimensions = int(self.embed(["size"]).shape[1])
        mark = hashlib.sha256(f"{self._url} {self._model}".encode()).hexdigest()[:8]
        self.name = f"endpoint-{self.dimensions}-{mark}"
        self.note = f"{self._model} at {httpx.URL(self._url).host}"

    def _first_model(self) -> str:
        found = self._ask("GET", "/models", None).get("data") or []
        if not found:
            raise SparkplugError(
                "the endpoint lists no model",
                where=self._url,
                hint="memory.embedder_model names one",
            )
        return str(found[0]["id"])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text."""
        rows: list[list[float]] = []
        for start in range(0, len(texts), _BATCH):
            batch = [text[:MOST_CHARS] or " " for text in texts[start : start + _BATCH]]
            answer = self._ask("POST", "/embeddings", {"model": self._model, "input": batch})
            try:
                data = sorted(answer["data"], key=lambda one: one["index"])
                rows += [one["embedding"] for one in data]
            except (KeyError, TypeError) as error:
                raise SparkplugError("that is no answer of embeddings", where=self._url) from error
        made = np.asarray(rows, dtype=np.float32)
        wrong = made.ndim != 2 or len(made) != len(texts)
        if wrong or (self.dimensions and made.shape[1] != self.dimensions):
            raise SparkplugError("the endpoint gave vectors of another size", where=self._url)
        return unit(made)

    def _ask(self, method: str, path: str, body: object) -> dict[str, Any]:
        try:
            response = self._http.request(method, self._url + path, json=body)
            response.raise_for_status()
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise SparkplugError(
                f"no embeddings from the endpoint: {error}", where=self._url
            ) from error
        return answer if isinstance(answer, dict) else {}
