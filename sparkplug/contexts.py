"""Contexts: the meshes this user works with, by name. That of this host is always one of them.

Kept in `contexts.toml` beside the user's settings. It holds no secrets: credentials are files of
their own that nobody else may read.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparkplug.config import Settings, config_file
from sparkplug.paths import write_private
from sparkplug.schema.contexts import ContextEntry, ContextsDocument
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from sparkplug.schema.problems import Problem, did_you_mean, invalid, validate
from sparkplug.schema.textfile import read_text

_SECRET_IN_URL = re.compile(r"://[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Context:
    """A mesh by name. That of this host has no `url`: settings and its server say where it is."""

    name: str
    url: str | None = None
    creds: Path | None = None
    ca: Path | None = None
    description: str = ""

    @property
    def local(self) -> bool:
        """Whether it is the mesh this host belongs to."""
        return self.url is None


@dataclass(frozen=True, slots=True)
class Contexts:
    """All contexts by name, that of this host first, and the name of the one that is used."""

    current: str
    all: dict[str, Context] = field(default_factory=dict)

    def choose(self, name: str | None = None) -> Context:
        """The context of a name, the current one for None. Raises NotFoundError."""
        wanted = name or self.current
        found = self.all.get(wanted)
        if found is None:
            raise NotFoundError(
                f"no context {wanted}{did_you_mean(wanted, self.all)}",
                hint="`sparkplug contexts list` shows them, `sparkplug contexts add` adds one",
            )
        return found


def contexts_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where they are kept: beside the user's settings file."""
    return config_file(environ).with_name("contexts.toml")


def load_contexts(settings: Settings, environ: Mapping[str, str] | None = None) -> Contexts:
    """The contexts there are. Raises InvalidError naming the file, RefusedError.

    SPARKPLUG_CONTEXT goes before `current` of the file.
    """
    environ = os.environ if environ is None else environ
    document = _read(contexts_file(environ))
    own = settings.mesh.name
    found = {own: Context(own, description="the mesh of this host")}
    for name, entry in document.contexts.items():
        if name != own:
            creds = Path(entry.creds).expanduser() if entry.creds else None
            ca = Path(entry.ca).expanduser() if entry.ca else None
            found[name] = Context(name, entry.url, creds, ca, entry.description)
    return Contexts(environ.get("SPARKPLUG_CONTEXT") or document.current or own, found)


def use_context(name: str, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Make a context the one that is used from now on. Raises NotFoundError."""
    load_contexts(settings, environ).choose(name)
    path = contexts_file(environ)
    document = _parse(path)
    document["current"] = "" if name == settings.mesh.name else name
    _write(path, document)


def add_context(
    name: str, entry: ContextEntry, settings: Settings, environ: Mapping[str, str] | None = None
) -> None:
    """Add a context.

    Raises ConflictError for a name that is taken, InvalidError for a URL with a secret in it,
    NotFoundError and RefusedError for a credentials file that is not there or that others can
    read.
    """
    import tomlkit

    refuse_name(name, settings, environ)
    checked = validate(ContextsDocument, {"contexts": {name: entry.model_dump()}})
    if isinstance(checked, list):
        raise InvalidError(f"contexts.{name}: {checked[0].message}")
    if _SECRET_IN_URL.search(entry.url):
        raise InvalidError(
            "a file holds no secrets, and this URL holds one",
            hint="put credentials into a file that only you can read, and name it with --creds",
        )
    if entry.creds:
        check_creds(Path(entry.creds).expanduser())
    if entry.ca:
        check_ca(Path(entry.ca).expanduser())
    path = contexts_file(environ)
    document = _parse(path)
    if "contexts" not in document:
        document["contexts"] = tomlkit.table(is_super_table=True)
    table = tomlkit.table()
    for key, value in entry.model_dump().items():
        if value:
            table[key] = value
    document["contexts"][name] = table
    _write(path, document)


def refuse_name(name: str, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Raise ConflictError for a context's name that is taken, InvalidError for one that is none."""
    if name in load_contexts(settings, environ).all:
        raise ConflictError(
            f"there is a context {name} already", hint=f"`sparkplug contexts remove {name}` first"
        )
    entry = ContextEntry(url="nats://127.0.0.1").model_dump()
    checked = validate(ContextsDocument, {"contexts": {name: entry}})
    if isinstance(checked, list):
        raise InvalidError(f"contexts.{name}: {checked[0].message}")


def remove_context(name: str, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Forget a context. Raises NotFoundError, RefusedError for the mesh of this host."""
    if load_contexts(settings, environ).choose(name).local:
        raise RefusedError(
            f"{name} is the mesh of this host, which is always there",
            hint="`sparkplug down` stops its node",
        )
    path = contexts_file(environ)
    document = _parse(path)
    del document["contexts"][name]
    if document.get("current") == name:
        document["current"] = ""
    _write(path, document)


def check_creds(path: Path) -> None:
    """Raise NotFoundError when a credentials file is not there, RefusedError for an open one."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NotFoundError(
            f"no credentials: {error.strerror or error}", where=str(path)
        ) from error
    if mode & 0o077:
        raise RefusedError(
            "the credentials can be read by others", where=str(path), hint=f"chmod 600 {path}"
        )


def check_ca(path: Path) -> None:
    """Raise NotFoundError when it is not there, InvalidError when it holds no certificate."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise InvalidError("that is no certificate in PEM form", where=str(path)) from error
    except OSError as error:
        raise NotFoundError(
            f"no certificate: {error.strerror or error}", where=str(path)
        ) from error


def _read(path: Path) -> ContextsDocument:
    text = read_text(path)
    if text is None:
        return ContextsDocument()
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidError(f"not valid TOML: {error}", where=str(path)) from error
    found = validate(ContextsDocument, data)
    if isinstance(found, list):
        places = [(".".join(map(str, one.path)), one.message) for one in found]
        raise invalid([Problem(str(path), f"{place}: {told}") for place, told in places])
    for name, entry in found.contexts.items():
        if _SECRET_IN_URL.search(entry.url):
            raise InvalidError(f"contexts.{name}: a file holds no secrets", where=str(path))
    return found


def _parse(path: Path) -> Any:
    """The file as it is, with its comments; it was read before, so it holds."""
    import tomlkit

    return tomlkit.parse(read_text(path) or "")


def _write(path: Path, document: Any) -> None:
    import tomlkit

    write_private(path, tomlkit.dumps(document))
