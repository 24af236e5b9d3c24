"""The data folders that travel with SparkPlug: settings, themes and plugins."""

from __future__ import annotations

from pathlib import Path

from sparkplug.schema.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: str) -> Path:
    """The shipped folder `config`, `themes` or `plugins`, as an absolute path.

    An installed package carries the folders as `sparkplug/_data/<kind>`; a checkout has them
    at its top level. Raises NotFoundError when neither exists: the installation is broken.
    """
    for folder in (_PACKAGE / "_data" / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise NotFoundError(
        f"the shipped folder {kind} is missing",
        where=str(_PACKAGE),
        hint="the installation is incomplete; install SparkPlug again",
    )
