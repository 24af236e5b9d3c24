"""Chroma's own MiniLM in ONNX, where an earlier download left it. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparkplug.memory.embedders.port import MOST_CHARS, Vectors, unit
from sparkplug.schema.errors import InvalidError

_BATCH = 32


def onnx_folder() -> Path:
    """Where Chroma keeps its model."""
    return Path.home() / ".cache" / "chroma" / "onnx_models" / "all-MiniLM-L6-v2" / "onnx"


class OnnxEmbedder:
    """All-MiniLM-L6-v2 in ONNX. Raises InvalidError when it is not there or not whole."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or onnx_folder()
        if not (folder / "model.onnx").is_file() or not (folder / "tokenizer.json").is_file():
            raise InvalidError(
                "Chroma's ONNX model is not on this host",
                where=str(folder),
                hint="put it there, or have `memory.embedder` name another",
            )
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise InvalidError(
                f"the ONNX model needs {error.name}", hint=f"pip install {error.name}"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # both libraries raise kinds of their own for a file cut off
            raise InvalidError(
                f"Chroma's ONNX model cannot be read: {type(error).__name__}: {error}"[:300],
                where=str(folder),
                hint="a download may have been cut off; or have `memory.embedder` name another",
            ) from error
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._tokenizer.enable_truncation(256)
        self._tokenizer.enable_padding()
        self.name = "onnx-minilm-l6-v2"
        self.note = "Chroma's all-MiniLM-L6-v2 in ONNX, from its cache on this host"
        self.dimensions = int(self.embed(["size"]).shape[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text."""
        rows = []
        for start in range(0, len(texts), _BATCH):
            batch = [text[:MOST_CHARS] for text in texts[start : start + _BATCH]]
            given = self._tokenizer.encode_batch(batch)
            ids = np.array([e.ids for e in given], dtype=np.int64)
            mask = np.array([e.attention_mask for e in given], dtype=np.int64)
            fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            fed = {name: value for name, value in fed.items() if name in self._inputs}
            state = self._session.run(None, fed)[0]
            if state.ndim == 3:
                share = mask[:, :, None].astype(np.float32)
                state = (state * share).sum(1) / np.maximum(share.sum(1), 1e-9)
            rows.append(state.astype(np.float32))
        return unit(np.concatenate(rows) if rows else np.zeros((0, 384), dtype=np.float32))
