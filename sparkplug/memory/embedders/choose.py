"""Which embedder the settings mean."""

from __future__ import annotations

from pathlib import Path

from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.embedders.port import Embedder
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.settings import MemorySection


def choose_embedder(settings: MemorySection) -> Embedder:
    """The embedder of the settings, loaded. Raises SparkplugError when it cannot be.

    `auto` is Chroma's ONNX model where it is on this host, else the built-in one.
    """
    wanted = settings.embedder
    if wanted == "lexical":
        return LexicalEmbedder()
    if wanted.startswith(("http://", "https://")):
        from sparkplug.memory.embedders.endpoint import EndpointEmbedder

        return EndpointEmbedder(wanted, settings.embedder_model, settings.embedder_key_env)
    if wanted in ("auto", "onnx"):
        from sparkplug.memory.embedders.onnx import OnnxEmbedder

        try:
            return OnnxEmbedder()
        except SparkplugError:
            if wanted == "onnx":
                raise
            return LexicalEmbedder()
    from sparkplug.memory.embedders.local_model import LocalModelEmbedder

    return LocalModelEmbedder(Path(wanted).expanduser())
