"""Keys of endpoints: from an environment variable, or a file that its owner alone can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sparkplug.llm.errors import NoModelError

_MOST_BYTES = 16 << 10


def read_key(variable: str, path: Path | None) -> str:
    """The key; empty when none is named, or the variable is not set.

    Raises NoModelError for a file that is not there, or that others can read.
    """
    if path is None:
        return os.environ.get(variable, "").strip() if variable else ""
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno())
            if stat.S_IMODE(mode.st_mode) & 0o077 or mode.st_uid != os.geteuid():
                raise NoModelError(
                    "others can read the file with the key",
                    where=str(path),
                    hint=f"chmod 600 {path}",
                )
            return file.read(_MOST_BYTES).decode(errors="replace").strip()
    except OSError as error:
        raise NoModelError(
            f"the file with the key cannot be read: {error.strerror}", where=str(path)
        ) from error
