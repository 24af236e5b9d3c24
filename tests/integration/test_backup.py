"""A mesh into a file and out of it again; files that do not hold change nothing."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node, wait_until
from sparkplug.client import backups
from sparkplug.config import Settings
from sparkplug.schema.errors import InvalidError


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    found = Node(tmp_path / "one", {"SPARKPLUG_NODE_NAME": "one"})
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Node]:
    found = Node(tmp_path / "two", {"SPARKPLUG_NODE_NAME": "one"})
    try:
        yield found
    finally:
        found.close()


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "run/" not in str(path.relative_to(folder))
    }


def test_a_mesh_is_whole_again_on_another_state_directory(
    node: Node, other: Node, tmp_path: Path
) -> None:
    file = tmp_path / "mesh.backup"
    node.up()
    node.cli("agents", "deploy", str(node.write_agent(tmp_path / "a", "echo")))
    node.cli("mesh", "init", "--listen", "127.0.0.2", "--name", "lab")
    node.cli("memory", "add", "the spare key is under the mat")
    made = node.json("mesh", "backup", str(file))
    assert made["bytes"] == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    events = [row["id"] for row in node.json("events")]
    held = node.cli("mesh", "backup", str(file), check=False)
    assert held.returncode == 4, "it does not replace a file unasked"
    refused = node.cli("mesh", "restore", str(file), "--yes", check=False)
    assert refused.returncode == 1
    assert "a node runs" in refused.stderr
    node.cli("down")

    # Down it is as good: the store is what counts.
    node.cli("mesh", "backup", str(file), "--yes")
    whole = file.read_bytes()
    broken = tmp_path / "broken"
    for content in (
        b"",
        b"rubbish" * 1000,
        whole[: len(whole) // 2],
        whole[:-2048].rstrip(b"\0"),
        whole.replace(b'"sha256":"', b'"sha256":"0', 1),
        _flipped(whole),
    ):
        broken.write_bytes(content)
        with pytest.raises(InvalidError, match="no whole backup"):
            asyncio.run(backups.restore(other.paths, Settings(), broken))
        assert not other.home.exists()
    told = other.cli("mesh", "restore", str(broken), "--yes", check=False)
    assert told.returncode == 2, told.stderr
    assert "nothing was changed" in told.stderr
    assert other.cli("mesh", "restore", str(tmp_path / "none"), check=False).returncode == 3

    other.cli("mesh", "restore", str(file))
    other.up()
    status = other.json("status")
    assert status["mesh"] == "lab"
    assert status["url"].startswith("tls://127.0.0.2:")
    assert wait_until(lambda: other.json("agents", "list")[0]["state"] in ("ready", "idle"))
    assert other.cli("prompt", "echo", "hi").stdout.strip() == "echo: hi"
    assert [row["id"] for row in other.json("events")][: len(events)] == events
    assert other.json("memory", "search", "spare key")[0]["text"].startswith("the spare key")
    # Who holds credentials of the mesh still does.
    assert (other.paths.keys / "face.creds").read_bytes() == (
        node.paths.keys / "face.creds"
    ).read_bytes()

    other.cli("down")
    before = _tree(other.home)
    assert other.cli("mesh", "restore", str(file), check=False).returncode == 4
    other.cli("mesh", "restore", str(broken), "--yes", check=False)
    assert _tree(other.home) == before


def _flipped(data: bytes) -> bytes:
    """One bit of a stream's content changed."""
    at = data.index(b"streams/") + 1024
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
