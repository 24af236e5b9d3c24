"""Which TCP ports are listened on, and by which processes.

Sources: sock_diag(7), netlink(7) and linux/inet_diag.h, asked for listeners alone; where that is
not permitted proc_net(5), /proc/net/tcp (state 0A is LISTEN, addresses in the host's byte order),
for which the kernel goes through every connection there may be: 10 ms of processor time on a host
that has none. proc_pid_fd(5), a socket's link reads socket:[inode].
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_TCP_LISTEN = 10
_REQUEST, _DUMP = 0x001, 0x300
_ERROR, _DONE = 2, 3
_HEAD = struct.Struct("=IHHII")
#: struct inet_diag_req_v2 up to its socket, all of which may be anything.
_ASKED = struct.Struct("=BBBxI48x")
#: struct inet_diag_msg: the family, the port it listens on, the address, and the inode at its end.
_TOLD = struct.Struct("=B3x2s2x16s28x16xI")
_MESSAGE_BYTES = 64 << 10
#: Seconds the kernel has to answer; it does at once.
_ANSWER_S = 1.0
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


def listening(folder: str | None = None) -> list[Listener]:
    """Every listener on TCP, one for each port: IPv4 before IPv6, loopback before others.

    With a `folder` they are read from its files `tcp` and `tcp6`, as those of /proc/net.
    """
    if folder is None:
        # A kernel without it, or a sandbox that refuses it.
        with contextlib.suppress(OSError):
            return _one_a_port([*_told(socket.AF_INET), *_told(socket.AF_INET6)])
    return _one_a_port(_written(folder or "/proc/net"))


def _one_a_port(listeners: Iterable[Listener]) -> list[Listener]:
    found: dict[int, Listener] = {}
    for listener in listeners:
        known = found.get(listener.port)
        if known is None or (known.address != "127.0.0.1" and listener.address == "127.0.0.1"):
            found[listener.port] = listener
    return list(found.values())


def _told(family: int) -> Iterator[Listener]:
    """The listeners of a family as the kernel tells them. Raises OSError."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as asking:
        asking.settimeout(_ANSWER_S)
        body = _ASKED.pack(family, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN)
        size = _HEAD.size + len(body)
        asking.send(_HEAD.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST | _DUMP, 1, 0) + body)
        while True:
            data, at = asking.recv(_MESSAGE_BYTES), 0
            while at + _HEAD.size <= len(data):
                length, what, *_ = _HEAD.unpack_from(data, at)
                if what == _DONE:
                    return
                if what == _ERROR or length < _HEAD.size + _TOLD.size:
                    raise OSError("the kernel does not tell who listens")
                own, port, raw, inode = _TOLD.unpack_from(data, at + _HEAD.size)
                address = _reachable(raw[:4] if own == socket.AF_INET else raw)
                yield Listener(address, int.from_bytes(port, "big"), inode)
                at += length + -length % 4


def _written(folder: str) -> Iterator[Listener]:
    """The same from files."""
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(folder, name).read_text().splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != _LISTEN:
                continue
            words, _, port = fields[1].partition(":")
            parts = (words[at : at + 8] for at in range(0, len(words), 8))
            raw = b"".join(int(part, 16).to_bytes(4, "little") for part in parts)
            yield Listener(_reachable(raw), int(port, 16), int(fields[9]))


def _reachable(raw: bytes) -> str:
    """The address in dots or colons; every address of the host is asked on loopback."""
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
