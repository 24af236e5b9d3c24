"""Which TCP ports are listened on, and by which processes.

Sources: proc_net(5), /proc/net/tcp (state 0A is LISTEN, addresses in the host's byte order);
proc_pid_fd(5), a socket's link reads socket:[inode].
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
#: Of one process: a server with more files open than this is looked at in part.
_FILES = 20_000


@dataclass(frozen=True)
class Listener:
    """A port of this network namespace, the address to reach it at from here, and its socket."""

    address: str
    port: int
    inode: int

    @property
    def url(self) -> str:
        """The HTTP URL of it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"


def listening(folder: str = "/proc/net") -> list[Listener]:
    """Every listener on TCP, one for each port: IPv4 before IPv6, loopback before others."""
    found: dict[int, Listener] = {}
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(folder, name).read_text().splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != _LISTEN:
                continue
            address, _, port = fields[1].partition(":")
            listener = Listener(_reachable(address), int(port, 16), int(fields[9]))
            known = found.get(listener.port)
            if known is None or (known.address != "127.0.0.1" and listener.address == "127.0.0.1"):
                found[listener.port] = listener
    return list(found.values())


def _reachable(words: str) -> str:
    """The address in dots or colons; every address of the host is asked on loopback."""
    raw = b"".join(int(words[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(words), 8))
    if len(raw) == 4:
        return "127.0.0.1" if not any(raw) else socket.inet_ntop(socket.AF_INET, raw)
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    # One on `::` takes IPv4 too, unless it was told not to; then it is on ::1 as well.
    return "127.0.0.1" if not any(raw) else socket.inet_ntop(socket.AF_INET6, raw)


def sockets_of(pid: int) -> set[int]:
    """The inodes of the sockets a process has open; none of a process that is not ours to see."""
    found: set[int] = set()
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for count, entry in enumerate(entries):
                if count >= _FILES:
                    break
                try:
                    target = os.readlink(entry.path)  # noqa: PTH115 - hot path
                except OSError:
                    continue
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    except OSError:
        return found
    return found


def owners(pids: Iterable[int], inodes: set[int]) -> dict[int, int]:
    """The process that has each of the sockets `inodes` open, looked for among `pids`."""
    found: dict[int, int] = {}
    for pid in pids:
        for inode in sockets_of(pid) & inodes:
            found.setdefault(inode, pid)
    return found
