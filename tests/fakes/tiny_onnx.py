"""A tiny ONNX embedder made on the spot, in a folder laid out as Chroma's cache of its model.

Its graph is one `Gather`: each token has a vector of its own. Written as the protocol buffers of
ONNX (onnx/onnx.proto of ONNX 1.13: the numbers below are those of its fields), so that nothing
but the runtime that reads it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

_INT64, _FLOAT = 7, 1


def tiny_onnx(folder: Path, words: Sequence[str], *, given: Sequence[str] = ()) -> None:
    """Write `model.onnx` and `tokenizer.json`; each word's vector is one axis of its own.

    `given` are inputs beside `input_ids`, which the graph leaves alone.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace

    folder.mkdir(parents=True, exist_ok=True)
    known = ["[PAD]", "[UNK]", *words]
    # Padding has a vector too: an embedder that does not leave it out is seen by that.
    table = np.eye(len(known), dtype=np.float32)
    model = WordLevel({word: number for number, word in enumerate(known)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.onnx").write_bytes(_model(table, ["input_ids", *given]))


def _model(table: np.ndarray, inputs: Sequence[str]) -> bytes:
    weights = (
        b"".join(_number(1, size) for size in table.shape)
        + _number(2, _FLOAT)
        + _bytes(8, b"table")
        + _bytes(9, table.tobytes())
    )
    gather = b"".join(
        (
            _bytes(1, b"table"),
            _bytes(1, b"input_ids"),
            _bytes(2, b"last_hidden_state"),
            _bytes(4, b"Gather"),
        )
    )
    graph = _bytes(1, gather) + _bytes(2, b"tiny") + _bytes(5, weights)
    for name in inputs:
        graph += _bytes(11, _value(name, _INT64, ("batch", "sequence")))
    graph += _bytes(12, _value("last_hidden_state", _FLOAT, ("batch", "sequence", "width")))
    opset = _bytes(1, b"") + _number(2, 13)
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, opset)


def _value(name: str, kind: int, shape: Sequence[str]) -> bytes:
    dimensions = b"".join(_bytes(1, _bytes(2, axis.encode())) for axis in shape)
    tensor = _number(1, kind) + _bytes(2, dimensions)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
