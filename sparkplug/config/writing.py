"""Settings written into files: one, all of them, those of a mesh; comments are kept."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkplug.config.keys import all_keys, from_text, key_path, plain
from sparkplug.config.layers import SECRET_IN_URL, file_layer, leaves
from sparkplug.config.loading import Settings, mesh_file
from sparkplug.paths import write_private
from sparkplug.schema.problems import KeyPath, Problem, invalid, path_text
from sparkplug.schema.settings import SettingsDocument
from sparkplug.schema.textfile import read_text


def write_mesh_settings(home: Path, values: Mapping[str, str]) -> None:
    """Make `values` by `section.key` all that the mesh file holds; none left, no file."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("Written by `sparkplug mesh init` and `sparkplug join`."))
    for key, value in values.items():
        section, name = map(str, key_path(key))
        if value:
            document.setdefault(section, tomlkit.table())[name] = value
    if any(values.values()):
        text = tomlkit.dumps(document)
        found: list[Problem] = []
        file_layer(text, str(mesh_file(home)), found)
        if found:
            raise invalid(found, hint="nothing was written")
        write_private(mesh_file(home), text)
    else:
        mesh_file(home).unlink(missing_ok=True)


def read_mesh_settings(home: Path) -> dict[str, str]:
    """What the mesh file holds, by `section.key`; empty when there is none."""
    text = read_text(mesh_file(home))
    data = tomllib.loads(text) if text else {}
    return {path_text(path): str(value) for path, value in leaves(data)}


def set_value(path: Path, key: str, text: str) -> None:
    """Set `section.key` in the settings file `path`, keeping its comments.

    The file is validated as it will be before it is written, and replaced in one step (0600).
    Raises InvalidError, and what `write_private` raises.
    """
    _write_values(path, {key_path(key): from_text(key_path(key), text)})


def export_settings(settings: Settings) -> str:
    """TOML of every setting that differs from the built-in; a URL holding a secret is left out."""
    import tomlkit

    built_in = SettingsDocument()
    document = tomlkit.document()
    for section, key in all_keys():
        value = getattr(getattr(settings, section), key)
        secret = isinstance(value, str) and SECRET_IN_URL.search(value)
        if value != getattr(getattr(built_in, section), key) and not secret:
            if section not in document:
                document[section] = tomlkit.table()
            document[section][key] = plain(value)
    return tomlkit.dumps(document)


def import_settings(text: str, path: Path, name: str = "<stdin>") -> list[str]:
    """Put the settings of the TOML `text` into the file `path`; the names of those it set.

    All are validated before anything is written; what `text` does not name stays.
    """
    problems: list[Problem] = []
    layer = file_layer(text, name, problems)
    if problems:
        raise invalid(problems)
    values = dict(leaves(layer.data))
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
        file_layer(before, str(path), problems)
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
    file_layer(after, str(path), found)
    if found:
        raise invalid(found, hint="nothing was written")
    write_private(path, after)
