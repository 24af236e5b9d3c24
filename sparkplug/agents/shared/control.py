"""What the node and a shared process say to each other: one JSON object a line.

The process listens on a socket in the node's run directory, so that the next daemon can
take it over. It tells an end until the node has said that it saw it.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field

from sparkplug.agents.jobs import SpawnJob
from sparkplug.schema.agent import AgentReport
from sparkplug.schema.base import Record

#: Bytes of a line: the reports of a thousand agents with their schemas.
LINE_LIMIT = 64 << 20


class Order(Record):
    """What the node wants: an agent started or stopped, an end noted, or the process ended."""

    kind: Literal["start", "stop", "kill", "seen", "end"]
    incarnation: str = ""
    job: SpawnJob | None = Field(None, repr=False)


class Word(Record):
    """What a shared process tells: who runs in it when asked first, each end, and its pulse.

    The pulse, once a second, says that the loop all its agents run on goes round; the reports
    in it are of those that have something new to say.
    """

    kind: Literal["running", "started", "ended", "pulse"]
    incarnation: str = ""
    running: list[str] = Field(default_factory=list, description="incarnations")
    status: int = Field(0, description="as waitpid gives it for a process of its own")
    reason: str | None = None
    reports: list[AgentReport] = Field(default_factory=list)


def socket_at(path: Path, *, listen: bool) -> socket.socket:
    """A Unix socket bound or connected to `path`, however long that is. Raises OSError.

    The address of a socket holds 107 bytes (unix(7)); an open folder under /proc/self/fd
    stands for a path of any length.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        address = f"/proc/self/fd/{folder}/{path.name}"
        if listen:
            found.bind(address)
            found.listen(4)
        else:
            found.connect(address)
    except OSError:
        found.close()
        raise
    finally:
        os.close(folder)
    found.setblocking(False)
    return found
