"""Settings: read from files, environment and flags, each value with where it came from.

Order, later wins: built-in, the shipped `config/sparkplug.toml`, `/etc/sparkplug/*.toml`
(sorted), `$XDG_CONFIG_HOME/sparkplug/config.toml`, `mesh.toml` in the folder of state,
`SPARKPLUG_<SECTION>_<KEY>`, flags.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, PrivateAttr

from sparkplug.paths import Paths, base_folder, state_home, write_private
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.problems import (
    Finding,
    KeyPath,
    Problem,
    did_you_mean,
    invalid,
    keys_at,
    path_text,
    validate,
)
from sparkplug.schema.settings import SettingsDocument
from sparkplug.schema.textfile import read_text
from sparkplug.shipped import shipped

__all__ = [
    "Paths",
    "Settings",
    "config_file",
    "export_settings",
    "import_settings",
    "load_settings",
    "mesh_file",
    "set_value",
    "write_mesh_settings",
]

SYSTEM_FOLDER = Path("/etc/sparkplug")
_PREFIX = "SPARKPLUG_"
_RESERVED = frozenset({"SPARKPLUG_HOME", "SPARKPLUG_CONTEXT", "SPARKPLUG_URL"})
_SECRET_IN_URL = re.compile(r"://[^/\s]*@")
_TOML_PLACE = re.compile(r"^(.*) \(at line (\d+), column (\d+)\)$", re.DOTALL)
_TOML_KEY = re.compile(
    r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)"""
)
_TOML_KEY_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class Settings(SettingsDocument):
    """The settings in force. `settings.nats.port` is a value, `origin("nats.port")` its source."""

    _origins: dict[KeyPath, tuple[_Layer, KeyPath]] = PrivateAttr(default_factory=dict)
    _environ: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def sourced(
        self, origins: dict[KeyPath, tuple[_Layer, KeyPath]], environ: Mapping[str, str]
    ) -> Settings:
        """These settings, knowing where each value came from."""
        self._origins, self._environ = origins, environ
        return self

    @property
    def paths(self) -> Paths:
        """The folders of state, secrets and logs that these settings and the environment name."""
        return Paths.find(self._environ, self.node.state)

    def get(self, key: str) -> Any:
        """The value of `section.key`. Raises InvalidError for a name that is no setting."""
        value: Any = self
        for part in _key_path(key):
            value = value.get(part) if isinstance(value, dict) else getattr(value, str(part), None)
        return _plain(value)

    def origin(self, key: str) -> str:
        """Where the value of `section.key` came from.

        One of `built-in`, `<file>:<line>`, `environment SPARKPLUG_<SECTION>_<KEY>`, `flag`. Of a
        table it is the last one that put something into it.
        """
        path = _key_path(key)
        layer = self._origins.get(path) or self._origins.get(path[:3])
        return layer[0].origin(layer[1]) if layer else "built-in"

    def items(self) -> Iterator[tuple[str, Any, str]]:
        """Every setting in the order of the sections, as (`section.key`, value, origin)."""
        for section, key in _all_keys():
            name = f"{section}.{key}"
            yield name, self.get(name), self.origin(name)


@dataclass
class _Layer:
    """One source of settings: its values, and how it names their places."""

    data: dict[str, Any]
    kind: str
    text: str = ""
    names: dict[KeyPath, str] = field(default_factory=dict)

    @cached_property
    def lines(self) -> dict[KeyPath, tuple[int, int]]:
        """Line and column of the keys of a file, both from 1."""
        return _toml_lines(self.text)

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


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """The settings file of this user: under SPARKPLUG_HOME when that is set, else the XDG one."""
    environ = os.environ if environ is None else environ
    if environ.get("SPARKPLUG_HOME"):
        return Path(environ["SPARKPLUG_HOME"]).absolute() / "config.toml"
    return base_folder(environ, "XDG_CONFIG_HOME", ".config") / "sparkplug" / "config.toml"


def load_settings(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    system: Path = SYSTEM_FOLDER,
) -> Settings:
    """The settings in force, from all sources.

    `flags` are values by `section.key`; a value of None was not given. `environ` stands for
    os.environ. Raises InvalidError that lists everything wrong in all sources, RefusedError for
    a file that may not be read.
    """
    environ = os.environ if environ is None else environ
    files = [shipped("config") / "sparkplug.toml", *sorted(system.glob("*.toml"))]
    problems: list[Problem] = []
    layers: list[_Layer] = []
    for path in [*files, config_file(environ)]:
        text = read_text(path)
        if text is not None:
            layers.append(_file_layer(text, str(path), problems))
    environment = _environment_layer(environ, problems)
    path = mesh_file(state_home(environ, _named_state([*layers, environment])))
    text = read_text(path)
    if text is not None:
        layers.append(_file_layer(text, str(path), problems))
    layers.append(environment)
    layers.append(_flag_layer(flags or {}, problems))
    if problems:
        raise invalid(problems)
    merged: dict[str, Any] = {}
    origins: dict[KeyPath, tuple[_Layer, KeyPath]] = {}
    for layer in layers:
        for path_in, value in _leaves(layer.data):
            _put(merged, path_in, value)
            for length in range(2, len(path_in) + 1):
                origins[path_in[:length]] = (layer, path_in)
    settings = validate(Settings, merged)
    if isinstance(settings, list):
        raise invalid([Problem("settings", finding.message) for finding in settings])
    return settings.sourced(origins, environ)


def _named_state(layers: list[_Layer]) -> str:
    """The folder that `node.state` names, before anything was validated."""
    named = ""
    for layer in layers:
        section = layer.data.get("node")
        value = section.get("state") if isinstance(section, dict) else None
        named = value if isinstance(value, str) else named
    return named


def mesh_file(home: Path) -> Path:
    """Where `mesh init` and `join` keep their settings, in the folder of state `home`.

    They belong to this host's state and go with it, and so go before the user's file, which
    several hosts may share.
    """
    return home / "mesh.toml"


def write_mesh_settings(home: Path, values: Mapping[str, str]) -> None:
    """Make `values` by `section.key` all that the mesh file holds; none left, no file."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("Written by `sparkplug mesh init` and `sparkplug join`."))
    for key, value in values.items():
        section, name = map(str, _key_path(key))
        if value:
            document.setdefault(section, tomlkit.table())[name] = value
    if any(values.values()):
        text = tomlkit.dumps(document)
        found: list[Problem] = []
        _file_layer(text, str(mesh_file(home)), found)
        if found:
            raise invalid(found, hint="nothing was written")
        write_private(mesh_file(home), text)
    else:
        mesh_file(home).unlink(missing_ok=True)


def read_mesh_settings(home: Path) -> dict[str, str]:
    """What the mesh file holds, by `section.key`; empty when there is none."""
    text = read_text(mesh_file(home))
    data = tomllib.loads(text) if text else {}
    return {path_text(path): str(value) for path, value in _leaves(data)}


def set_value(path: Path, key: str, text: str) -> None:
    """Set `section.key` in the settings file `path`, keeping its comments.

    The file is validated as it will be before it is written, and replaced in one step (0600).
    Raises InvalidError, and what `write_private` raises.
    """
    _write_values(path, {_key_path(key): _from_text(_key_path(key), text)})


def export_settings(settings: Settings) -> str:
    """TOML of every setting that differs from the built-in; a URL holding a secret is left out."""
    import tomlkit

    built_in = SettingsDocument()
    document = tomlkit.document()
    for section, key in _all_keys():
        value = getattr(getattr(settings, section), key)
        secret = isinstance(value, str) and _SECRET_IN_URL.search(value)
        if value != getattr(getattr(built_in, section), key) and not secret:
            if section not in document:
                document[section] = tomlkit.table()
            document[section][key] = _plain(value)
    return tomlkit.dumps(document)


def import_settings(text: str, path: Path, name: str = "<stdin>") -> list[str]:
    """Put the settings of the TOML `text` into the file `path`; the names of those it set.

    All are validated before anything is written; what `text` does not name stays.
    """
    problems: list[Problem] = []
    layer = _file_layer(text, name, problems)
    if problems:
        raise invalid(problems)
    values = dict(_leaves(layer.data))
    if values:
        _write_values(path, values)
    return [path_text(key) for key in values]


def _write_values(path: Path, values: Mapping[KeyPath, Any]) -> None:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    before = read_text(path) or ""
    try:
        document = tomlkit.parse(before)
    except TOMLKitError:
        problems: list[Problem] = []
        _file_layer(before, str(path), problems)
        raise invalid(problems or [Problem(str(path), "not valid TOML")]) from None
    for key, value in values.items():
        table: Any = document
        for part in key[:-1]:
            if part not in table:
                table[part] = tomlkit.table()
            table = table[part]
        table[key[-1]] = value
    after = tomlkit.dumps(document)
    found: list[Problem] = []
    _file_layer(after, str(path), found)
    if found:
        raise invalid(found, hint="nothing was written")
    write_private(path, after)


def _file_layer(text: str, name: str, problems: list[Problem]) -> _Layer:
    """The settings of one file; what is wrong with it is added to `problems`."""
    layer = _Layer({}, name, text)
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
    for path, value in _leaves(layer.data):
        if isinstance(value, str) and _SECRET_IN_URL.search(value):
            text = f"{path_text(path)}: a file holds no secrets; give this URL in the environment"
            problems.append(Problem(layer.place(path), text))
    return layer


def _environment_layer(environ: Mapping[str, str], problems: list[Problem]) -> _Layer:
    layer = _Layer({}, "environment")
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
            _put(layer.data, (section, key), _from_text((section, key), environ[name]))
        except InvalidError as error:
            problems.append(Problem(place, error.message))
    _check(layer, problems)
    return layer


def _flag_layer(flags: Mapping[str, Any], problems: list[Problem]) -> _Layer:
    layer = _Layer({}, "flag")
    for key, value in flags.items():
        if value is not None:
            path = _key_path(key)
            layer.names[path[:2]] = "flag"
            _put(layer.data, path, _from_text(path, value) if isinstance(value, str) else value)
    _check(layer, problems)
    return layer


def _check(layer: _Layer, problems: list[Problem]) -> None:
    result = validate(SettingsDocument, layer.data)
    findings: list[Finding] = result if isinstance(result, list) else []
    problems.extend(Problem(layer.place(found.path), found.message) for found in findings)


def _key_path(key: str) -> KeyPath:
    """`section.key` or `section.table.entry` as a path; InvalidError when it names no setting."""
    section, _, rest = key.partition(".")
    name, _, entry = rest.partition(".")
    if (section, name) not in _all_keys() or (entry and not _is_table(section, name)):
        near = did_you_mean(key, [f"{a}.{b}" for a, b in _all_keys()])
        raise InvalidError(f"no setting {key}{near}", hint="`sparkplug config show` lists them all")
    inner = _entry_kind(section, name)
    outer, _, last = entry.rpartition(".")
    if inner is not None and outer and last in inner.model_fields:
        return (section, name, outer, last)
    return (section, name, entry) if entry else (section, name)


def _entry_kind(section: str, name: str) -> type[BaseModel] | None:
    """What the entries of a table are, where they have keys of their own."""
    annotation = SettingsDocument.model_fields[section].annotation
    assert annotation is not None
    kinds = get_args(annotation.model_fields[name].annotation)
    found = kinds[-1] if kinds else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _plain(value: Any) -> Any:
    """A value as files and `--json` have it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


def _all_keys() -> list[tuple[str, str]]:
    sections = SettingsDocument.model_fields
    return [(section, key) for section in sections for key in keys_at(SettingsDocument, (section,))]


def _is_table(section: str, key: str) -> bool:
    return isinstance(getattr(getattr(SettingsDocument(), section), key), dict)


def _from_text(path: KeyPath, text: str) -> Any:
    """A value of the setting's own type from the text of a variable, a flag or an argument."""
    if len(path) > 3:
        inner = _entry_kind(str(path[0]), str(path[1]))
        listed = inner is not None and get_origin(inner.model_fields[str(path[3])].annotation)
        return [part.strip() for part in text.split(",")] if listed is list else text
    if len(path) > 2:
        inner = _entry_kind(str(path[0]), str(path[1]))
        if inner is not None:
            last = str(path[2]).rpartition(".")[2]
            near = did_you_mean(last, inner.model_fields)
            hint = f"its keys: {', '.join(inner.model_fields)}"
            raise InvalidError(f"no setting {path_text(path)}{near}", hint=hint)
        return text
    section, key = path
    default = getattr(getattr(SettingsDocument(), str(section)), str(key))
    if isinstance(default, bool):
        words = {"true": True, "yes": True, "on": True, "1": True}
        words |= {"false": False, "no": False, "off": False, "0": False}
        if text.strip().lower() not in words:
            raise InvalidError(f"{path_text(path)}: expected true or false")
        return words[text.strip().lower()]
    if isinstance(default, int | float) and re.fullmatch(r"-?\d{1,18}", text.strip()):
        return int(text)
    if isinstance(default, dict):
        pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
        if not all(name.strip() and equals for name, equals, _ in pairs):
            raise InvalidError(f"{path_text(path)}: expected name=value,name=value")
        return {name.strip(): value.strip() for name, _, value in pairs}
    return text


def _leaves(data: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and len(path) < 2:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(str(part), {})
    data[str(path[-1])] = value


def _toml_lines(text: str) -> dict[KeyPath, tuple[int, int]]:
    """Line and column of every key of a valid TOML text; an inline table has that of its key."""
    found: dict[KeyPath, tuple[int, int]] = {}
    table: KeyPath = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:  # inside a string of several lines
            closing = "" if closing in line else closing
            continue
        header = line.lstrip().startswith("[")
        indent = len(line) - len(line.lstrip().lstrip("[")) if header else 0
        match = _TOML_KEY.match(line, indent)
        if match is None:
            continue
        key = tuple(part.strip("\"'") for part in _TOML_KEY_PART.findall(match[1]))
        table = key if header else table
        path = key if header else table + key
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], (number, match.start(1) + 1))
        found[path] = (number, match.start(1) + 1)
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                closing = quotes
    return found
