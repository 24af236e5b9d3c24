"""A node on a NATS server that somebody else runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node, wait_until
from sparkplug.bus.binary import find_server


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """The URL of a stock server without any authentication."""
    ports = tmp_path / "ports"
    ports.mkdir()
    with subprocess.Popen(
        [
            str(find_server().path),
            "--addr",
            "127.0.0.1",
            "--port",
            "-1",
            "--jetstream",
            "--store_dir",
            str(tmp_path / "store"),
            "--ports_file_dir",
            str(ports),
        ],
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            assert wait_until(lambda: any(ports.iterdir()))
            (listed,) = ports.iterdir()
            assert wait_until(lambda: "nats://" in listed.read_text())
            port = listed.read_text().split("nats://127.0.0.1:")[1].split('"')[0]
            yield f"nats://127.0.0.1:{port}"
        finally:
            server.kill()


def test_agents_run_on_an_open_server_and_down_leaves_it_alone(
    home: Path, tmp_path: Path, stranger: str
) -> None:
    node = Node(home, {"SPARKPLUG_NATS_URL": stranger})
    try:
        node.up()
        status = node.json("status")
        assert status["url"] == stranger
        assert status["nats"]["owned"] is False
        node.cli("agents", "deploy", str(node.write_agent(tmp_path / "a", "echo")))
        assert node.cli("prompt", "echo", "hi").stdout.strip() == "echo: hi"
    finally:
        node.close()
    other = Node(tmp_path / "other", {"SPARKPLUG_URL": stranger})
    assert other.json("hosts")[0]["state"] == "stopped"
