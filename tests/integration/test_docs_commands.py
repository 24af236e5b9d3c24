"""The commands in the documentation do what stands beneath them, on a real node.

In a page's ```console blocks the lines that begin with `$ ` are run in order, in a folder of
the page's own that holds the files of its named blocks (```yaml load.yaml). A command leaves
with 0, or with what `# exit N` behind it says. The other lines must be found in this order in
what it prints: a line is looked for anywhere in a line of output, runs of blanks are alike and
`…` stands for anything. A ```json block named with a verb has the keys that the verb prints.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.kept_cli import kept_cli
from fakes.node import Node, wait_until

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"\s+# exit (\d+)$")
_LOOKS = re.compile(r"sparkplug (agents |runs |tasks )?(describe|list)\b")
_COMMAND_S = 120.0


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, name and text of every block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(m[1], m[2].strip(), m[3]) for m in _FENCE.finditer(text)]


def runs_something(page: Path) -> bool:
    return any(kind == "console" for kind, _, _ in blocks(page))


PAGES = [
    p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if runs_something(p)
]


class Shell:
    """Runs what a page says, in a folder of the page's own."""

    def __init__(self, node: Node, folder: Path) -> None:
        self._folder = folder
        folders = (kept_cli().bin, Path(sys.executable).parent, node.env.get("PATH", ""))
        path = os.pathsep.join(map(str, folders))
        self._env = {**node.env, "PATH": path, "TERM": "xterm-256color"}

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command, its errors among its output; its exit code must be as announced."""
        announced = _EXIT.search(command)
        result = subprocess.run(
            ["bash", "-c", _EXIT.sub("", command)],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        wanted = int(announced[1]) if announced else 0
        assert result.returncode == wanted, f"$ {command}\n{result.stdout}"
        return result


def steps(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that stand beneath it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            assert found, f"output without a command: {line}"
            found[-1][1].append(line)
    return found


def compare(command: str, wanted: list[str], printed: str) -> None:
    """Every wanted line is found, in order."""
    left = [" ".join(line.split()) for line in printed.splitlines()]
    for line in wanted:
        parts = [re.escape(part) for part in re.split("…", " ".join(line.split()))]
        pattern = re.compile(".*".join(parts))
        while left and not pattern.search(left[0]):
            left.pop(0)
        assert left, f"$ {command}\nlacks: {line}\nprinted:\n{printed}"
        left.pop(0)


def printed_by(shell: Shell, command: str, wanted: list[str]) -> str:
    """What it prints. An agent has answered a moment before its state says so: one that only
    looks is given some seconds to see what is wanted.
    """
    told = shell.run(command).stdout

    def agrees() -> bool:
        nonlocal told
        try:
            compare(command, wanted, told)
        except AssertionError:
            told = shell.run(command).stdout
            return False
        return True

    if _LOOKS.match(command):
        wait_until(agrees)
    return told


def same_keys(told: Any, printed: Any, where: str) -> None:
    """The keys of the example are those of what was printed; null and `…` compare with all."""
    if isinstance(told, dict) and isinstance(printed, dict) and "…" not in told:
        assert list(told) == list(printed), where
        for key in told:
            same_keys(told[key], printed[key], f"{where}.{key}")
    elif isinstance(told, list) and isinstance(printed, list) and told and printed:
        same_keys(told[0], printed[0], f"{where}[0]")


@pytest.fixture(scope="module")
def shared() -> Iterator[Node]:
    """One node for all pages: each begins with none of another's agents."""
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    node = Node(folder / "state")
    try:
        yield node
        node.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page_node(shared: Node) -> Iterator[Node]:
    """The node, up and without agents."""
    shared.up()
    yield shared
    if shared.run_file("node.json"):
        names = shared.cli("agents", "list", "-o", "name").stdout.split()
        if names:
            shared.cli("agents", "remove", *names, "--yes")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page(page: Path, page_node: Node, tmp_path: Path) -> None:
    shell = Shell(page_node, tmp_path)
    for kind, name, text in blocks(page):
        if kind in ("python", "yaml") and name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    for kind, name, text in blocks(page):
        if kind == "console":
            for command, wanted in steps(text):
                compare(command, wanted, printed_by(shell, command, wanted))
        elif kind == "json" and name:
            printed = json.loads(shell.run(f"sparkplug {name}").stdout)
            same_keys(json.loads(text), printed, name)


def test_every_check_of_the_doctor_is_documented(page_node: Node) -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    checks = {check["name"] for check in page_node.json("doctor")}
    assert checks == set(re.findall(r"^\| `([a-z -]+)` \|", page, re.MULTILINE))


def test_a_node_in_the_foreground_leaves_its_agents_to_the_next(home: Path, tmp_path: Path) -> None:
    """What the systemd unit relies on: no parent, the daemon is killed, another adopts."""
    node = Node(home)
    command = [sys.executable, "-m", "sparkplug", "node"]
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        started.append(subprocess.Popen(command, env=node.env, stderr=subprocess.DEVNULL))
        assert wait_until(lambda: node.run_file("node.json").get("pid") == started[-1].pid)
        assert wait_until(lambda: node.run_file("node.json").get("state") == "ready")

    try:
        begin()
        node.cli("agents", "deploy", str(node.write_agent(tmp_path, "kept")))
        before = node.agent_pids()
        started[0].send_signal(signal.SIGKILL)
        started[0].wait(10)
        begin()
        assert node.agent_pids() == before != {}
        assert node.cli("prompt", "kept", "still there?").stdout == "echo: still there?\n"
        started[1].terminate()
        assert started[1].wait(20) == 0
        assert not node.processes()
    finally:
        node.close()
        for process in started:
            process.kill()
            process.wait(10)
