"""The guard against connections to the outside guards, here and in what tests start."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys

import pytest

from fakes.outbound import Outbound

TRY = "import socket; socket.create_connection(('192.0.43.10', 443), timeout=1)"


def test_an_attempt_is_refused_and_told(outbound: Outbound) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("192.0.43.10", 443), timeout=1)
    with pytest.raises(ConnectionRefusedError):
        socket.getaddrinfo("example.com", 443)
    with socket.socket(type=socket.SOCK_DGRAM) as sends, pytest.raises(ConnectionRefusedError):
        sends.sendto(b"x", ("192.0.43.10", 53))
    assert len(outbound.attempts()) == 3


def test_so_it_is_in_a_process_that_a_test_starts(outbound: Outbound) -> None:
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, timeout=60)
    assert "ConnectionRefusedError: tests connect to nothing outside" in done.stderr
    (told,) = outbound.attempts()
    assert "192.0.43.10" in told


NATIVE = """
import ctypes, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
made = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
for address in ("192.0.43.10", "127.0.0.1"):
    to = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(9), socket.inet_aton(address))
    print(libc.connect(made, to, len(to)), ctypes.get_errno())
print(libc.getaddrinfo(b"example.com", None, None, ctypes.byref(ctypes.c_void_p())))
"""


def test_so_it_is_in_what_is_not_python(outbound: Outbound) -> None:
    environ = {**os.environ, **outbound.environ()}
    done = subprocess.run(
        [sys.executable, "-c", NATIVE], capture_output=True, text=True, timeout=60, env=environ
    )
    refused = str(errno.ECONNREFUSED)
    assert done.stdout.split() == ["-1", refused, "-1", refused, str(socket.EAI_NONAME)]
    told = outbound.attempts()
    assert len(told) == 2 and "connect 192.0.43.10" in told[0] and "example.com" in told[1]


def test_loopback_is_inside(outbound: Outbound) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    assert outbound.attempts() == []
