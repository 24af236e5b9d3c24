"""Who listens, as the kernel tells it and as its files do."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from sparkplug.telemetry.inference import listeners
from sparkplug.telemetry.inference.listeners import Listener, listening

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"


@contextlib.contextmanager
def listener(family: int, address: str) -> Iterator[int]:
    with socket.socket(family) as one:
        one.bind((address, 0))
        one.listen()
        yield one.getsockname()[1]


def _six() -> bool:
    try:
        with listener(socket.AF_INET6, "::1"):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("folder", [None, "/proc/net"])
def test_addresses_are_those_to_reach_them_at(folder: str | None) -> None:
    with listener(socket.AF_INET, LOOPBACK) as own, listener(socket.AF_INET, EVERYWHERE) as all_:
        found = {one.port: one.url for one in listening(folder)}
    assert found[own] == f"http://127.0.0.1:{own}"
    assert found[all_] == f"http://127.0.0.1:{all_}"


@pytest.mark.skipif(not _six(), reason="this host has no IPv6")
@pytest.mark.parametrize("folder", [None, "/proc/net"])
def test_those_of_ipv6_too(folder: str | None) -> None:
    with listener(socket.AF_INET6, "::1") as own, listener(socket.AF_INET6, "::") as all_:
        found = {one.port: one.url for one in listening(folder)}
    assert found[own] == f"http://[::1]:{own}"
    assert found[all_] == f"http://127.0.0.1:{all_}"


def test_both_ways_tell_the_same_sockets() -> None:
    with contextlib.ExitStack() as opened:
        ports = {
            opened.enter_context(listener(socket.AF_INET, address))
            for address in (LOOPBACK, EVERYWHERE)
        }

        def ours(found: list[Listener]) -> set[Listener]:
            return {one for one in found if one.port in ports}

        assert len(ours(listening())) == 2
        assert ours(listening()) == ours(listening("/proc/net"))


def test_where_the_kernel_may_not_be_asked_its_files_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listener(socket.AF_INET, LOOPBACK) as port:
        monkeypatch.setattr(listeners, "_NETLINK_SOCK_DIAG", 31)  # a family there is not
        assert port in {one.port for one in listening()}
        with pytest.raises(OSError):
            list(listeners._told(socket.AF_INET))


def test_where_it_answers_with_an_error_its_files_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listener(socket.AF_INET, LOOPBACK) as port:
        monkeypatch.setattr(listeners, "_SOCK_DIAG_BY_FAMILY", 4711)  # a question it knows not
        assert port in {one.port for one in listening()}
        with pytest.raises(OSError):
            list(listeners._told(socket.AF_INET))
