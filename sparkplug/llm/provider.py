"""A chat model behind any OpenAI-compatible endpoint, streamed.

The protocol is the one vLLM, SGLang, llama.cpp, Ollama and LM Studio share:
POST {endpoint}/chat/completions with `stream: true`, answered by server-sent events.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx

from sparkplug.schema.errors import SparkplugError

_CONNECT_S = 2.0
_MAX_ANSWER_CHARS = 200_000


class NoModelError(SparkplugError):
    """No model is configured, or the endpoint does not give a usable answer."""

    code = "no_model"


class Model:
    """One model at one endpoint.

    `endpoint` is the base URL (`http://127.0.0.1:8000/v1`), empty when there is none;
    `timeout` is the most a whole answer may take (seconds); the key is read from the
    environment variable named by `api_key_env`, never from a file of ours.
    """

    def __init__(
        self, endpoint: str = "", model: str = "", *, api_key_env: str = "", timeout: float = 20.0
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        # Shared with its counted copies: the name is asked for once.
        self._names = [model]
        self._api_key_env = api_key_env
        self._timeout = timeout
        self._calling: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext

    @property
    def name(self) -> str:
        """The model's name; empty until the endpoint was asked, where none is configured."""
        return self._names[0]

    def counted(self, calling: Callable[[], AbstractContextManager[object]]) -> Model:
        """The same model, each of whose calls runs inside a context of `calling`."""
        model = copy.copy(self)
        model._calling = calling  # noqa: SLF001  a copy of its own
        return model

    @property
    def configured(self) -> bool:
        """True when there is an endpoint to ask."""
        return bool(self.endpoint)

    async def stream(self, prompt: str, *, system: str = "") -> AsyncGenerator[str, None]:
        """Yield the answer in pieces. Raises NoModelError saying why there is none."""
        if not self.configured:
            raise NoModelError(
                "no model is configured",
                hint="name an OpenAI-compatible endpoint: sparkplug config set llm.endpoint URL",
            )
        with self._calling():
            async with contextlib.aclosing(self._answer(prompt, system)) as pieces:
                async for piece in pieces:
                    yield piece

    async def _answer(self, prompt: str, system: str) -> AsyncGenerator[str, None]:
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt})
        key = os.environ.get(self._api_key_env, "") if self._api_key_env else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        length = 0
        ends = asyncio.get_running_loop().time() + self._timeout
        try:
            timeout = httpx.Timeout(self._timeout, connect=_CONNECT_S)
            async with httpx.AsyncClient(timeout=timeout, headers=headers) as client:
                self._names[0] = self.name or await self._first_model(client)
                asked = {"model": self.name, "messages": messages, "stream": True}
                url = f"{self.endpoint}/chat/completions"
                async with client.stream("POST", url, json=asked) as response:
                    if response.status_code != httpx.codes.OK:
                        await response.aread()
                        raise NoModelError(
                            f"the endpoint answered {response.status_code}", where=self.endpoint
                        )
                    async for line in response.aiter_lines():
                        if asyncio.get_running_loop().time() > ends:
                            raise NoModelError(
                                f"no complete answer within {self._timeout:g} s",
                                where=self.endpoint,
                            )
                        piece = _piece(line, self.endpoint)
                        if piece is None:
                            return
                        length += len(piece)
                        if length > _MAX_ANSWER_CHARS:
                            raise NoModelError(
                                f"the answer is longer than {_MAX_ANSWER_CHARS} characters",
                                where=self.endpoint,
                            )
                        if piece:
                            yield piece
        except httpx.HTTPError as error:
            raise NoModelError(
                f"the endpoint does not answer: {error or type(error).__name__}",
                where=self.endpoint,
            ) from error

    async def _first_model(self, client: httpx.AsyncClient) -> str:
        """The first model the endpoint lists, when none is named."""
        response = await client.get(f"{self.endpoint}/models")
        try:
            name = response.json()["data"][0]["id"]
        except (ValueError, LookupError, TypeError) as error:
            raise NoModelError(
                "the endpoint lists no model",
                where=self.endpoint,
                hint="name one: sparkplug config set llm.model NAME",
            ) from error
        return str(name)

    async def answer(self, prompt: str, *, system: str = "") -> str:
        """The whole answer. Raises NoModelError."""
        async with contextlib.aclosing(self.stream(prompt, system=system)) as pieces:
            return "".join([piece async for piece in pieces])


def _piece(line: str, endpoint: str) -> str | None:
    """The text in one line of the event stream; "" for lines without, None at the end."""
    if not line.startswith("data:"):
        return ""
    data = line.removeprefix("data:").strip()
    if data == "[DONE]":
        return None
    try:
        event: Any = json.loads(data)
        choices = event.get("choices") or [{}]
        content = (choices[0].get("delta") or {}).get("content")
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise NoModelError("the endpoint sent something malformed", where=endpoint) from error
    return content if isinstance(content, str) else ""
