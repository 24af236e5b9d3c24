"""One after the other: what several control centres read, change and write in one folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

#: Whoever holds it longer hangs: then what is kept goes before what another may be adding.
_WAIT_S = 2.0
_AGAIN_S = 0.01


@contextlib.contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Have a folder to oneself while the block runs. For a thread: waits up to two seconds.

    The folder is made, 0700, when it is missing. Nothing is raised: where it cannot be, or there
    are no locks, the block runs all the same.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            for made in (folder.parent, folder):
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, descriptor)
            until = time.monotonic() + _WAIT_S
            while not _taken(descriptor) and time.monotonic() < until:
                time.sleep(_AGAIN_S)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
