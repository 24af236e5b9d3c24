"""Control groups with a memory limit: cgroup v2, v1, and both at once.

Sources: Linux Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.current, memory.stat,
memory.events) and cgroup-v1/memory.rst. Used is the working set as the kubelet counts it: usage
less inactive_file, which the kernel drops before it kills.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from sparkplug.schema.host import ControlGroup

WALK_FOLDERS = 5000
WALK_SECONDS = 0.1
GROUPS = 64


@dataclass(frozen=True)
class Hierarchy:
    """Where a memory hierarchy is mounted and the names of its files."""

    root: str
    limit: str
    usage: str
    inactive: str
    kills: str


def find_hierarchies(mounts: str = "/proc/self/mounts") -> list[Hierarchy]:
    """The memory hierarchies of this host, from its mount table."""
    found: list[Hierarchy] = []
    for line in Path(mounts).read_text(errors="replace").splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        where, kind, options = fields[1], fields[2], fields[3].split(",")
        if kind == "cgroup2":
            found.append(
                Hierarchy(where, "memory.max", "memory.current", "inactive_file", "memory.events")
            )
        elif kind == "cgroup" and "memory" in options:
            found.append(
                Hierarchy(
                    where,
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "total_inactive_file",
                    "memory.oom_control",
                )
            )
    return found


def find_limited(hierarchies: list[Hierarchy], host_bytes: int) -> list[tuple[Hierarchy, str]]:
    """The groups whose limit is below the host's memory, nearest the root first.

    The walk stops at a count of folders and a time, so a host with a great many groups is seen
    in part rather than slowly.
    """
    found: list[tuple[Hierarchy, str]] = []
    until = time.monotonic() + WALK_SECONDS
    for hierarchy in hierarchies:
        waiting: deque[str] = deque([hierarchy.root])
        seen = 0
        while waiting and seen < WALK_FOLDERS and len(found) < GROUPS:
            if time.monotonic() > until:
                return found
            folder = waiting.popleft()
            seen += 1
            limit = _number(f"{folder}/{hierarchy.limit}")
            if limit is not None and 0 < limit < host_bytes:
                found.append((hierarchy, folder))
            try:
                with os.scandir(folder) as entries:
                    waiting.extend(e.path for e in entries if e.is_dir(follow_symlinks=False))
            except OSError:
                continue  # the group was removed while we walked
    return found


def read_group(hierarchy: Hierarchy, folder: str) -> ControlGroup | None:
    """The limit and use of a group now; None when it was removed or lost its limit."""
    limit = _number(f"{folder}/{hierarchy.limit}")
    usage = _number(f"{folder}/{hierarchy.usage}")
    if limit is None or usage is None:
        return None
    inactive = _keyed(f"{folder}/memory.stat", hierarchy.inactive) or 0
    return ControlGroup(
        path=folder.removeprefix(hierarchy.root) or "/",
        limit_bytes=limit,
        used_bytes=max(usage - inactive, 0),
        oom_kills=_keyed(f"{folder}/{hierarchy.kills}", "oom_kill"),
    )


def _number(path: str) -> int | None:
    """The number a file holds; None for `max`, and when it is not there."""
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _keyed(path: str, key: str) -> int | None:
    try:
        text = Path(path).read_text()
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return None
