"""Words: how texts are taken apart for the index, and questions for the search."""

from __future__ import annotations

import re

from sparkplug.memory.stop_words import STOP_WORDS

_WORD = re.compile(r"[^\W_]+")
#: Where an identifier has its seams: `readText`, `HTTPServer`.
_SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MOST_WORDS = 24


def index_words(text: str) -> str:
    """What the index of words is given of a text: the text, and its identifiers in parts.

    `readText` is found by `read`, and by itself. The index takes `read_text` apart of its own.
    """
    seamed = dict.fromkeys(w for w in _WORD.findall(text) if _SEAM.search(w))
    if not seamed:
        return text
    return f"{text}\n{' '.join(_SEAM.sub(' ', word) for word in seamed)}"


def words_of(query: str) -> list[str]:
    """The words of a question that are worth looking for, each once."""
    found = []
    for word in _WORD.findall(_SEAM.sub(" ", query)):
        low = word.casefold()
        if low not in STOP_WORDS:
            found.append(low)
    chosen = list(dict.fromkeys(found)) or list(
        dict.fromkeys(w.casefold() for w in _WORD.findall(query))
    )
    return chosen[:_MOST_WORDS]
