"""The running private server as its run directory records it: how everybody here finds it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sparkplug.paths import write_private
from sparkplug.processes import same_process

LOOPBACK = "127.0.0.1"
RECORD = "nats.json"


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running private server: enough to know it again after the daemon was replaced.

    `address` is where this host reaches it; `ca` is the path of its authority's certificate,
    empty without TLS.
    """

    pid: int
    started: float
    port: int
    version: str
    binary: str
    address: str = LOOPBACK
    ca: str = ""

    @property
    def url(self) -> str:
        """Where clients of this host connect."""
        return server_url(self.address, self.port, tls=bool(self.ca))

    def alive(self) -> bool:
        """True while this very process runs (same pid and same start time)."""
        return same_process(self.pid, self.started)


def server_url(address: str, port: int, *, tls: bool) -> str:
    """The URL of a server."""
    host = f"[{address}]" if ":" in address else address
    return f"{'tls' if tls else 'nats'}://{host}:{port}"


def read_server(run: Path) -> ServerProcess | None:
    """The private server recorded in a run directory, when that very process still runs."""
    try:
        data = json.loads((run / RECORD).read_text())
        known = {field.name for field in fields(ServerProcess)}
        process = ServerProcess(**{key: value for key, value in data.items() if key in known})
        return process if process.alive() else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_server(run: Path, process: ServerProcess) -> None:
    """Record a running server."""
    write_private(run / RECORD, json.dumps(asdict(process)))
