"""How many tokens a conversation is: by the server's own tokenizer, else an estimate that says so.

vLLM, llama.cpp and our own server answer `POST /tokenize` beside `/v1`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import httpx

from sparkplug.llm.errors import NoModelError
from sparkplug.llm.keys import read_key
from sparkplug.llm.models import Models
from sparkplug.llm.port import Message
from sparkplug.schema.llm import ModelView

#: Characters of a token of English, on average; what a message costs beside its text.
_CHARS = 4
_MESSAGE = 4
_DEADLINE_S = 2.0
_HAVE = frozenset({"vllm", "llama.cpp", "sparkplug"})


class Tokens(NamedTuple):
    """A count; `exact` when the model's own tokenizer made it."""

    number: int
    exact: bool


def estimate(messages: Sequence[Message]) -> int:
    """Tokens of messages, estimated from their characters."""
    return sum(_MESSAGE + math.ceil(len(message.content) / _CHARS) for message in messages)


async def count_tokens(models: Models, view: ModelView, messages: Sequence[Message]) -> Tokens:
    """Tokens of messages for this model."""
    if view.server in _HAVE or view.provider == "local":
        with contextlib.suppress(NoModelError):
            ready = await models.ready(view)
            counts = await _ask_server(ready, [message.content for message in messages])
            if counts is not None:
                return Tokens(sum(counts) + _MESSAGE * len(messages), exact=True)
    return Tokens(estimate(messages), exact=False)


async def _ask_server(view: ModelView, texts: Sequence[str]) -> list[int] | None:
    from pathlib import Path

    url = view.endpoint.removesuffix("/").removesuffix("/v1") + "/tokenize"
    file = Path(view.api_key_file) if view.api_key_file else None
    key = await asyncio.to_thread(read_key, view.api_key_env, file)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=_DEADLINE_S, headers=headers) as client:
            found = []
            for text in texts:
                # Each server its word for the text: prompt (vLLM), content (llama.cpp).
                body = {"model": view.model, "prompt": text, "content": text}
                answer = (await client.post(url, json=body)).raise_for_status().json()
                tokens = answer.get("count", answer.get("tokens"))
                found.append(len(tokens) if isinstance(tokens, list) else int(tokens))
            return found
    except (httpx.HTTPError, ValueError, TypeError, AttributeError):
        return None
