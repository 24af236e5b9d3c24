"""Reading what a person wrote to a file, and what to tell them when the system refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sparkplug.schema.errors import InvalidError, RefusedError, SparkplugError

#: No settings, agent or plan file needs more.
MAX_BYTES = 1 << 20


def read_text(path: Path, limit: int = MAX_BYTES) -> str | None:
    """The text of a file of at most `limit` bytes; None when there is none.

    Raises InvalidError when it is not a text file or too large, RefusedError when we may not.
    """
    try:
        if path.exists() and not path.is_file():
            raise InvalidError("not a file", where=str(path))
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, "cannot read", path) from error
    if len(data) > limit:
        raise InvalidError(f"larger than {limit >> 10} KiB", where=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        line = data.count(b"\n", 0, error.start) + 1
        where = f"{path}:{line}:{error.start - start + 1}"
        raise InvalidError("not UTF-8 text", where=where, hint="save it as UTF-8") from error


def storage_error(error: OSError, doing: str, path: Path) -> SparkplugError:
    """What the system refused, for a person: `doing` says what was tried on `path`."""
    where = str(path)
    elsewhere = "name a folder you may write to in SPARKPLUG_HOME"
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return RefusedError(f"{doing}: no permission", where=where, hint=elsewhere)
        case errno.ENOSPC | errno.EDQUOT:
            hint = f"make room, or {elsewhere}"
            return SparkplugError(f"{doing}: the disk is full", where=where, hint=hint)
        case errno.EROFS:
            return SparkplugError(f"{doing}: the disk is read-only", where=where, hint=elsewhere)
        case errno.ENOTDIR | errno.EEXIST:
            blocker = next(
                (p for p in (path, *path.parents) if p.exists() and not p.is_dir()), path
            )
            return InvalidError(
                f"{doing}: {blocker} is not a folder", where=where, hint=f"move it, or {elsewhere}"
            )
        case errno.EISDIR:
            return InvalidError(f"{doing}: it is a folder", where=where)
        case errno.ENAMETOOLONG:
            return InvalidError(f"{doing}: the name is too long", where=where, hint=elsewhere)
        case errno.ELOOP:
            return InvalidError(f"{doing}: links lead in a circle", where=where)
    return SparkplugError(f"{doing}: {error.strerror or error}", where=where)


def expanded(path: str) -> Path:
    """A path as it was typed, `~` written out where whose home that is is known. Never raises."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  that of Path raises for unknown users
