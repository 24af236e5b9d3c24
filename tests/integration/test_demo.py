"""The demo mesh, which is the main job: a true brief, and faults that are planted are named."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fakes.node import wait_until

_LIMIT = 64 << 20
_HELD = 59 << 20


def demo(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the demo without a terminal; `folder` is where it puts its state directory."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SPARKPLUG_")}
    return subprocess.run(
        [sys.executable, "-m", "sparkplug", "demo", *words],
        env=environ | ({"TMPDIR": str(folder)} if folder else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.slow
def test_without_a_terminal_it_prints_a_true_brief_and_leaves_nothing(tmp_path: Path) -> None:
    result = demo(folder=tmp_path)
    assert result.returncode == 0, result.stderr
    brief = result.stdout
    assert brief.startswith("# Host brief: ")
    assert re.search(r"Checked: all \d+ figures agree with the telemetry", brief)
    total = psutil.virtual_memory().total / (1 << 30)
    assert f"| memory total | {total:.1f}".removesuffix(".0") in brief
    assert "XID" not in brief
    assert "gpu.throttled" not in brief
    left = [
        process.info
        for process in psutil.process_iter(["pid", "cmdline"])
        if any(str(tmp_path) in word for word in process.info["cmdline"] or ())
    ]
    assert left == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_terminal_that_is_closed_leaves_nothing(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SPARKPLUG_")}
    environ |= {"TMPDIR": str(tmp_path), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "sparkplug", "demo"], environ)
    shown = b""
    # What it draws names the panes, once it is the control centre.
    while b"overview" not in shown:
        assert select.select([terminal], [], [], 60)[0], shown[-500:]
        shown += os.read(terminal, 65536)
    os.close(terminal)
    process = psutil.Process(pid)
    assert wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 60)
    os.waitpid(pid, 0)
    assert wait_until(lambda: list(tmp_path.iterdir()) == [], 60), list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_planted_gpu_fault_is_named_and_the_screen_says_simulated() -> None:
    result = demo("--scenario", "throttle-xid79")
    assert result.returncode == 0, result.stderr
    assert "XID 79" in result.stdout
    assert "GPU 0 is throttled (hardware slowdown, hardware thermal slowdown)" in result.stdout
    assert "GPU 1" in result.stdout
    assert "SIMULATED" in result.stdout
    assert "GPU 2 is" not in result.stdout


@pytest.mark.slow
def test_healthy_gpus_are_not_accused() -> None:
    result = demo("--scenario", "healthy")
    assert result.returncode == 0, result.stderr
    assert "GPU 0: NVIDIA H100" in result.stdout
    assert "`gpu." not in result.stdout
    assert "XID" not in result.stdout


def test_an_unknown_scenario_names_those_there_are() -> None:
    result = demo("--scenario", "nope")
    assert result.returncode == 3
    assert "eight-gpus" in result.stderr


@contextmanager
def full_control_group() -> Iterator[str]:
    """A control group with most of its memory held by a process; skips where none can be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make a control group")
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = root / f"sparkplug-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(_LIMIT))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        break
    else:
        pytest.skip("no memory controller can be used here")
    hold = f"held = bytearray(b'x') * {_HELD}; print('held', flush=True); input()"
    # It enters the group before it holds anything, so that the group is charged for it.
    enter = f'echo $$ > {group}/cgroup.procs && exec {sys.executable} -c "{hold}"'
    with subprocess.Popen(
        ["/bin/sh", "-c", enter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline().strip() == "held"
            yield f"/{group.name}"
        finally:
            holder.kill()
    wait_until(lambda: not (group / "cgroup.procs").read_text().strip())
    group.rmdir()


@pytest.mark.slow
@pytest.mark.root
def test_a_control_group_at_its_limit_is_named() -> None:
    with full_control_group() as name:
        result = demo()
    assert result.returncode == 0, result.stderr
    assert "memory.control-group" in result.stdout
    assert name in result.stdout
    after = demo()
    assert name not in after.stdout


@pytest.mark.slow
def test_the_conversation_shows_in_the_topology(tmp_path: Path) -> None:
    from fakes.node import Node

    agents = Path(__file__).resolve().parents[2] / "config" / "agents"
    node = Node(tmp_path / "s")
    node.up()
    try:
        node.cli("apply", str(agents))
        output = node.cli("run", "host-brief", "--input", "seconds=1").stdout
        assert output.startswith("# Host brief: ")
        edges = {(e["from"], e["to"]): e for e in node.json("topology")["edges"]}
        assert {("planner", "sentinel"), ("planner", "scribe"), ("planner", "critic")} <= set(edges)
        assert all(edge["errors"] == 0 for edge in edges.values())
        (run,) = node.json("runs", "list")
        view = node.json("runs", "describe", run["id"])
        assert [s["state"] for s in view["steps"]] == ["done"] * 3
        names = [e["name"] for e in node.json("events")]
        assert names.index("plan:accepted") < names.index("plan:completed")
        assert json.dumps(view)
    finally:
        node.close()
