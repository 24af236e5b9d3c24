"""Two hosts with a network between them (network namespaces), and that network cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node, wait_until

_SERVER, _OTHER = "10.77.0.1", "10.77.0.2"


def _ip(*words: str, check: bool = True) -> bool:
    result = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert not check or result.returncode == 0, f"ip {' '.join(words)}: {result.stderr}"
    return result.returncode == 0


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes, each in a namespace of its own, with a wire between."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"sp{os.getpid()}{end}" for end in "ab"]
    if not _ip("netns", "add", names[0], check=False):
        pytest.skip("network namespaces are not permitted here")
    nodes: list[Node] = []
    try:
        _ip("netns", "add", names[1])
        _ip(
            "link",
            "add",
            names[0],
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            names[1],
            "netns",
            names[1],
        )
        for name, address in zip(names, (_SERVER, _OTHER), strict=True):
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", name)
            _ip("-n", name, "link", "set", name, "up")
            node = Node(tmp_path / name, {"SPARKPLUG_NODE_NAME": f"host-{name[-1]}"})
            node.prefix = ("ip", "netns", "exec", name)
            nodes.append(node)
        yield nodes[0], nodes[1]
    finally:
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.callback(_ip, "netns", "del", name, check=False)
            for node in nodes:
                stack.callback(node.close)


@pytest.mark.root
def test_a_host_that_was_cut_off_is_whole_again_when_the_network_is(
    hosts: tuple[Node, Node], tmp_path: Path
) -> None:
    server, other = hosts
    server.up()
    server.cli("mesh", "init", "--listen", "0.0.0.0")
    assert server.json("status")["url"].startswith("tls://127.0.0.1:")
    token = server.cli("mesh", "invite").stdout.strip()
    joined = other.cli("join", token).stdout
    assert f"tls://{_SERVER}:" in joined
    spec = other.write_agent(tmp_path / "b", "echo", placement={"hosts": "host-b"})
    other.cli("agents", "deploy", str(spec))
    assert server.cli("prompt", "echo", "hi").stdout.strip() == "echo: hi"
    (pid,) = other.agent_pids().values()

    wire = server.prefix[-1]
    _ip("-n", wire, "link", "set", wire, "down")
    cut = other.cli("agents", "list", check=False)
    assert cut.returncode == 5
    assert other.run_file("node.json")["state"] in ("ready", "cut-off"), "its node runs on"
    os.kill(pid, 0)
    log = other.paths.logs / "node.log"
    # A connection that says nothing is given up: no packet came to say that it is gone.
    connections = lambda: _established(other.prefix)  # noqa: E731
    assert wait_until(lambda: not connections())

    _ip("-n", wire, "link", "set", wire, "up")
    assert wait_until(
        lambda: server.cli("prompt", "echo", "yo", check=False).stdout.strip() == "echo: yo", 30
    ), log.read_text()[-2000:]
    assert set(other.agent_pids().values()) == {pid}, "nothing was started again"


def _established(prefix: tuple[str, ...]) -> str:
    """The connections to the server that a host still believes in."""
    command = [*prefix, "ss", "-tnH", "state", "established", "dst", _SERVER]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
