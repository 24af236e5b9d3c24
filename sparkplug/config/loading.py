"""The settings in force, each value with where it came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from sparkplug.config.keys import all_keys, key_path, plain
from sparkplug.config.layers import (
    Layer,
    environment_layer,
    file_layer,
    flag_layer,
    leaves,
    put,
)
from sparkplug.paths import Paths, base_folder, state_home
from sparkplug.schema.problems import KeyPath, Problem, invalid, validate
from sparkplug.schema.settings import SettingsDocument
from sparkplug.schema.textfile import read_text
from sparkplug.shipped import shipped

SYSTEM_FOLDER = Path("/etc/sparkplug")


class Settings(SettingsDocument):
    """The settings in force. `settings.nats.port` is a value, `origin("nats.port")` its source."""

    _origins: dict[KeyPath, tuple[Layer, KeyPath]] = PrivateAttr(default_factory=dict)
    _environ: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def sourced(
        self, origins: dict[KeyPath, tuple[Layer, KeyPath]], environ: Mapping[str, str]
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
        for part in key_path(key):
            value = value.get(part) if isinstance(value, dict) else getattr(value, str(part), None)
        return plain(value)

    def origin(self, key: str) -> str:
        """Where the value of `section.key` came from.

        One of `built-in`, `<file>:<line>`, `environment SPARKPLUG_<SECTION>_<KEY>`, `flag`. Of a
        table it is the last one that put something into it.
        """
        path = key_path(key)
        layer = self._origins.get(path) or self._origins.get(path[:3])
        return layer[0].origin(layer[1]) if layer else "built-in"

    def items(self) -> Iterator[tuple[str, Any, str]]:
        """Every setting in the order of the sections, as (`section.key`, value, origin)."""
        for section, key in all_keys():
            name = f"{section}.{key}"
            yield name, self.get(name), self.origin(name)


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
    layers: list[Layer] = []
    for path in [*files, config_file(environ)]:
        text = read_text(path)
        if text is not None:
            layers.append(file_layer(text, str(path), problems))
    environment = environment_layer(environ, problems)
    path = mesh_file(state_home(environ, _named_state([*layers, environment])))
    text = read_text(path)
    if text is not None:
        layers.append(file_layer(text, str(path), problems))
    layers.append(environment)
    layers.append(flag_layer(flags or {}, problems))
    if problems:
        raise invalid(problems)
    merged: dict[str, Any] = {}
    origins: dict[KeyPath, tuple[Layer, KeyPath]] = {}
    for layer in layers:
        for path_in, value in leaves(layer.data):
            put(merged, path_in, value)
            for length in range(2, len(path_in) + 1):
                origins[path_in[:length]] = (layer, path_in)
    settings = validate(Settings, merged)
    if isinstance(settings, list):
        raise invalid([Problem("settings", finding.message) for finding in settings])
    return settings.sourced(origins, environ)


def _named_state(layers: list[Layer]) -> str:
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
