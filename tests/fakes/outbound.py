"""Connections to the outside are refused in tests; an attempt fails the test that made it.

In this process by an audit hook, and in every Python process the tests start by a
`sitecustomize` that PYTHONPATH brings in. What is given `environ()` is refused by libc as well:
so are libraries in other languages, like Chroma's. Loopback and private addresses (those of
network namespaces that tests make) are inside.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_HOOK = """\
import ipaddress, os, socket, sys

_FILE = {file!r}
_OWN = {{"", "localhost", socket.gethostname()}}


def _outside(host):
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if not isinstance(host, str) or host in _OWN:
        return False
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".invalid", ".test"))
    return address.is_global


def _hook(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        host = address[0] if isinstance(address, tuple) and address else ""
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if _outside(host):
        line = f"{{os.getpid()}} {{' '.join(sys.orig_argv)[:200]}}: {{event}} {{host}}\\n"
        with open(_FILE, "a") as file:
            file.write(line)
        raise ConnectionRefusedError(f"tests connect to nothing outside: {{host}}")


sys.addaudithook(_hook)
"""


class Outbound:
    """The guard: `refuse` sets it up, `attempts` tells what was tried since it was asked last."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "attempts"
        self._file.touch()
        self._folder = folder
        self._read = 0

    def refuse(self) -> None:
        """Refuse from now on, here and in what is started."""
        text = _HOOK.format(file=str(self._file))
        (self._folder / "sitecustomize.py").write_text(text)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(self._folder), *([before] if before else [])]
        )
        exec(compile(text, str(self._folder / "sitecustomize.py"), "exec"), {})
        assert sys.flags.isolated == 0

    def environ(self) -> dict[str, str]:
        """What makes the libc of a process, and of all it starts, refuse: for its environment."""
        library = self._folder / "outbound_guard.so"
        if not library.exists():
            source = Path(__file__).with_name("outbound_guard.c")
            made = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
            subprocess.run(made, check=True, capture_output=True)
        return {"LD_PRELOAD": str(library), "SP_OUTBOUND_FILE": str(self._file)}

    def attempts(self) -> list[str]:
        """What was tried since the last time."""
        lines = self._file.read_text().splitlines()
        found, self._read = lines[self._read :], len(lines)
        return found
