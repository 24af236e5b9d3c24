"""One file per protocol of model servers, each over the client its makers keep."""

from __future__ import annotations

import logging
from pathlib import Path

from sparkplug.llm.errors import NoModelError
from sparkplug.llm.keys import read_key
from sparkplug.llm.port import Provider
from sparkplug.schema.llm import ANTHROPIC, OPENAI, ModelView


def provider_for(view: ModelView, connect_timeout: float) -> Provider:
    """The client of a model's endpoint; it reads the key now.

    Raises NoModelError when the client is not installed, or the key cannot be read.
    """
    for name in ("httpx", "httpx2"):  # a line for each request, else
        logging.getLogger(name).setLevel(logging.WARNING)
    key = read_key(view.api_key_env, Path(view.api_key_file) if view.api_key_file else None)
    try:
        if view.provider == "anthropic":
            from sparkplug.llm.providers.anthropic import AnthropicProvider

            return AnthropicProvider(view.endpoint or ANTHROPIC, key, connect_timeout)
        from sparkplug.llm.providers.openai import OpenAiProvider

        own = view.provider == "openai"
        endpoint = view.endpoint or (OPENAI if own else "")
        return OpenAiProvider(endpoint, key, connect_timeout, strict=own)
    except ImportError as error:
        raise NoModelError(
            f"the client for this model is not installed: {error.name}",
            hint="pip install 'sparkplug-control[llm]'",
        ) from error
