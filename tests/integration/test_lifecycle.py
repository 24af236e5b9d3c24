"""The lifecycle on a real node: rolling, draining, cancelling, editing, undoing, waiting."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.node import Node, wait_until

DEADLINE_S = 30.0

#: `version` answers which code it runs; `slow` works until it is let go; `deaf` does not let go.
CODE = """\
import asyncio
import contextlib
import os
import time


async def handle(ctx, request):
    if request.text == "slow":
        await asyncio.sleep(float(os.environ.get("WORK", "600")))
        return "finished"
    if request.text == "deaf":
        for _ in range(200):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        return "at last"
    if request.text == "block":
        time.sleep(20)
    return os.environ.get("VERSION", "none")
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="sp-"))
    running = Node(folder / "state")
    try:
        running.up()
        yield running
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


def replicas(node: Node, name: str) -> list[dict[str, object]]:
    return [row for row in node.json("agents", "list") if row["name"] == name]


def prompting(node: Node, name: str, text: str) -> subprocess.Popen[str]:
    """A prompt under way, once its agent works on it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sparkplug", "prompt", name, text],
        env=node.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert wait_until(lambda: any(row["inflight"] for row in replicas(node, name)), DEADLINE_S)
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def rollouts(node: Node, name: str) -> list[tuple[str, int]]:
    found = node.json("events", "agent:rollout", "--since", "1h")
    return [(e["data"]["state"], e["data"]["generation"]) for e in found if e["subject"] == name]


def test_a_change_rolls_stops_where_it_fails_and_is_undone(node: Node, tmp_path: Path) -> None:
    path = node.write_agent(tmp_path, "roll", CODE, replicas=3, env={"VERSION": "1"})
    node.cli("apply", str(path))
    first = {row["replica"]: row["pid"] for row in replicas(node, "roll")}
    node.write_agent(tmp_path, "roll", CODE, replicas=3, env={"VERSION": "2"})
    told = node.cli("apply", str(path), "--reason", "version 2").stdout
    assert told == "roll: changed\n"
    second = {row["replica"]: row["pid"] for row in replicas(node, "roll")}
    assert not set(first.values()) & set(second.values())
    starts = [
        (e["name"], e["subject"])
        for e in node.json("events", "agent:(started|ready|stopped) +roll/")
    ][-6:]
    # The next begins only when the one before is ready.
    for ready, started in zip(starts[1::2], starts[2::2], strict=False):
        assert (ready[0], started[0]) == ("agent:ready", "agent:started"), starts
    assert wait_until(lambda: rollouts(node, "roll") == [("began", 2), ("finished", 2)])
    node.write_agent(tmp_path, "roll", CODE + "\n1 / 0\n", replicas=3, env={"VERSION": "3"})
    broken = node.cli("apply", str(path), check=False)
    assert broken.returncode == 1
    assert "ZeroDivisionError" in broken.stderr
    assert wait_until(lambda: ("stopped", 3) in rollouts(node, "roll"))
    states = {row["replica"]: row["state"] for row in replicas(node, "roll")}
    assert states == {"0": "error", "1": "idle", "2": "idle"}
    assert "stopped: roll/0 failed" in node.cli("agents", "describe", "roll").stdout
    # A replica of the old generation that dies comes back as what it was.
    old = next(int(str(row["pid"])) for row in replicas(node, "roll") if row["replica"] == "1")
    (tmp_path / "roll_module.py").write_text(CODE)
    os.kill(old, 9)
    assert wait_until(
        lambda: (
            [r["state"] for r in replicas(node, "roll") if r["pid"] not in (None, old)]
            == ["idle", "idle"]
        ),
        DEADLINE_S,
    )
    assert node.cli("prompt", "roll", "x", "--replica", "1").stdout == "2\n"
    refused = node.cli("agents", "undo", "roll", check=False)
    assert refused.returncode == 4
    assert "-  VERSION: '3'" in refused.stderr
    node.cli("agents", "undo", "roll", "--yes", "--reason", "it was broken")
    for replica in "012":
        assert node.cli("prompt", "roll", "x", "--replica", replica).stdout == "2\n"
    history = node.cli("agents", "history", "roll").stdout
    assert "it was broken" in history
    assert "version 2" in history
    changed = [e for e in node.json("events", "agent:changed") if e["subject"] == "roll"]
    assert changed[-1]["data"]["reason"] == "it was broken"
    node.cli("agents", "remove", "roll", "--now", "--yes")


def test_what_an_agent_does_is_cancelled_and_its_caller_told(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "worker", CODE, replicas=2)))
    assert node.cli("agents", "cancel", "worker", "--yes").stdout.endswith("works on nothing\n")
    asked = prompting(node, "worker", "slow")
    told = node.cli("agents", "cancel", "worker", "--dry-run").stdout
    request = told.split()[2]
    assert (
        node.cli("agents", "cancel", "worker", "--request", "none", "--yes", check=False).returncode
        == 3
    )
    described = node.json("agents", "describe", "worker")["requests"]
    assert [one["id"] for one in described] == [request]
    done = node.json("agents", "cancel", "worker", "--request", request, "--reason", "why", "--yes")
    assert done[0]["cancelled"][0]["requests"] == [request]
    code, _, err = ended(asked)
    assert code == 1
    assert "cancelled by " in err
    assert "why" in err
    assert wait_until(lambda: [r["state"] for r in replicas(node, "worker")] == ["idle"] * 2)
    first, second = prompting(node, "worker", "slow"), prompting(node, "worker", "slow")
    assert wait_until(lambda: [r["inflight"] for r in replicas(node, "worker")] == [1, 1])
    unclear = node.cli("agents", "cancel", "worker", "--yes", check=False)
    assert unclear.returncode == 1
    assert "worker/0, worker/1" in unclear.stderr
    node.cli("agents", "cancel", "worker/0", "--yes")
    assert wait_until(lambda: [r["inflight"] for r in replicas(node, "worker")] == [0, 1])
    node.cli("agents", "cancel", "worker", "--all", "--yes")
    assert {ended(first)[0], ended(second)[0]} == {1}
    events = node.json("events", "agent:cancelled")
    assert [e["subject"] for e in events][-2:] == ["worker/0", "worker/1"]


def test_a_step_of_a_plan_that_is_cancelled_is_not_tried_again(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "stepper", CODE)))
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: slow\nsteps:\n"
        "  - {id: one, agent: stepper, prompt: slow, retry: {max: 3}, timeout: 2m}\n"
    )
    run = node.cli("run", str(plan), "--detach").stdout.strip()
    assert wait_until(lambda: any(row["inflight"] for row in replicas(node, "stepper")))
    node.cli("agents", "cancel", "stepper", "--yes", "--reason", "not today")
    waited = node.cli("wait", f"run/{run}", "--for", "succeeded", check=False)
    assert waited.returncode == 1
    assert "failed" in waited.stderr
    assert node.cli("wait", f"run/{run}", "--for", "failed").returncode == 0
    (step,) = node.json("runs", "describe", run)["steps"]
    assert step["attempts"] == 1
    assert "cancelled by" in step["error"]
    assert "not today" in step["error"]


@pytest.mark.parametrize("text", ["deaf", "block"])
def test_code_that_does_not_yield_is_told(node: Node, tmp_path: Path, text: str) -> None:
    name = f"held-{text}"
    path = node.write_agent(tmp_path, name, CODE, health={"timeout": "60s"})
    node.cli("agents", "deploy", str(path))
    asked = prompting(node, name, text) if text == "deaf" else None
    if asked is None:
        asked = subprocess.Popen(
            [sys.executable, "-m", "sparkplug", "prompt", name, text],
            env=node.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert wait_until(
            lambda: "does not yield" in node.cli("agents", "cancel", name, "--dry-run").stdout,
            DEADLINE_S,
        )
    result = node.cli("agents", "cancel", name, "--yes", check=False)
    assert result.returncode == 1
    assert "it did not stop within 5 s" in result.stderr
    assert f"agents restart {name}" in result.stderr
    node.cli("agents", "remove", name, "--now", "--yes")
    assert ended(asked)[0] == 1


def test_stopping_lets_it_finish_or_not_as_asked(node: Node, tmp_path: Path) -> None:
    path = node.write_agent(tmp_path, "drained", CODE, env={"WORK": "600"})
    node.cli("agents", "deploy", str(path))
    asked = prompting(node, "drained", "slow")
    node.cli("agents", "stop", "drained", "--drain", "10m", "--no-wait", "--yes")
    assert wait_until(lambda: replicas(node, "drained")[0]["state"] == "stopping", DEADLINE_S)
    late = node.cli("prompt", "drained", "more", check=False)
    assert "takes no prompts now, it is stopping" in late.stderr
    # It would be given ten minutes; asked again, it is given none.
    node.cli("agents", "stop", "drained", "--now", "--yes")
    code, _, err = ended(asked)
    assert code == 1
    assert "the agent was stopped" in err
    assert replicas(node, "drained")[0]["state"] == "stopped"
    node.write_agent(tmp_path, "drained", CODE, env={"WORK": "1"})
    node.cli("apply", str(path))
    asked = prompting(node, "drained", "slow")
    node.cli("agents", "stop", "drained", "--drain", "1m", "--yes")
    assert ended(asked)[:2] == (0, "finished\n")
    node.cli("agents", "start", "drained")
    asked = prompting(node, "drained", "slow")
    # Wanted again while it finishes: it ends, and another begins.
    node.cli("agents", "stop", "drained", "--no-wait", "--yes")
    node.cli("agents", "start", "drained")
    assert ended(asked)[:2] == (0, "finished\n")
    node.cli("wait", "agent/drained", "--for", "idle")


def test_edit_diff_and_wait_from_scripts(node: Node, tmp_path: Path) -> None:
    path = node.write_agent(tmp_path, "plain", CODE)
    node.cli("agents", "deploy", str(path))
    assert node.cli("agents", "diff", "plain").stdout == ""
    text = path.read_text()
    file = tmp_path / "edited.yaml"
    file.write_text(text + "env: {VERSION: edited}\n")
    result = node.cli("agents", "diff", str(file), check=False)
    assert result.returncode == 1
    assert "+env:" in result.stdout
    assert (
        "+  VERSION: edited"
        in node.cli("agents", "edit", "plain", "--file", str(file), "--dry-run").stdout
    )
    refused = node.cli("agents", "edit", "plain", "--file", str(file), check=False)
    assert refused.returncode == 4
    node.cli("agents", "edit", "plain", "--file", str(file), "--yes")
    assert node.cli("prompt", "plain", "x").stdout == "edited\n"
    file.write_text(text + "concurrency: none\n")
    result = node.cli("agents", "edit", "plain", "--file", str(file), "--yes", check=False)
    assert result.returncode == 2
    assert f"{file}:3:14" in result.stderr
    assert node.cli("agents", "edit", "plain", check=False).returncode == 2  # no terminal
    late = node.cli("wait", "agent/plain", "--for", "gone", "--timeout", "300ms", check=False)
    assert late.returncode == 124
    assert node.cli("wait", f"host/{node.json('hosts')[0]['name']}").returncode == 0
    node.cli("agents", "remove", "plain", "--yes")
    node.cli("wait", "agent/plain", "--for", "gone")
    node.cli("agents", "undo", "plain", "--yes")
    assert node.cli("prompt", "plain", "x").stdout == "edited\n"


def test_a_folder_is_pruned_only_when_it_is_agreed(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "team"
    for name in ("left", "right"):
        node.write_agent(folder, name, CODE, labels={"team": "t"})
    assert node.cli("apply", str(folder)).stdout == "left: created\nright: created\n"
    (folder / "right.yaml").unlink()
    prune = ("apply", str(folder), "--prune", "-l", "team=t")
    assert node.cli(*prune, "--dry-run").stdout == (
        "left: would be unchanged\nright: would be removed\n"
    )
    assert node.cli(*prune, check=False).returncode == 4
    assert len(replicas(node, "right")) == 1
    assert node.cli(*prune, "--yes").stdout == "left: unchanged\nright: removed\n"
    assert wait_until(lambda: not replicas(node, "right"))
    assert node.cli("apply", str(folder), "--prune", check=False).returncode == 2


def on_terminal(node: Node, words: list[str], answers: list[tuple[str, str]], **env: str) -> str:
    """Run a verb on a terminal of its own, answering what it asks; all it printed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "sparkplug", *words], {**node.env, **env})
    seen, left, ends = "", list(answers), time.monotonic() + DEADLINE_S
    with contextlib.suppress(OSError):
        while time.monotonic() < ends:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096).decode()
            if left and left[0][0] in seen:
                os.write(terminal, left.pop(0)[1].encode())
    os.close(terminal)
    os.waitpid(pid, 0)
    return seen


def test_the_editor_opens_again_with_what_is_wrong(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "edited", CODE)))
    seen = tmp_path / "seen"
    # First a value that does not hold; once that is told above the text, one that does.
    script = tmp_path / "editor.sh"
    script.write_text(
        f'#!/bin/sh\ncat "$1" >> {seen}; echo ==== >> {seen}\n'
        'if grep -q "^concurrency: many" "$1"; then sed -i "s/^concurrency: many/concurrency: 3/" '
        '"$1"; else echo "concurrency: many" >> "$1"; fi\n'
    )
    script.chmod(0o755)
    told = on_terminal(
        node,
        ["agents", "edit", "edited", "--reason", "fewer"],
        [("Do it? [y/N]", "y\n")],
        VISUAL=str(script),
    )
    assert "+concurrency: 3" in told
    assert "edited: changed" in told
    opened = seen.read_text().split("====\n")
    head = [line for line in opened[1].splitlines() if line.startswith("#")]
    place = next(line for line in head if "edited.yaml:" in line).split("edited.yaml:")[1]
    row, column = (int(part) for part in place.split(":")[:2])
    assert opened[1].splitlines()[row - 1][column - 1 :] == "many"
    wanted = node.json("agents", "describe", "edited")["desired"]
    assert (wanted["spec"]["concurrency"], wanted["reason"]) == (3, "fewer")
    told = on_terminal(
        node, ["agents", "edit", "edited"], [("Do it? [y/N]", "n\n")], VISUAL="sed -i 3s/3/4/;"
    )
    assert json.dumps(node.json("agents", "describe", "edited")["desired"]) == json.dumps(wanted)
