"""Agent logs: files the agents hold open; rotated by size, read by offset."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sparkplug.schema.errors import NotFoundError
from sparkplug.schema.node_services import LogsReply, LogsRequest

_MAX_PIECE = 512 << 10


class AgentLogs:
    """The logs of one node. `keep` rotated pieces of at most `limit` bytes each."""

    def __init__(self, folder: Path, limit: int, keep: int) -> None:
        self._folder = folder
        self._limit = limit
        self._keep = keep

    def path(self, agent: str, replica: str, *, previous: bool = False) -> Path:
        """Where a replica's output goes, or that of the process before it."""
        return self._folder / f"{agent}.{replica}{'.previous' if previous else ''}.log"

    def begin(self, agent: str, replica: str) -> Path:
        """Start a fresh log for a new process; the one before becomes `previous`."""
        path = self.path(agent, replica)
        if path.exists():
            path.replace(self.path(agent, replica, previous=True))
        path.touch(mode=0o600)
        return path

    def rotate(self) -> None:
        """Copy away and empty every log over its limit.

        The agent holds the file open for appending, so it is emptied in place; a line
        written between copying and emptying can be lost, and only then.
        """
        large = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                # A removed agent takes its log with it, maybe just now.
                with contextlib.suppress(FileNotFoundError):
                    if entry.name.endswith(".log") and entry.stat().st_size > self._limit:
                        large.append(Path(entry.path))
        for path in large:
            for number in range(self._keep - 1, 0, -1):
                older = path.with_suffix(f".log.{number}")
                if older.exists():
                    older.replace(path.with_suffix(f".log.{number + 1}"))
            if self._keep:
                target = path.with_suffix(".log.1")
                descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as copy, path.open("rb") as source:
                    while piece := source.read(1 << 20):
                        copy.write(piece)
            os.truncate(path, 0)

    def read(self, request: LogsRequest) -> LogsReply:
        """A piece of a log. Raises NotFoundError when the replica never ran here."""
        path = self.path(request.agent, request.replica, previous=request.previous)
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = request.offset
                most = _MAX_PIECE
                if request.before is not None:
                    end = min(request.before, size)
                    start = _tail(file.fileno(), end, request.lines)
                    most = end - start
                elif start is None:
                    start = _tail(file.fileno(), size, request.lines)
                elif start > size:
                    start = 0  # emptied since: begin again
                file.seek(start)
                data = file.read(most)
        except FileNotFoundError as error:
            which = "an earlier process of " if request.previous else ""
            raise NotFoundError(
                f"there is no log of {which}{request.agent}/{request.replica} on this node"
            ) from error
        return LogsReply(
            text=data.decode("utf-8", errors="replace"),
            start=start,
            offset=start + len(data),
            size=size,
        )

    def last_lines(self, agent: str, replica: str, lines: int) -> str:
        """The end of a replica's log, for an error's explanation."""
        try:
            return self.read(LogsRequest(agent=agent, replica=replica, lines=lines)).text
        except NotFoundError:
            return ""

    def remove(self, agent: str, replica: str) -> None:
        """Delete everything a removed replica wrote."""
        own = tuple(self.path(agent, replica, previous=earlier).name for earlier in (False, True))
        with os.scandir(self._folder) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.startswith(own)]
        for path in found:
            path.unlink(missing_ok=True)


def _tail(descriptor: int, size: int, lines: int) -> int:
    """The offset where the last `lines` lines begin, within the largest piece."""
    if lines == 0:
        return size
    start = max(0, size - _MAX_PIECE)
    data = os.pread(descriptor, size - start, start)
    position = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(lines):
        position = data.rfind(b"\n", 0, max(position, 0))
        if position < 0:
            return start
    return start + position + 1
