"""Agents end to end: a file, a process, a prompt, a crash, a removal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.node import Node, wait_until
from sparkplug.bus import synadia as wire
from sparkplug.client import agents as client_agents
from sparkplug.schema.errors import RefusedError


@pytest.fixture
def node(shared_node: Node) -> Node:
    """One node for all of these: each begins with none of another's agents."""
    return shared_node


def agent(node: Node, name: str, replica: str = "0") -> dict[str, object]:
    """A replica as `agents list --json` shows it."""
    rows = [r for r in node.json("agents", "list") if (r["name"], r["replica"]) == (name, replica)]
    return rows[0] if rows else {}


def test_deploy_prompt_and_remove(node: Node, tmp_path: Path) -> None:
    path = node.write_agent(tmp_path, "echo")
    node.cli("agents", "deploy", str(path))
    row = agent(node, "echo")
    assert row["state"] == "idle"
    assert row["foreign"] is False
    assert psutil.pid_exists(int(str(row["pid"])))
    assert node.cli("prompt", "echo", "hi there").stdout.strip() == "echo: hi there"
    node.cli("agents", "remove", "echo", "--yes")
    assert wait_until(lambda: not agent(node, "echo"))
    assert wait_until(lambda: not psutil.pid_exists(int(str(row["pid"]))))
    assert node.cli("prompt", "echo", "hi", check=False).returncode == 3


def test_one_agent_asks_another_and_topology_shows_it(node: Node, tmp_path: Path) -> None:
    code = textwrap.dedent("""
        async def handle(ctx, request):
            return "relayed " + await ctx.ask("echo", "ping")
    """)
    # An answer that is read in one go with its question has no latency that could be told.
    slow = textwrap.dedent("""
        import asyncio
        async def handle(ctx, request):
            await asyncio.sleep(1)
            return f"echo: {request.text}"
    """)
    node.cli("agents", "deploy", str(node.write_agent(tmp_path / "a", "echo", slow)))
    node.cli("agents", "deploy", str(node.write_agent(tmp_path / "b", "relay", code)))
    asked = 0

    def ask() -> None:
        nonlocal asked
        assert node.cli("prompt", "relay", "go").stdout.strip() == "relayed echo: ping"
        asked += 1

    def edge() -> dict[str, object]:
        edges = node.json("topology")["edges"]
        found = [e for e in edges if (e["from"], e["to"]) == ("relay", "echo")]
        return found[0] if found else {}

    def timed() -> bool:
        # On a busy host the observer may read even that in one go: then it is asked again.
        if edge().get("latency_p50_ms"):
            return True
        ask()
        return False

    ask()
    assert wait_until(timed)
    assert wait_until(lambda: edge()["messages"] == asked)
    assert edge()["errors"] == 0
    kinds = {n["name"]: n["kind"] for n in node.json("topology")["nodes"]}
    assert kinds["relay"] == kinds["echo"] == "agent"


def test_an_agent_that_fails_says_why(node: Node, tmp_path: Path) -> None:
    code = "async def handle(ctx, request):\n    raise ValueError('no such volume')\n"
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "failing", code)))
    result = node.cli("prompt", "failing", "go", check=False)
    assert result.returncode == 1
    assert "ValueError: no such volume" in result.stderr
    log = node.cli("agents", "logs", "failing").stdout
    assert "Traceback" in log
    assert "no such volume" in log
    assert agent(node, "failing")["state"] == "idle"


def test_output_goes_to_the_log_and_is_kept_for_the_process_before(
    node: Node, tmp_path: Path
) -> None:
    code = "import os\nprint('born', os.getpid(), flush=True)\n\n" + textwrap.dedent("""
        async def handle(ctx, request):
            print("heard", request.text)
            return "ok"
    """)
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "talker", code)))
    node.cli("prompt", "talker", "something special")
    first = agent(node, "talker")["pid"]
    log = node.cli("agents", "logs", "talker").stdout
    assert f"born {first}" in log
    assert "heard something special" in log
    node.cli("agents", "restart", "talker", "--yes")
    assert wait_until(lambda: agent(node, "talker").get("pid") not in (None, first))
    assert f"born {first}" in node.cli("agents", "logs", "talker", "--previous").stdout


def test_a_killed_agent_comes_back_with_the_reason_told(node: Node, tmp_path: Path) -> None:
    path = node.write_agent(tmp_path, "phoenix", restart={"max": 0, "backoff": "100ms"})
    node.cli("agents", "deploy", str(path))
    before = int(str(agent(node, "phoenix")["pid"]))
    os.kill(before, signal.SIGKILL)
    assert wait_until(
        lambda: (
            agent(node, "phoenix").get("state") == "idle"
            and agent(node, "phoenix")["pid"] != before
        )
    )
    assert agent(node, "phoenix")["restarts"] == 1
    assert node.cli("prompt", "phoenix", "again").stdout.strip() == "echo: again"
    errors = [e for e in node.json("events") if e["name"] == "agent:error"]
    told = [e["data"]["reason"] for e in errors if e["subject"] == "phoenix/0"]
    assert any("SIGKILL" in reason for reason in told)


def test_a_crash_loop_is_held_back(node: Node, tmp_path: Path) -> None:
    code = "import os\n\n\ndef handle(ctx, request):\n    os._exit(3)\n"
    path = node.write_agent(
        tmp_path, "looper", code, restart={"max": 2, "within": "10m", "backoff": "10ms"}
    )
    node.cli("agents", "deploy", str(path))
    for _ in range(3):
        assert wait_until(lambda: agent(node, "looper")["state"] == "idle")
        pid = agent(node, "looper")["pid"]
        result = node.cli("prompt", "looper", "die", check=False)
        assert result.returncode == 1
        assert "while it answered" in result.stderr
        assert wait_until(lambda: agent(node, "looper")["pid"] != pid)  # noqa: B023
    assert wait_until(lambda: agent(node, "looper")["state"] == "error")
    described = node.json("agents", "describe", "looper")
    assert "held back after 2 restarts" in json.dumps(described)
    # That its daemon is killed gives it no fresh start; that a person wants one does.
    before, held = node.run_file("node.json")["pid"], agent(node, "looper")
    os.kill(before, signal.SIGKILL)
    assert wait_until(
        lambda: (
            (now := node.run_file("node.json")).get("pid") != before and now.get("state") == "ready"
        ),
        30,
    )
    told = ("state", "reason", "restarts", "state_since")
    assert [agent(node, "looper")[key] for key in told] == [held[key] for key in told]
    node.cli("agents", "start", "looper")
    assert agent(node, "looper")["state"] == "idle"


def test_an_exit_of_its_code_is_told_as_one(node: Node, tmp_path: Path) -> None:
    code = "import sys\n\n\nasync def handle(ctx, request):\n    sys.exit(7)\n"
    path = node.write_agent(tmp_path, "quitter", code, restart={"policy": "never"})
    node.cli("agents", "deploy", str(path))
    assert node.cli("prompt", "quitter", "go", check=False).returncode == 1
    assert wait_until(lambda: agent(node, "quitter")["state"] == "error")
    assert agent(node, "quitter")["reason"] == "its code called sys.exit(7)"
    said = node.cli("agents", "logs", "quitter").stdout
    assert "its code called sys.exit(7)" in said
    assert "zygote.py" not in said, "what forked it is no part of the story"


def test_what_fails_of_a_folder_is_told_whole(node: Node, tmp_path: Path) -> None:
    for name in ("one", "two"):
        node.write_agent(tmp_path, name, "1 / 0\n")
    node.write_agent(tmp_path, "three")
    result = node.cli("apply", str(tmp_path), check=False)
    assert result.returncode == 1
    assert "one/0 failed" in result.stderr
    assert "two/0 failed" in result.stderr
    assert "the other 1 are ready" in result.stderr
    assert agent(node, "three")["state"] == "idle"


@pytest.mark.parametrize(
    ("code", "entrypoint", "said"),
    [
        ("", "nowhere:handle", "there is no module nowhere"),
        ("x = 1\n", "broken_module:handle", "has no handle"),
        ("import no_such_package\n", "broken_module:handle", "No module named 'no_such_package'"),
        ("1 / 0\n", "broken_module:handle", "ZeroDivisionError"),
        ("import sys\nsys.exit('set KEY')\n", "broken_module:handle", "SystemExit: set KEY"),
        ("handle = 7\n", "broken_module:handle", "entrypoint is a int"),
    ],
)
def test_an_entrypoint_that_does_not_hold(
    node: Node, tmp_path: Path, code: str, entrypoint: str, said: str
) -> None:
    (tmp_path / "broken_module.py").write_text(code)
    path = tmp_path / "broken.yaml"
    path.write_text(f"name: broken\nentrypoint: {entrypoint}\n")
    result = node.cli("agents", "deploy", str(path), check=False)
    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    # Nothing half-done: an agent that never came up is not left behind.
    assert wait_until(lambda: not agent(node, "broken"))


def test_bad_files_change_nothing(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nentrypint: a:b\nreplicas: many\n")
    result = node.cli("agents", "deploy", str(path), check=False)
    assert result.returncode == 2
    assert f"{path}:2:1" in result.stderr
    assert "entrypoint" in result.stderr
    assert f"{path}:3:" in result.stderr
    path.write_text("name: [unclosed\n")
    result = node.cli("agents", "deploy", str(path), check=False)
    assert result.returncode == 2
    assert str(path) in result.stderr
    assert node.json("agents", "list") == []


def test_a_taken_name_is_refused_and_nothing_changes(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path / "a", "twin")))
    pid = agent(node, "twin")["pid"]
    other = node.write_agent(tmp_path / "b", "twin", replicas=3)
    result = node.cli("agents", "deploy", str(other), check=False)
    assert result.returncode == 1
    assert "twin" in result.stderr
    assert "taken" in result.stderr
    assert agent(node, "twin")["pid"] == pid
    assert not agent(node, "twin", "1")


def test_a_ten_megabyte_prompt_is_refused_before_it_is_sent(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "echo")))
    big = tmp_path / "big.txt"
    big.write_text("x" * (10 << 20))
    result = node.cli("prompt", "echo", "read this", "--file", str(big), check=False)
    assert result.returncode == 2
    assert "bytes" in result.stderr
    assert "Traceback" not in result.stderr
    assert node.cli("prompt", "echo", "still there").stdout.strip() == "echo: still there"


def test_scale_up_and_down(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "crowd")))
    node.cli("agents", "scale", "crowd", "4")
    assert wait_until(lambda: [r["state"] for r in node.json("agents", "list")] == ["idle"] * 4)
    node.cli("agents", "scale", "crowd", "1")
    assert wait_until(lambda: len(node.json("agents", "list")) == 1)


def test_stop_and_start(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "sleeper")))
    pid = int(str(agent(node, "sleeper")["pid"]))
    node.cli("agents", "stop", "sleeper", "--yes")
    assert wait_until(lambda: agent(node, "sleeper")["state"] == "stopped")
    assert wait_until(lambda: not psutil.pid_exists(pid))
    node.cli("agents", "start", "sleeper")
    assert wait_until(lambda: agent(node, "sleeper")["state"] == "idle")


def test_agents_come_back_after_down_and_up(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "echo")))
    node.cli("down")
    node.up()
    assert wait_until(lambda: agent(node, "echo").get("state") == "idle")
    assert node.cli("prompt", "echo", "back").stdout.strip() == "echo: back"


def test_an_agent_of_another_virtual_environment(node: Node, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv), "--without-pip"], check=True)
    site = next((venv / "lib").glob("python3*")) / "site-packages"
    # Its own package, and SparkPlug's core by path: as `pip install sparkplug-control` leaves it.
    (site / "only_there.py").write_text("WHERE = 'in the venv'\n")
    paths = [p for p in sys.path if p.endswith("site-packages")] + [
        str(Path(__file__).resolve().parents[2])
    ]
    (site / "sparkplug_core.pth").write_text("\n".join(paths) + "\n")
    code = textwrap.dedent("""
        import sys

        import only_there


        async def handle(ctx, request):
            return f"{only_there.WHERE} {sys.prefix}"
    """)
    path = node.write_agent(tmp_path, "guest", code, python="venv/bin/python")
    node.cli("agents", "deploy", str(path))
    assert node.cli("prompt", "guest", "where").stdout.strip() == f"in the venv {venv}"


def test_an_interpreter_without_sparkplug_says_so(node: Node, tmp_path: Path) -> None:
    venv = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", str(venv), "--without-pip"], check=True)
    path = node.write_agent(tmp_path, "stranger", python="bare/bin/python")
    result = node.cli("agents", "deploy", str(path), check=False)
    assert result.returncode == 1
    assert "No module named" in result.stderr
    assert "pip install" in result.stderr


def test_a_langgraph_agent(node: Node, tmp_path: Path) -> None:
    code = textwrap.dedent("""
        from typing import TypedDict

        from langgraph.graph import END, START, StateGraph


        class State(TypedDict, total=False):
            prompt: str
            text: str


        def shout(state: State) -> State:
            return {"text": state["prompt"].upper()}


        builder = StateGraph(State)
        builder.add_node("shout", shout)
        builder.add_edge(START, "shout")
        builder.add_edge("shout", END)
        handle = builder.compile()
    """)
    path = node.write_agent(tmp_path, "graph", code, runtime="langgraph")
    node.cli("agents", "deploy", str(path))
    assert "QUIET" in node.cli("prompt", "graph", "quiet").stdout


def test_typed_actions_are_published_and_checked(node: Node, tmp_path: Path) -> None:
    code = textwrap.dedent("""
        from pydantic import BaseModel

        from sparkplug.agents import action


        class Sum(BaseModel):
            total: int


        class Adder:
            @action
            async def add(self, ctx, left: int, right: int = 1) -> Sum:
                return Sum(total=left + right)


        handle = Adder
    """)
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "adder", code)))
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "name: sums\nsteps:\n"
        "  - {id: good, agent: adder, action: add, input: {left: 2, right: 3}}\n"
    )
    assert json.loads(node.cli("run", str(plan)).stdout)["total"] == 5
    plan.write_text(
        "name: sums\nsteps:\n  - {id: bad, agent: adder, action: add, input: {left: two}}\n"
    )
    result = node.cli("run", str(plan), check=False)
    assert result.returncode == 1
    assert "left" in result.stderr
    described = json.dumps(node.json("agents", "describe", "adder"))
    assert '"left"' in described


def test_an_agent_gets_a_scrubbed_environment(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = textwrap.dedent("""
        import os


        async def handle(ctx, request):
            return dict(os.environ)
    """)
    path = node.write_agent(tmp_path, "naked", code, env={"MINE": "1", "PORT": 8080})
    monkeypatch.setitem(node.env, "A_SECRET_OF_THE_DAEMON", "leaked")
    node.cli("down")
    node.up()
    node.cli("agents", "deploy", str(path))
    environ = json.loads(node.cli("prompt", "naked", "tell").stdout)
    assert environ["MINE"] == "1"
    assert environ["PORT"] == "8080"
    assert environ["DO_NOT_TRACK"] == "1"
    assert "A_SECRET_OF_THE_DAEMON" not in environ
    assert not any(name.startswith("SPARKPLUG") for name in environ)


SENDS_AS = """
import os, subprocess, sys
def names(pid):
    return " ".join(open(f"/proc/{pid}/{what}").read() for what in ("environ", "cmdline"))
async def handle(ctx, request):
    if request.action == "seen":
        code = "import os; print(os.environ, [os.readlink('/proc/self/fd/' + f) " \\
            "for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + f)])"
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                               close_fds=False).stdout
        own = [os.readlink(f"/proc/self/fd/{f}") for f in os.listdir("/proc/self/fd")
               if os.path.lexists(f"/proc/self/fd/{f}")]
        return {"environ": dict(os.environ), "words": names(os.getpid()), "child": child,
                "own": own, "seed": ctx._bus.credentials.seed, "jwt": ctx._bus.credentials.jwt}
    if request.action == "lie":
        ctx._bus.name = "agent boss/0"
    return await ctx.ask("guarded", "hello")
"""


def test_an_agent_proves_who_it_is_and_gets_only_what_it_is_given(tmp_path: Path) -> None:
    home = tmp_path / "home"
    given = {"GIVEN_TOKEN": "gv-1", "AWS_SECRET_ACCESS_KEY": "aws-1", "ANTHROPIC_API_KEY": "an-1"}
    node = Node(home, given)
    node.up()
    try:
        node.cli("agents", "deploy", str(node.write_agent(tmp_path, "boss")))
        guarded = node.write_agent(tmp_path, "guarded", senders="signed")
        node.cli("agents", "deploy", str(guarded))
        sender = node.write_agent(
            tmp_path, "sender", SENDS_AS, pass_env=["GIVEN_TOKEN"], env={"MY_API_KEY": "shown-no"}
        )
        node.cli("agents", "deploy", str(sender))

        found = asyncio.run(_called(node, "sender", "seen"))
        assert found["environ"]["GIVEN_TOKEN"] == "gv-1"
        assert found["environ"]["MY_API_KEY"] == "shown-no"
        assert not {"AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "SPARKPLUG_HOME"} & {
            *found["environ"]
        }
        for secret in (found["seed"], found["jwt"]):
            assert secret not in found["words"] + found["child"] + json.dumps(found["environ"])
            on_disk = [p for p in home.rglob("*") if p.is_file() and p.stat().st_size < 8 << 20]
            assert not [p for p in on_disk if secret.encode() in p.read_bytes()]
        assert "pipe:" not in json.dumps(found["own"])
        described = node.cli("agents", "describe", "sender", "--json").stdout
        assert "shown-no" not in described
        assert "gv-1" not in described

        assert node.cli("prompt", "sender", "go").stdout.strip() == "echo: hello"
        assert node.cli("prompt", "guarded", "hi").stdout.strip() == "echo: hi"
        with pytest.raises(RefusedError):
            asyncio.run(_called(node, "sender", "lie"))
        assert wait_until(
            lambda: [e for e in node.json("events") if e["name"] == "agent:forged"], 20
        )
        edges = {(e["from"], e["to"]): e["forged"] for e in node.json("topology")["edges"]}
        assert edges["sender", "guarded"] == 1
    finally:
        node.close()


async def _called(node: Node, name: str, action: str) -> dict[str, Any]:
    async with node.client() as client:
        target = await client_agents.target(client, name)
        answer: dict[str, Any] = await wire.call(client.bus, target, action, {})
        return answer
