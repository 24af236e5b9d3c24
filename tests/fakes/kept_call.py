"""A call of the kept command line: the caller's words, environment, folder and descriptors.

Imports little, for it is also what stands on a PATH as `sparkplug` (see `kept_cli`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence

#: How long what follows is; then of an answer, a pid or an exit code.
NUMBER = struct.Struct("!i")


def read(connection: socket.socket, size: int) -> bytes:
    """Just that many bytes. Raises EOFError when the other side has left."""
    found = b""
    while len(found) < size:
        more = connection.recv(size - len(found))
        if not more:
            raise EOFError("the kept command line is gone")
        found += more
    return found


def ask(
    path: str,
    words: Sequence[str],
    env: Mapping[str, str],
    descriptors: Sequence[int],
    *,
    timeout: float | None = None,
    began: Callable[[int], object] = lambda pid: None,
) -> int:
    """Run a verb to its end; its exit code, negative for the signal that ended it.

    `began` is told the pid. Raises TimeoutError after `timeout` seconds; the verb is killed then.
    """
    # pathlib takes longer to import than all of this.
    folder = os.getcwd()  # noqa: PTH109
    text = json.dumps({"words": list(words), "env": dict(env), "cwd": folder}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        socket.send_fds(connection, [NUMBER.pack(len(text))], list(descriptors))
        connection.sendall(text)
        began(NUMBER.unpack(read(connection, NUMBER.size))[0])
        code: int = NUMBER.unpack(read(connection, NUMBER.size))[0]
        return code


def main(path: str) -> int:
    """What `sparkplug` is on the PATH: signals go to the call, and it ends as the call does."""

    def began(pid: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(pid, number))

    code = ask(path, sys.argv[1:], os.environ, [0, 1, 2], began=began)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code
