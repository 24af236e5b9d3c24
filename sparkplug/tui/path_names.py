"""Names on the disk that a path being typed could become."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

#: Entries read of a folder, and offered.
_READ = 5000
_OFFERED = 100


def path_names(typed: str) -> list[str]:
    """Paths that begin as `typed`, folders with a slash at their end. Blocks: for a thread.

    Hidden ones are there when a dot is typed. `~` is written out, since nothing later does it.
    """
    head, _, start = typed.rpartition("/")
    if typed == "~" or typed.startswith("~/"):
        head, start = os.path.expanduser(head or "~"), start if head else ""  # noqa: PTH111
    before = f"{head}/" if head or typed.startswith("/") else ""
    found: list[str] = []
    try:
        with os.scandir(before or ".") as entries:
            for entry in islice(entries, _READ):
                name = entry.name
                if not name.startswith(start) or not name.isprintable():
                    continue
                if name.startswith(".") and not start.startswith("."):
                    continue
                found.append(f"{before}{name}{'/' if Path(entry.path).is_dir() else ''}")
    except (OSError, ValueError):
        return []
    return sorted(found, key=lambda name: (not name.endswith("/"), name))[:_OFFERED]
