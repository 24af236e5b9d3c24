"""The guard against connections to the outside guards, here and in what tests start."""

from __future__ import annotations

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


def test_loopback_is_inside(outbound: Outbound) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    assert outbound.attempts() == []
