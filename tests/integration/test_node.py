"""The node: up, status, down, and what it leaves on the host."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from fakes.node import Node, wait_until


@pytest.fixture
def node(shared_node: Node) -> Node:
    """One node for those that ask a node that runs."""
    return shared_node


def test_up_is_idempotent_and_status_tells_the_truth(node: Node) -> None:
    first = node.run_file("node.json")
    node.up()
    assert node.run_file("node.json")["pid"] == first["pid"]
    status = node.json("status")
    assert status["node"]["state"] == "ready"
    assert status["node"]["pid"] == first["pid"]
    assert status["nats"]["owned"] is True
    assert status["url"].startswith("nats://127.0.0.1:")


def test_down_leaves_no_process_and_no_socket(home: Path) -> None:
    running = Node(home)
    running.up()
    pids = [process.pid for process in running.processes()]
    assert len(pids) >= 3, "parent, daemon and nats-server at least"
    port = int((running.paths.nats / "port").read_text())
    running.close()
    left = [path for path in home.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
    assert left == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert running.cli("status", check=False).returncode == 5


def test_the_port_is_chosen_once_and_kept(home: Path) -> None:
    running = Node(home)
    try:
        running.up()
        port = running.json("status")["url"]
        running.cli("down")
        running.up()
        assert running.json("status")["url"] == port
    finally:
        running.close()


def test_everything_on_disk_is_the_owners_alone(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "echo")))
    for path in [node.home, *node.home.rglob("*")]:
        mode = path.lstat().st_mode
        assert not mode & 0o077, f"{path} is {stat.filemode(mode)}"


def test_secrets_are_in_no_command_line(node: Node) -> None:
    seeds = [
        line
        for line in (node.paths.keys / "face.creds").read_text().splitlines()
        if line.startswith("SU")
    ]
    assert seeds
    for process in node.processes():
        line = " ".join(process.cmdline())
        assert not any(seed in line for seed in seeds)


@pytest.mark.root
def test_another_user_can_neither_connect_nor_read(node: Node) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become a second Unix user")
    url = node.json("status")["url"]
    port = int(url.rpartition(":")[2])
    probe = (
        "import encodings.idna, os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"home = {str(node.home)!r}\n"
        "seen = []\n"
        "for top in (home, home + '/keys', home + '/nats', home + '/logs', home + '/run'):\n"
        "    try: seen += os.listdir(top)\n"
        "    except PermissionError: pass\n"
        "for name in ('/keys/face.creds', '/keys/mesh.json', '/nats/nats.conf'):\n"
        "    try: open(home + name).read(); seen.append(name)\n"
        "    except PermissionError: pass\n"
        f"s = socket.create_connection(('127.0.0.1', {port}), 5)\n"
        "s.recv(65536)\n"
        'text = \'CONNECT {"verbose":false,"pedantic":false,"lang":"x","version":"1"}\'\n'
        "s.sendall(text.encode() + b'\\r\\nPING\\r\\n')\n"
        "answer = s.recv(65536)\n"
        "print(seen, answer)\n"
        "sys.exit(0 if not seen and b'Authorization Violation' in answer else 1)\n"
    )
    result = subprocess.run(
        [os.sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_taken_port_is_one_clear_message(home: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        running = Node(home, {"SPARKPLUG_NATS_PORT": str(port)})
        result = running.cli("up", check=False)
    assert result.returncode == 1
    assert f"port {port} is in use" in result.stderr
    assert "nats.port" in result.stderr
    assert "Traceback" not in result.stderr
    assert wait_until(lambda: not running.processes())


def test_an_old_nats_server_is_named_and_refused(home: Path, tmp_path: Path) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.9.10'\n")
    old.chmod(0o755)
    running = Node(home, {"SPARKPLUG_NATS_SERVER": str(old)})
    result = running.cli("up", check=False)
    assert result.returncode == 1
    assert "2.9.10" in result.stderr
    assert "2.11" in result.stderr
    assert wait_until(lambda: not running.processes())


def test_a_server_that_refuses_us_is_named(node: Node, tmp_path: Path) -> None:
    url = node.json("status")["url"]
    stranger = Node(tmp_path / "other", {"SPARKPLUG_URL": url})
    result = stranger.cli("status", check=False)
    assert result.returncode == 4
    assert "refuses" in result.stderr
    assert url in result.stderr


def test_a_daemon_that_cannot_even_load_says_why(home: Path, tmp_path: Path) -> None:
    (tmp_path / "synadia_ai.py").write_text("raise ImportError('half of it is missing')\n")
    running = Node(home, {"PYTHONPATH": str(tmp_path)})
    result = running.cli("up", check=False)
    assert result.returncode == 1
    assert "ImportError: half of it is missing" in result.stderr
    assert str(running.paths.logs / "node.log") in result.stderr
    assert "Traceback" not in result.stderr
    assert wait_until(lambda: not running.processes())


def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    running = Node(blocked / "state")
    result = running.cli("up", check=False)
    assert result.returncode != 0
    assert str(blocked) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.root
def test_a_full_state_directory_is_one_clear_message(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a file system here")
    with contextlib.suppress(OSError):
        (small / "filler").write_bytes(b"x" * (64 << 10))
    try:
        running = Node(small / "state")
        result = running.cli("up", check=False)
        assert result.returncode == 1, result.stderr
        assert "disk is full" in result.stderr
        assert "Traceback" not in result.stderr
        assert not running.processes()
    finally:
        subprocess.run(["umount", str(small)], check=False)
