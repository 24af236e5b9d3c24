"""Chroma's ONNX model, by the code that runs it: a tiny one in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.tiny_onnx import tiny_onnx
from sparkplug.memory.embedders.choose import choose_embedder
from sparkplug.memory.embedders.onnx import OnnxEmbedder
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.settings import MemorySection

WORDS = ["red", "kettle", "ferry", "noon", "size"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Chroma leaves its model under a home of this test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache" / "chroma" / "onnx_models" / "all-MiniLM-L6-v2" / "onnx"


@pytest.mark.parametrize("given", [(), ("attention_mask", "token_type_ids")])
def test_texts_are_compared_by_their_words_and_padding_tells_nothing(
    tmp_path: Path, given: tuple[str, ...]
) -> None:
    tiny_onnx(tmp_path, WORDS, given=given)
    embedder = OnnxEmbedder(tmp_path)
    assert (embedder.name, embedder.dimensions) == ("onnx-minilm-l6-v2", len(WORDS) + 2)
    made = embedder.embed(["red kettle", "the ferry leaves at noon", "Kettle red"])
    assert np.allclose(np.linalg.norm(made, axis=1), 1.0)
    assert made[0] @ made[2] == pytest.approx(1.0) and made[0] @ made[1] == pytest.approx(0.0)
    # Alone it is not padded, beside a longer text it is.
    assert np.allclose(embedder.embed(["red kettle"])[0], made[0])
    many = embedder.embed([f"red {'ferry ' * (n % 3)}" for n in range(70)])
    assert many.shape == (70, len(WORDS) + 2) and np.allclose(many[3], many[69])
    assert embedder.embed(["noon " * 5000]).shape == (1, len(WORDS) + 2)


def test_it_is_taken_where_chroma_left_it_and_only_there(cache: Path) -> None:
    assert choose_embedder(MemorySection()).name.startswith("lexical-")
    with pytest.raises(InvalidError, match="not on this host") as missing:
        choose_embedder(MemorySection(embedder="onnx"))
    assert missing.value.where == str(cache)
    tiny_onnx(cache, WORDS)
    for wanted in ("auto", "onnx"):
        assert choose_embedder(MemorySection(embedder=wanted)).name == "onnx-minilm-l6-v2"


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_one_that_is_cut_off_is_said_and_auto_goes_without(cache: Path, name: str) -> None:
    tiny_onnx(cache, WORDS)
    whole = (cache / name).read_bytes()
    (cache / name).write_bytes(whole[: len(whole) // 2])
    assert choose_embedder(MemorySection()).name.startswith("lexical-")
    with pytest.raises(InvalidError, match="cannot be read") as broken:
        choose_embedder(MemorySection(embedder="onnx"))
    assert broken.value.where == str(cache) and "memory.embedder" in (broken.value.hint or "")
