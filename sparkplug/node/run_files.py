"""The files by which the processes of one state directory know each other.

Standard library only: the parent process stays tiny.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

PARENT = "parent.json"
NODE = "node.json"
OUTCOME = "outcome.json"
HOLDER = "holder"
PARENT_LOCK = "parent.lock"
NODE_LOCK = "node.lock"


def read(path: Path) -> dict[str, Any]:
    """A run file's object; empty when it is not there or broken."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write(path: Path, data: dict[str, Any]) -> None:
    """Write a run file, whole, 0600."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(data, file)
    temporary.replace(path)


def holder(path: Path) -> str:
    """The word under which this state directory holds leases, made once and kept."""
    try:
        known = path.read_text().strip()
    except OSError:
        known = ""
    if known:
        return known
    made = secrets.token_hex(8)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made)
    return made


def lock(path: Path) -> int | None:
    """Hold `path` locked until this process ends; None when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, False)
    return descriptor
