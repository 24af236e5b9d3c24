"""Where other hosts of the mesh reach what listens here: this host's address towards the mesh.

A server on loopback alone is reached from nowhere else. Sources: proc_net(5) for addresses
that are listened on; the address a socket to the mesh's server would have (nothing is sent).
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from urllib.parse import urlsplit

_LISTEN = "0A"


def own_address(nats_url: str, advertised: str) -> str:
    """This host's address for others, empty when it is known to itself alone.

    `nats_url` is the mesh's server as this node reaches it; on the server's own host that is
    loopback, and `advertised` (nats.advertise, or nats.listen) says what others reach.
    """
    server = urlsplit(nats_url.split(",")[0])
    host, port = server.hostname or "", server.port or 4222
    if not _is_loopback(host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((host, port))
                return str(probe.getsockname()[0])
            except OSError:
                return ""
    for word in advertised.split(","):
        named = urlsplit(f"//{word.strip()}").hostname or ""
        if named and not _is_loopback(named) and named not in ("0.0.0.0", "::"):  # noqa: S104
            return named
    return ""


def open_ports(folder: str = "/proc/net") -> frozenset[int]:
    """TCP ports of this host that are listened on at every address of it."""
    found: set[int] = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(folder, name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                if not address.strip("0"):
                    found.add(int(port, 16))
    return frozenset(found)


def reached_at(url: str, address: str, open_to_all: frozenset[int]) -> str | None:
    """The URL others reach a server of this host at; None for one that is this host's alone."""
    parts = urlsplit(url)
    port = parts.port or 80
    if not _is_loopback(parts.hostname or ""):
        return url
    if not address or port not in open_to_all:
        return None
    shown = f"[{address}]" if ":" in address else address
    return f"{parts.scheme}://{shown}:{port}{parts.path}"


def _is_loopback(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
