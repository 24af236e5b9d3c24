"""Values as one types them in a line: lists as `a, b`, pairs as `k=v, k2=v2`, JSON for the rest.

What would be read as something else is in the double quotes of JSON: an item with a comma, a
text that is empty or begins with a quote. Everything written is read again as the same value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_DECODER = json.JSONDecoder()
_EMPTY_LIST = "[]"
_EMPTY_PAIRS = "{}"
_APART = re.compile(r"[\s,]*")
_BLANKS = re.compile(r"[^\S\n]*")
_STOPS = {stops: re.compile(f"[{stops}]") for stops in (",\n", "=,\n")}


def quoted(text: str) -> str:
    """The text in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def from_text(value: str) -> str:
    """A text as it is typed; one that is empty or begins with a quote is quoted."""
    return quoted(value) if not value or value.startswith('"') else value


def to_text(typed: str) -> str:
    """The text that was typed; quotes round all of it are taken off."""
    if typed.startswith('"'):
        try:
            found = json.loads(typed)
        except ValueError:
            return typed
        if isinstance(found, str):
            return found
    return typed


def from_items(items: Sequence[str]) -> str:
    """Items with commas between them."""
    return ", ".join(_item(item) for item in items) if items else _EMPTY_LIST


def to_items(typed: str) -> list[str]:
    """The items between commas or line ends. Raises ValueError for a quote that is not closed."""
    if typed.strip() == _EMPTY_LIST:
        return []
    found: list[str] = []
    at = 0
    while (at := _skip(typed, at)) < len(typed):
        word, at = _word(typed, at, ",\n")
        found.append(word)
        at = _end(typed, at)
    return found


def from_pairs(pairs: Mapping[str, str]) -> str:
    """`key=value` with commas between them."""
    texts = (f"{_item(key, '=')}={_item(value)}" for key, value in pairs.items())
    return ", ".join(texts) if pairs else _EMPTY_PAIRS


def to_pairs(typed: str) -> dict[str, str]:
    """The pairs. Raises ValueError for what is not `key=value`, and for a key given twice."""
    if typed.strip() == _EMPTY_PAIRS:
        return {}
    found: dict[str, str] = {}
    at = 0
    while (at := _skip(typed, at)) < len(typed):
        key, at = _word(typed, at, "=,\n")
        if typed[at : at + 1] != "=":
            raise ValueError(f"expected key=value, not {key}")
        if key in found:
            raise ValueError(f"{key} is there twice")
        value, at = _word(typed, at + 1, ",\n")
        found[key] = value
        at = _end(typed, at)
    return found


def from_either(value: str | Sequence[str]) -> str:
    """A text, or a list: that of one item ends with a comma."""
    if isinstance(value, str):
        return _item(value)
    return f"{_item(value[0])}," if len(value) == 1 else from_items(value)


def to_either(typed: str) -> str | list[str]:
    """A list where there is a comma or a line end outside quotes, else a text."""
    if typed.strip() == _EMPTY_LIST:
        return []
    start = _skip(typed, 0)
    _, at = _word(typed, start, ",\n")
    items = to_items(typed)
    return items if at < len(typed) or len(items) != 1 else items[0]


def from_data(value: Any) -> str:
    """JSON; a text as it is where it cannot be read as JSON."""
    if isinstance(value, str) and value.strip() and not _is_json(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def to_data(typed: str) -> Any:
    """What JSON says, or the text as it is."""
    try:
        return json.loads(typed)
    except (ValueError, RecursionError):
        return typed


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _item(text: str, also: str = "") -> str:
    plain = (
        text
        and text.strip() == text
        and not text.startswith('"')
        and text not in (_EMPTY_LIST, _EMPTY_PAIRS)
        and not any(character in text for character in f",\n{also}")
    )
    return text if plain else quoted(text)


def _skip(typed: str, at: int) -> int:
    found = _APART.match(typed, at)
    return found.end() if found else at


def _word(typed: str, at: int, stops: str) -> tuple[str, int]:
    """The word that begins at `at`, and where it ends: at a stop, or at the end of all."""
    at = _blank(typed, at)
    stop = _STOPS[stops]
    if typed[at : at + 1] == '"':
        try:
            found, at = _DECODER.raw_decode(typed, at)
        except ValueError as error:
            raise ValueError('a " that opens is closed by another') from error
        at = _blank(typed, at)
        if at < len(typed) and typed[at] not in stops:
            raise ValueError("after a quoted text comes a comma")
        return str(found), at
    ends = stop.search(typed, at)
    end = ends.start() if ends else len(typed)
    return typed[at:end].strip(), end


def _blank(typed: str, at: int) -> int:
    """The place of the next character that is no blank, line ends apart."""
    found = _BLANKS.match(typed, at)
    return found.end() if found else at


def _end(typed: str, at: int) -> int:
    return at + 1 if at < len(typed) else at
