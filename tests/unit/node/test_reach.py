"""Where other hosts reach a server of models that listens here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.node.reach import open_ports, own_address, reached_at

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"


def test_ports_that_are_open_at_every_address(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(
        f"{HEAD}   0: 00000000:1F40 00000000:0000 0A 0\n"
        "   1: 0100007F:1F41 00000000:0000 0A 0\n"
        "   2: 00000000:1F42 0100007F:0001 01 0\n"
    )
    (tmp_path / "tcp6").write_text(
        f"{HEAD}   0: 00000000000000000000000000000000:2CAA 0:0000 0A 0\n"
    )
    assert open_ports(str(tmp_path)) == {8000, 11434}
    assert open_ports(str(tmp_path / "none")) == frozenset()


@pytest.mark.parametrize(
    ("url", "advertised", "address"),
    [
        ("nats://127.0.0.1:4222", "", ""),
        ("nats://127.0.0.1:4222", "0.0.0.0:4222", ""),
        ("nats://localhost:4222", "10.1.2.3:4222,gpu-1", "10.1.2.3"),
        ("tls://127.0.0.1:4222", "gpu-1.lan", "gpu-1.lan"),
    ],
)
def test_the_address_others_know(url: str, advertised: str, address: str) -> None:
    assert own_address(url, advertised) == address


def test_a_server_is_reached_where_it_listens() -> None:
    open_to_all = frozenset({8000})
    here, there = "http://127.0.0.1:8000/v1", "http://10.1.2.3:8000/v1"
    assert reached_at(here, "10.1.2.3", open_to_all) == there
    assert reached_at(here, "fd00::1", open_to_all) == "http://[fd00::1]:8000/v1"
    assert reached_at(here, "", open_to_all) is None
    assert reached_at("http://127.0.0.1:9000/v1", "10.1.2.3", open_to_all) is None
    assert reached_at(there, "", open_to_all) == there
