"""What models get nearly right: JSON with words around it, calls of tools not quite so named.

Only what leaves no doubt is repaired here; for the rest the model is told what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sparkplug.llm.port import Tool, ToolCall

_FENCE = re.compile(r"```(?:json|JSON)?\s*\n(.*?)```", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_MOST_CHARS = 1 << 20
_MOST_NAMED = 20


class Unfit(ValueError):  # noqa: N818  what is said to the model, no failure yet
    """What does not hold, in words for the model that wrote it."""


def read_json(text: str) -> Any:
    """The JSON value in a model's text, out of a fence or the words around it. Raises Unfit."""
    if len(text) > _MOST_CHARS:
        raise Unfit(f"the answer is longer than {_MOST_CHARS} characters")
    fenced = _FENCE.search(text)
    tries = [text.strip(), *([fenced[1].strip()] if fenced else [])]
    inside = _outermost(text)
    if inside is not None:
        tries.append(inside)
    why = "it is empty"
    for candidate in tries:
        for form in (candidate, _TRAILING_COMMA.sub(r"\1", candidate)):
            try:
                return json.loads(form)
            except RecursionError:
                raise Unfit("it is nested too deeply") from None
            except ValueError as error:
                why = str(error)
    raise Unfit(f"it is not JSON: {why}")


def check(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` when the JSON Schema holds for it. Raises Unfit naming the first place it does not.

    Without the package `jsonschema` only types and required keys of the top are looked at.
    """
    try:
        from jsonschema import ValidationError, validators
    except ImportError:
        return _check_top(value, schema)
    kind = validators.validator_for(schema)
    try:
        kind(dict(schema)).validate(value)
    except ValidationError as error:
        place = error.json_path
        raise Unfit(f"at {place}: {error.message[:300]}") from None
    except RecursionError:
        raise Unfit("it is nested too deeply") from None
    return value


def _check_top(value: Any, schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "object":
        if not isinstance(value, dict):
            raise Unfit("at $: an object is wanted")
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            raise Unfit(f"at $: {missing[0]!r} is a required property")
    return value


def read_call(name: str, arguments: str, call_id: str, tools: Iterable[Tool]) -> ToolCall:
    """A call of one of `tools`, its arguments checked. Raises Unfit."""
    by_name = {tool.name: tool for tool in tools}
    tool = by_name.get(name) or _near(name, by_name)
    if tool is None:
        known = ", ".join(list(by_name)[:_MOST_NAMED]) or "none"
        raise Unfit(f"there is no tool {name[:80]!r}; the tools are: {known}")
    try:
        found = read_json(arguments) if arguments.strip() else {}
        if isinstance(found, str):  # encoded twice
            found = read_json(found)
        if not isinstance(found, dict):
            raise Unfit("an object is wanted")
        check(found, tool.schema)
    except Unfit as error:
        raise Unfit(f"the arguments of {tool.name} do not hold: {error}") from None
    return ToolCall(call_id, tool.name, found)


def _near(name: str, tools: Mapping[str, Tool]) -> Tool | None:
    """The one tool whose name differs in case, dashes or a prefix (`functions.`) alone."""

    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.rpartition(".")[2].lower())

    found = [tool for known, tool in tools.items() if plain(known) == plain(name)]
    return found[0] if len(found) == 1 else None


def _outermost(text: str) -> str | None:
    """The first JSON object or array in `text` up to where its brackets close."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    depth, quoted, skip = 0, False, False
    for at in range(start, len(text)):
        char = text[at]
        if skip:
            skip = False
        elif quoted:
            skip = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return text[start : at + 1]
    return None
