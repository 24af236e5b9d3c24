"""A short round of what `make chaos` does for longer: every part killed, the mesh whole again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from chaos.kills import PARTS, Arena
from fakes.node import Node, wait_until


@pytest.fixture
def node(shared_node: Node) -> Node:
    """One node for all of these: each begins with none of another's agents."""
    return shared_node


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_the_mesh_is_whole_again_after_a_kill(node: Node, tmp_path: Path, part: str) -> None:
    arena = Arena(node)
    arena.begin(tmp_path)
    for _ in range(2):
        arena.kill(part)
    assert arena.orphans(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", ["nats-server", "daemon", "agent"])
def test_a_run_in_progress_ends_with_a_true_outcome(node: Node, tmp_path: Path, part: str) -> None:
    code = textwrap.dedent("""
        import asyncio
        import pathlib

        HERE = pathlib.Path(__file__).parent


        async def handle(ctx, request):
            with open(HERE / "attempts", "a") as file:
                file.write(f"{ctx.key} {ctx.attempt}\\n")
            while not (HERE / "go").exists():
                await asyncio.sleep(0.02)
            return {"done": True}
    """)
    path = node.write_agent(tmp_path / "a", "worker", code, restart={"max": 0, "backoff": "100ms"})
    node.cli("agents", "deploy", str(path))
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: slow\ntimeout: 60s\nsteps:\n"
        "  - {id: first, agent: worker, action: work}\n"
        "  - {id: second, agent: worker, action: work, depends_on: [first]}\n"
    )
    run = node.cli("run", str(plan), "--detach").stdout.split()[-1]
    attempts = tmp_path / "a" / "attempts"
    assert wait_until(attempts.exists)
    arena = Arena(node, agents=("worker",))
    os.kill(arena.pid_of(part), signal.SIGKILL)
    (tmp_path / "a" / "go").touch()

    def ended() -> bool:
        shown = node.cli("runs", "describe", run, "--json", check=False)
        return shown.returncode == 0 and json.loads(shown.stdout)["state"] in ("done", "failed")

    assert wait_until(ended)
    view = node.json("runs", "describe", run)
    assert view["state"] == "done", view
    assert [step["state"] for step in view["steps"]] == ["done", "done"]
    keys = [line.split()[0] for line in attempts.read_text().splitlines()]
    assert sorted(set(keys)) == [f"{run}/first", f"{run}/second"]
    assert keys.count(f"{run}/second") == 1, "a step after the kill ran once"


@pytest.mark.slow
def test_a_killed_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SPARKPLUG_")}

    def processes() -> list[int]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(str(tmp_path) in word for word in process.info["cmdline"] or ()):
                found.append(process.pid)
        return found

    with subprocess.Popen(
        [sys.executable, "-m", "sparkplug", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ | {"TMPDIR": str(tmp_path)},
    ) as demo:
        assert wait_until(lambda: len(processes()) >= 3), "parent, daemon and nats-server"
        demo.kill()
    assert wait_until(lambda: not processes())
