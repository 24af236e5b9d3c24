"""Loading a model folder: weights, tokenizer, and what they say of themselves. Blocking.

Only files of the folder are read: no hub is asked, no code of the folder is run, and weights
come from safetensors files, which hold nothing that could be run.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sparkplug.schema.errors import InvalidError

log = logging.getLogger(__name__)

_PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@dataclass(frozen=True)
class Loaded:
    """A model in memory."""

    model: Any
    tokenizer: Any
    device: torch.device
    dtype: torch.dtype
    context: int
    tools: bool
    stops: frozenset[int]

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return sum(one.numel() for one in self.model.parameters())

    @property
    def memory_bytes(self) -> int:
        """What its weights take."""
        return sum(one.numel() * one.element_size() for one in self.model.parameters())


def usable(device: str, *, or_cpu: bool) -> str:
    """The device, or the CPU where this torch cannot use a GPU and `or_cpu` allows that.

    Raises InvalidError where it does not.
    """
    if device != "cuda" or torch.cuda.is_available():
        return device
    built = torch.version.cuda or getattr(torch.version, "hip", None)
    why = "finds no GPU it can use" if built else "is built without CUDA"
    if not or_cpu:
        raise InvalidError(
            f"torch {torch.__version__} {why}",
            where=device,
            hint="install the build of torch for the driver of this host, or say `device: cpu`",
        )
    log.warning("torch %s %s: the model runs on the CPU", torch.__version__, why)
    return "cpu"


def load(folder: Path, device: str, dtype: str) -> Loaded:
    """The model of a folder. Raises InvalidError for one that holds none."""
    if not (folder / "config.json").is_file():
        raise InvalidError(
            "no model is there: it has no config.json",
            where=str(folder),
            hint="a model folder has config.json, *.safetensors and tokenizer.json",
        )
    place = torch.device(device)
    wanted = getattr(torch, dtype) if dtype != "auto" else _dtype(place)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=wanted,
        )
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise InvalidError(
            f"the model cannot be read: {' '.join(str(error).split())[:300]}", where=str(folder)
        ) from error
    model = model.to(place).eval()
    if not tokenizer.chat_template:
        tokenizer.chat_template = _PLAIN_TEMPLATE
    told = getattr(model.config, "max_position_embeddings", 0) or 0
    return Loaded(
        model,
        tokenizer,
        place,
        wanted,
        int(told),
        "tools" in str(tokenizer.chat_template),
        _stops(model, tokenizer),
    )


def _dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where a GPU can, float16 on older ones, float32 on a processor."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _stops(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    found: set[int] = set()
    for told in (
        getattr(model.generation_config, "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        if isinstance(told, list | tuple):
            found.update(told)
        elif told is not None:
            found.add(int(told))
    return frozenset(found)
