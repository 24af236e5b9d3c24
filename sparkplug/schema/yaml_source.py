"""YAML read into plain values with the place of each: YAML 1.2, core schema, safe limits.

The parser's events are built here into dicts, lists and scalars, so that a document can be
stopped as soon as it is too deep or too large, and its aliases cannot grow it without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sparkplug.schema.problems import KeyPath, Problem

#: Far above any file written by hand, far below what would exhaust memory or the stack.
MAX_DEPTH = 64
MAX_VALUES = 50_000

# YAML 1.2.2, table 10.3.2: how plain scalars resolve in the core schema.
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,64}|0o[0-7]{1,64}|0x[0-9a-fA-F]{1,64}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")

Place = tuple[int, int]


@dataclass
class Source:
    """A document: its value, and line and column (from 1) of every key and value in it."""

    name: str
    value: Any = None
    problems: list[Problem] = field(default_factory=list)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    literal: set[KeyPath] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)

    def at(self, place: Place) -> str:
        """`file:line:column`."""
        return f"{self.name}:{place[0]}:{place[1]}"

    def place(self, path: KeyPath, *, line: int = 0, key: bool = False) -> str:
        """`file:line:column` of the value at `path`, or of what nearest around it exists.

        `key` asks for the key instead; `line` (from 1) for that line of a literal block (`|`).
        """
        if line and path in self.literal:
            number = self.values[path][0] + line
            text = self.lines[number - 1] if number <= len(self.lines) else ""
            return self.at((number, len(text) - len(text.lstrip()) + 1))
        return self.at(self.order(path, key=key))

    def order(self, path: KeyPath, *, key: bool = False) -> Place:
        """Line and column of the value (or key) at `path`, or of what nearest around it exists."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def add(self, place: Place, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.at(place), message))


class _StopError(Exception):
    """Reading cannot go on; the problem is noted."""


def read_yaml(text: str, name: str) -> Source:
    """The one YAML document in `text`; `name` stands for its file in places.

    Never raises for what is in the text: `problems` of the answer says what is wrong.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    source = Source(name, lines=text.splitlines())
    try:
        source.value = _Builder(source, YAML(typ="safe", pure=True).parse(text)).document()
    except _StopError:
        pass
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        source.add(place, f"not valid YAML: {what}")
    except YAMLError as error:
        position = getattr(error, "position", 0)
        place = (text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))
        source.add(place, "not valid YAML: a character that no text holds")
    return source


class _Builder:
    """Builds values from events, noting places."""

    def __init__(self, source: Source, events: Iterator[Any]) -> None:
        self._source = source
        self._events = events
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def document(self) -> Any:
        """The value of the only document."""
        value, documents = None, 0
        for event in self._events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document (after ---); one file holds one")
            elif kind in ("ScalarEvent", "MappingStartEvent", "SequenceStartEvent", "AliasEvent"):
                value = self._value(event, (), 0)
        return value

    def _value(self, event: Any, path: KeyPath, depth: int) -> Any:
        """The value that begins with `event`."""
        kind = type(event).__name__
        self._source.values[path] = _place(event)
        before = self._count
        self._grow(event, 1)
        if kind == "AliasEvent":
            if event.anchor not in self._anchors:
                self._stop(event, f"alias *{event.anchor} stands before its anchor is complete")
            value, size = self._anchors[event.anchor]
            self._grow(event, size)
            return value
        if depth >= MAX_DEPTH:
            self._stop(event, f"nested more than {MAX_DEPTH} deep")
        if kind == "MappingStartEvent":
            value = self._mapping(event, path, depth)
        elif kind == "SequenceStartEvent":
            value = self._sequence(event, path, depth)
        else:
            if event.style == "|":
                self._source.literal.add(path)
            value = self._scalar(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _mapping(self, event: Any, path: KeyPath, depth: int) -> dict[str, Any]:
        self._only_tag(event, "tag:yaml.org,2002:map")
        found: dict[str, Any] = {}
        for key_event in self._events:
            kind = type(key_event).__name__
            if kind == "MappingEndEvent":
                break
            if kind != "ScalarEvent":
                self._stop(key_event, "a key must be plain text")
            key = str(key_event.value)
            here = (*path, key)
            if key == "<<" and not key_event.style:
                text = "merge keys (<<) are not YAML 1.2; write the keys out, or alias the value"
                self._source.add(_place(key_event), text)
            elif key in found:
                first = self._source.keys[here][0]
                self._source.add(
                    _place(key_event), f"{key} stands here twice, first on line {first}"
                )
            else:
                self._source.keys[here] = _place(key_event)
            value_event = next(self._events)
            found.setdefault(key, self._value(value_event, here, depth + 1))
            if getattr(value_event, "value", None) == "" and not value_event.style:
                # what is not written stands, to the parser, at the next key
                self._source.values[here] = _place(key_event)
        return found

    def _sequence(self, event: Any, path: KeyPath, depth: int) -> list[Any]:
        self._only_tag(event, "tag:yaml.org,2002:seq")
        found: list[Any] = []
        for item in self._events:
            if type(item).__name__ == "SequenceEndEvent":
                break
            found.append(self._value(item, (*path, len(found)), depth + 1))
        return found

    def _scalar(self, event: Any) -> Any:
        text = str(event.value)
        self._only_tag(event, "tag:yaml.org,2002:str")
        if event.style or event.tag:
            return text
        if re.fullmatch(r"[-+]?[0-9]{65,}", text):
            self._source.add(_place(event), "a number is too large")
        return resolve(text)

    def _only_tag(self, event: Any, tag: str) -> None:
        if event.tag and str(event.tag) not in (tag, "!"):
            self._stop(event, f"the tag {event.tag} has no meaning here; leave it out")

    def _grow(self, event: Any, size: int) -> None:
        self._count += size
        if self._count > MAX_VALUES:
            self._stop(event, f"more than {MAX_VALUES} values, aliases counted in full")

    def _stop(self, event: Any, message: str) -> None:
        self._source.add(_place(event), message)
        raise _StopError


def resolve(text: str) -> Any:
    """What a plain scalar means in the core schema: null, a boolean, a number, else text."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITE.fullmatch(text):
        return float(f"{match[1]}inf")
    return float("nan") if _NAN.fullmatch(text) else text


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
