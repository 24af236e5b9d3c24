"""Answers that a message holds: of texts that are too long together, the longest are cut.

`size` of an item says how long its text is; an export has all of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

RecordT = TypeVar("RecordT")

#: What all else in an answer takes, at most; and the least that is left for texts.
_ALL_ELSE, _LEAST = 2 << 20, 256 << 10
#: A character may stand as so many bytes: `\\u0000`.
_ESCAPED = 6


def room(max_payload: int) -> int:
    """How many bytes the texts of one answer may take, of a server's largest message."""
    return max(_LEAST, min(max_payload - _ALL_ELSE, max_payload // 2))


def fit(
    records: Sequence[RecordT],
    text_of: Callable[[RecordT], str],
    cut: Callable[[RecordT, str], None],
    most: int,
) -> None:
    """Cut the longest texts of `records`, so that all of them take at most `most` bytes."""
    texts = [text_of(record) for record in records]
    if sum(map(len, texts)) * _ESCAPED <= most:
        return
    sizes = [_size(text) for text in texts]
    level = _level(sizes, most)
    for record, text, size in zip(records, texts, sizes, strict=True):
        if size <= level:
            continue
        short = text[: level * len(text) // size]
        if _size(short) > level:
            short = text[: level // _ESCAPED]
        cut(record, short)


def _size(text: str) -> int:
    """The bytes that a text takes in JSON, between its quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace")) - 2


def _level(sizes: Sequence[int], most: int) -> int:
    """The size from which on texts are cut, so that what is left is `most` together."""
    left, count = most, len(sizes)
    for size in sorted(sizes):
        if size * count > left:
            return left // count
        left -= size
        count -= 1
    return max(sizes, default=0)
