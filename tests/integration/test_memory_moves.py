"""The memory goes from one real host to another and back, with all that belongs to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.node import Node, wait_until

_ADDRESS = "127.0.0.2"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes of one mesh: the first has its server, and the memory."""
    alpha, beta = (Node(tmp_path / n, {"SPARKPLUG_NODE_NAME": n}) for n in ("a", "b"))
    try:
        alpha.up()
        alpha.cli("mesh", "init", "--listen", _ADDRESS, "--name", "lab")
        beta.cli("join", alpha.cli("mesh", "invite").stdout.strip())
        yield alpha, beta
    finally:
        beta.close()
        alpha.close()


def _process(node: Node) -> psutil.Process | None:
    found = [p for p in node.processes() if "sparkplug.memory" in p.cmdline()]
    return found[0] if found else None


def _lines(node: Node, path: Path) -> list[str]:
    node.cli("memory", "export", str(path))
    return sorted(path.read_text().splitlines())


def _kept_on(node: Node) -> Any:
    return node.cli("memory", "stats", check=False).stdout.split("\n")[0].removeprefix("kept on")


def test_it_moves_whole_and_back(hosts: tuple[Node, Node], tmp_path: Path) -> None:
    alpha, beta = hosts
    known = [
        alpha.remember(f"the {thing} is in the cellar", "--scope", "group:home")
        for thing in ("ladder", "lantern", "barrel")
    ]
    alpha.cli("memory", "edit", known[0], "--text", "the ladder is in the attic")
    alpha.cli("memory", "delete", known[1], "--yes")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "one.md").write_text("The cellar has three doors\n")
    alpha.cli("memory", "ingest", str(docs))
    before = _lines(alpha, tmp_path / "before.jsonl")
    assert len(before) == 4 and _kept_on(alpha).strip() == "a"

    assert alpha.cli("memory", "move", "a", "--yes", check=False).returncode == 2
    assert alpha.cli("memory", "move", "nobody", "--yes", check=False).returncode == 3
    moved = alpha.json("memory", "move", "b", "--yes")
    assert moved == {"host": "b", "items": 4, "folders": [str(docs)]}
    # What is said on the way is stored where it goes.
    alpha.cli("memory", "add", "said on the way", "--scope", "group:home")
    assert wait_until(lambda: _kept_on(alpha).strip() == "b", 60)
    assert wait_until(lambda: _process(alpha) is None, 30)
    assert _process(beta) is not None
    after = _lines(alpha, tmp_path / "after.jsonl")
    assert [line for line in after if "said on the way" not in line] == before
    assert any("said on the way" in line for line in after)
    # The folder is one of the host it was on, though here the other has a folder of that name.
    (docs / "two.md").write_text("The attic has one window\n")
    told = beta.cli("memory", "stats").stdout
    assert f"{docs} (mesh): 1 files, of host a: kept as it was read, not watched from b" in told
    alpha.cli("memory", "undo", known[1])
    found = beta.json("memory", "search", "where is the ladder")
    assert found[0]["id"] == known[0] and found[0]["text"] == "the ladder is in the attic"
    assert list(alpha.home.glob("memory.moved-*")) and not (alpha.home / "memory").exists()

    # Killed as it arrives, it is all there when it comes up again.
    alpha.cli("memory", "move", "a", "--yes")
    assert wait_until(lambda: _process(alpha) is not None, 60)
    arrived = _process(alpha)
    assert arrived is not None
    os.kill(arrived.pid, signal.SIGKILL)
    assert wait_until(lambda: _kept_on(beta).strip() == "a", 60)
    assert wait_until(lambda: len(_lines(beta, tmp_path / "back.jsonl")) == 6, 60)
    assert f"{docs} (mesh): 2 files, watched" in beta.cli("memory", "stats").stdout
    texts = {row["text"] for row in beta.json("memory", "list", "--scope", "group:home")}
    assert texts == {
        "the ladder is in the attic",
        "the lantern is in the cellar",
        "the barrel is in the cellar",
        "said on the way",
    }
