"""Agents that judge from outside: each process locks a file of its replica and writes what it does.

The kernel lets a lock go when its process ends, however that ends: a second process of one replica
finds it taken and says so. Nothing of this goes over the bus.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

#: Its standard output is the log of its replica, `<agent>.<replica>.log`: that is how it knows
#: which one it is before anybody asks it anything.
WITNESS = """
import asyncio
import fcntl
import os
import pathlib
import time

HERE = pathlib.Path(__file__).parent
NAME = pathlib.Path(os.readlink("/proc/self/fd/1")).name.removesuffix(".log")
RECORD = os.open(HERE / f"{NAME}.record", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
LOCK = os.open(HERE / f"{NAME}.lock", os.O_RDWR | os.O_CREAT, 0o600)


def note(word):
    os.write(RECORD, f"{time.time():.6f} {os.getpid()} {word}\\n".encode())


try:
    fcntl.flock(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    note("second")
else:
    note("alone")


async def handle(ctx, request):
    note("begin")
    try:
        await asyncio.sleep(float(request.text or 0))
        return f"{os.getpid()}"
    finally:
        note("end")
"""


@dataclass(frozen=True, slots=True)
class Note:
    """A line of a record: when (seconds since the epoch), which process, what."""

    time: float
    pid: int
    word: str


@dataclass
class Records:
    """What all witnesses of a folder wrote, by replica (`agent.replica`)."""

    notes: dict[str, list[Note]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Records:
        """The records as they are now."""
        found = cls()
        for path in folder.rglob("*.record"):
            lines = [line.split() for line in path.read_text().splitlines()]
            notes = [Note(float(time), int(pid), word) for time, pid, word in lines]
            found.notes[path.name.removesuffix(".record")] = notes
        return found

    def seconds(self) -> list[str]:
        """Replicas of which two processes lived at one time; there must be none."""
        return [
            f"{name}: {note.pid} at {note.time:.3f}"
            for name, notes in self.notes.items()
            for note in notes
            if note.word == "second"
        ]

    def pids(self) -> set[int]:
        """Every process that ever was a witness."""
        return {note.pid for notes in self.notes.values() for note in notes}

    def spans(self, replica: str) -> Spans:
        """When a replica had requests in hand, by what its processes wrote."""
        changes: list[tuple[float, int, bool]] = []
        inflight: dict[int, int] = {}
        for note in self.notes.get(replica, []):
            if note.word in ("begin", "end"):
                inflight[note.pid] = inflight.get(note.pid, 0) + (1 if note.word == "begin" else -1)
            changes.append((note.time, note.pid, inflight.get(note.pid, 0) > 0))
        return Spans(changes)


@dataclass
class Spans:
    """Which process of a replica was at work when."""

    changes: list[tuple[float, int, bool]]

    def worked(self, pid: int, since: float, until: float) -> set[bool]:
        """Whether a process was at work (True) or idle (False) between two moments; maybe both."""
        own = [change for change in self.changes if change[1] == pid]
        times = [change[0] for change in own]
        first = bisect_right(times, since)
        found = {own[first - 1][2]} if first else set()
        return found | {change[2] for change in own[first : bisect_right(times, until)]}
