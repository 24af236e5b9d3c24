"""One process for each replica of a host, held to by the kernel.

Before it loads its author's code, an agent's process locks the file of its replica and writes
down that it is the one. A daemon that was killed after it had asked for a process, and before it
had heard of one, leaves a process nobody knows: the next daemon reads what that wrote, and a
second one finds the lock taken. A lock ends with its process, however that ends (flock(2)).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparkplug.paths import write_private
from sparkplug.schema.errors import ConflictError


def take_replica(record: Path, what: Mapping[str, Any]) -> int:
    """Be the process of a replica and write `what` into its record, a path ending in .json.

    Returns the descriptor that holds it until it is closed. Raises ConflictError while another
    process has it.
    """
    path = record.with_suffix(".lock")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise ConflictError(
                "another process of this replica lives", where=str(record)
            ) from error
        if _is_there(path, descriptor):
            break
        os.close(descriptor)
    write_private(record, json.dumps(what))
    return descriptor


def forget_replica(record: Path) -> None:
    """Take away the lock's file of a replica that is wanted no more, unless a process has it."""
    path = record.with_suffix(".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_there(path, descriptor):
            path.unlink()
    except OSError:
        return
    finally:
        os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether the file one has locked is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
