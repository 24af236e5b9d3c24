"""The judge of who owned an agent when: files that the agents themselves act on.

Every process of an agent holds a lock on the agent's file, which the kernel takes from it in the
moment it ends, and notes in a record that it lives, twenty times a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

#: A process that finds the lock taken is a second owner, and says so in the record.
WITNESS = """
import fcntl
import os
import pathlib
import threading
import time

HERE = pathlib.Path(__file__).parent
RECORD = os.open(HERE / "record", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
LOCK = os.open(HERE / "lock", os.O_RDWR | os.O_CREAT)


def note(word):
    os.write(RECORD, f"{time.monotonic():.3f} {os.getpid()} {word}\\n".encode())


try:
    fcntl.flock(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    note("second")


def live():
    while True:
        note("lives")
        time.sleep(0.05)


threading.Thread(target=live, daemon=True).start()


async def handle(ctx, request):
    return f"{os.getpid()}"
"""


@dataclass(frozen=True)
class Ownership:
    """One process that owned an agent, from its first word to its last (time.monotonic)."""

    pid: int
    since: float
    until: float


class Recorder:
    """The record of one agent."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "record"

    def _words(self) -> list[tuple[float, int, str]]:
        if not self._path.exists():
            return []
        lines = [line.split() for line in self._path.read_text().splitlines()]
        return [(float(line[0]), int(line[1]), line[2]) for line in lines if len(line) == 3]

    def owners(self) -> list[Ownership]:
        """Every process that ever owned the agent, in the order of their first words."""
        spans: dict[int, tuple[float, float]] = {}
        for time, pid, _ in self._words():
            spans[pid] = (spans.get(pid, (time, time))[0], time)
        owners = [Ownership(pid, *span) for pid, span in spans.items()]
        return sorted(owners, key=lambda owner: owner.since)

    def doubles(self) -> list[str]:
        """Every time at which two processes owned the agent."""
        found = [f"{pid} found another owner" for _, pid, word in self._words() if word == "second"]
        owners = self.owners()
        for one, other in pairwise(owners):
            if other.since <= one.until:
                found.append(
                    f"{other.pid} began {one.until - other.since:.2f} s before {one.pid} ended"
                )
        return found
