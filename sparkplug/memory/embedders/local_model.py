"""A BERT-like sentence model from a folder on this host: `config.json`, `tokenizer.json` and
`model.safetensors`, as sentence-transformers and Hugging Face lay them out.

The forward pass is written out here in torch, which takes a fifth of the memory of the libraries
made for it. Source: Devlin et al. 2018 (BERT), and the weights' names of `BertModel`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparkplug.memory.embedders.port import MOST_CHARS, Vectors, unit
from sparkplug.schema.errors import InvalidError

_NEEDED = ("config.json", "tokenizer.json", "model.safetensors")
_MOST_TOKENS = 256
_BATCH = 32


class LocalModelEmbedder:
    """A model in a folder. Raises InvalidError for one that is none, or of another kind."""

    note = "a local model"

    def __init__(self, folder: Path, device: str = "") -> None:
        missing = [name for name in _NEEDED if not (folder / name).is_file()]
        if missing:
            raise InvalidError(
                f"no model to embed with: {', '.join(missing)} missing",
                where=str(folder),
                hint="memory.embedder names a folder with " + ", ".join(_NEEDED),
            )
        try:
            import torch
            from safetensors.torch import load_file
            from tokenizers import Tokenizer
        except ImportError as error:
            raise InvalidError(
                f"a local model needs the extra `local`: {error}",
                hint="pip install 'sparkplug-control[local]'",
            ) from error
        self._torch = torch
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if self._device == "cpu":
            torch.set_num_threads(max(1, min(4, torch.get_num_threads())))
        config = json.loads((folder / "config.json").read_text())
        if config.get("model_type") not in ("bert", "roberta", "xlm-roberta"):
            raise InvalidError(
                f"models of the kind {config.get('model_type')!r} are not run here",
                where=str(folder),
                hint="BERT-like encoders are; others can be served and named as an endpoint",
            )
        self._heads = int(config["num_attention_heads"])
        self._layers = int(config["num_hidden_layers"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        offset = int(config.get("pad_token_id", 0)) + 1
        self._offset = 0 if config["model_type"] == "bert" else offset
        self.dimensions = int(config["hidden_size"])
        weights = load_file(folder / "model.safetensors", device=self._device)
        self._weights: dict[str, Any] = {
            name.removeprefix("bert.").removeprefix("roberta."): value.float()
            for name, value in weights.items()
        }
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        positions = int(config.get("max_position_embeddings", _MOST_TOKENS)) - self._offset
        self._tokenizer.enable_truncation(min(_MOST_TOKENS, positions))
        self._tokenizer.enable_padding(pad_id=int(config.get("pad_token_id", 0)))
        self._first_token = _pools_first(folder)
        mark = hashlib.sha256()
        for name in _NEEDED[:2]:
            mark.update((folder / name).read_bytes())
        size = (folder / _NEEDED[2]).stat().st_size
        mark.update(str(size).encode())
        self.name = f"model-{mark.hexdigest()[:12]}"
        self.note = f"a local model, {folder.name}, on {self._device}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text. Texts of like length are read together."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            rows[chosen] = self._forward([texts[at][:MOST_CHARS] for at in chosen])
        return unit(rows)

    def _forward(self, texts: Sequence[str]) -> Vectors:
        torch, given = self._torch, self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([e.ids for e in given], device=self._device)
        mask = torch.tensor([e.attention_mask for e in given], device=self._device)
        with torch.inference_mode():
            state = self._embedded(ids, mask)
            for number in range(self._layers):
                state = self._layer(state, mask, f"encoder.layer.{number}.")
            if self._first_token:
                pooled = state[:, 0]
            else:
                share = mask[:, :, None].float()
                pooled = (state * share).sum(1) / share.sum(1).clamp(min=1e-9)
            return np.asarray(pooled.cpu().numpy(), dtype=np.float32)

    def _embedded(self, ids: Any, mask: Any) -> Any:
        torch, w = self._torch, self._weights
        places = torch.arange(ids.shape[1], device=self._device)[None] + self._offset
        if self._offset:
            places = (places * mask).clamp(min=self._offset - 1)
        state = w["embeddings.word_embeddings.weight"][ids]
        state = state + w["embeddings.position_embeddings.weight"][places]
        state = state + w["embeddings.token_type_embeddings.weight"][0]
        return self._norm(state, "embeddings.LayerNorm.")

    def _layer(self, state: Any, mask: Any, at: str) -> Any:
        functional = self._torch.nn.functional
        batch, length, width = state.shape

        def heads(name: str) -> Any:
            made = self._linear(state, f"{at}attention.self.{name}.")
            return made.view(batch, length, self._heads, width // self._heads).transpose(1, 2)

        seen = functional.scaled_dot_product_attention(
            heads("query"), heads("key"), heads("value"), attn_mask=mask[:, None, None, :].bool()
        )
        seen = seen.transpose(1, 2).reshape(batch, length, width)
        seen = self._linear(seen, f"{at}attention.output.dense.")
        state = self._norm(state + seen, f"{at}attention.output.LayerNorm.")
        inner = functional.gelu(self._linear(state, f"{at}intermediate.dense."))
        inner = self._linear(inner, f"{at}output.dense.")
        return self._norm(state + inner, f"{at}output.LayerNorm.")

    def _linear(self, state: Any, at: str) -> Any:
        w = self._weights
        return self._torch.nn.functional.linear(state, w[f"{at}weight"], w[f"{at}bias"])

    def _norm(self, state: Any, at: str) -> Any:
        w = self._weights
        return self._torch.nn.functional.layer_norm(
            state, (self.dimensions,), w[f"{at}weight"], w[f"{at}bias"], self._epsilon
        )


def _pools_first(folder: Path) -> bool:
    """Whether a sentence is its first token, and not the mean of all."""
    try:
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(pooling.get("pooling_mode_cls_token"))
