"""One source of settings: a file, the environment or flags, and the places of its values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sparkplug.config.keys import from_text, key_path
from sparkplug.config.toml_places import toml_lines
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.problems import (
    Finding,
    KeyPath,
    Problem,
    did_you_mean,
    keys_at,
    path_text,
    validate,
)
from sparkplug.schema.settings import SettingsDocument

SECRET_IN_URL = re.compile(r"://[^/\s]*@")
_PREFIX = "SPARKPLUG_"
_RESERVED = frozenset({"SPARKPLUG_HOME", "SPARKPLUG_CONTEXT", "SPARKPLUG_URL"})
_TOML_PLACE = re.compile(r"^(.*) \(at line (\d+), column (\d+)\)$", re.DOTALL)


@dataclass
class Layer:
    """One source of settings: its values, and how it names their places."""

    data: dict[str, Any]
    kind: str
    text: str = ""
    names: dict[KeyPath, str] = field(default_factory=dict)

    @cached_property
    def lines(self) -> dict[KeyPath, tuple[int, int]]:
        """Line and column of the keys of a file, both from 1."""
        return toml_lines(self.text)

    def place(self, path: KeyPath) -> str:
        """The place of a value for an error, file:line:column for files."""
        if self.names:
            return self.names.get(path[:2], self.kind)
        line, column = self._nearest(path)
        return f"{self.kind}:{line}:{column}"

    def origin(self, path: KeyPath) -> str:
        """The place of a value for `config show`."""
        return self.names[path[:2]] if self.names else f"{self.kind}:{self._nearest(path)[0]}"

    def _nearest(self, path: KeyPath) -> tuple[int, int]:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, (1, 1))


def file_layer(text: str, name: str, problems: list[Problem]) -> Layer:
    """The settings of one file; what is wrong with it is added to `problems`."""
    layer = Layer({}, name, text)
    try:
        layer.data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_PLACE.match(str(error))
        message, line, column = match.groups() if match else (str(error), "1", "1")
        if match is None:  # the one place tomllib does not number is the end of the document
            line = str(text.count("\n") + 1)
        problems.append(Problem(f"{name}:{line}:{column}", f"not valid TOML: {message}"))
        return layer
    except RecursionError:
        problems.append(Problem(f"{name}:1:1", "nested too deeply"))
        return layer
    _check(layer, problems)
    for path, value in leaves(layer.data):
        if isinstance(value, str) and SECRET_IN_URL.search(value):
            text = f"{path_text(path)}: a file holds no secrets; give this URL in the environment"
            problems.append(Problem(layer.place(path), text))
    return layer


def environment_layer(environ: Mapping[str, str], problems: list[Problem]) -> Layer:
    layer = Layer({}, "environment")
    sections = SettingsDocument.model_fields
    for name in sorted(environ):
        section, _, key = name.removeprefix(_PREFIX).lower().partition("_")
        if not name.startswith(_PREFIX) or name in _RESERVED or section not in sections:
            continue
        known = keys_at(SettingsDocument, (section,))
        place = f"environment {name}"
        if key not in known:
            names = [f"{_PREFIX}{section}_{other}".upper() for other in known]
            problems.append(Problem(place, f"no such setting{did_you_mean(name, names)}"))
            continue
        layer.names[section, key] = place
        try:
            put(layer.data, (section, key), from_text((section, key), environ[name]))
        except InvalidError as error:
            problems.append(Problem(place, error.message))
    _check(layer, problems)
    return layer


def flag_layer(flags: Mapping[str, Any], problems: list[Problem]) -> Layer:
    layer = Layer({}, "flag")
    for key, value in flags.items():
        if value is not None:
            path = key_path(key)
            layer.names[path[:2]] = "flag"
            put(layer.data, path, from_text(path, value) if isinstance(value, str) else value)
    _check(layer, problems)
    return layer


def _check(layer: Layer, problems: list[Problem]) -> None:
    result = validate(SettingsDocument, layer.data)
    findings: list[Finding] = result if isinstance(result, list) else []
    problems.extend(Problem(layer.place(found.path), found.message) for found in findings)


def leaves(data: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and len(path) < 2:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(str(part), {})
    data[str(path[-1])] = value
