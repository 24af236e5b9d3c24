"""The program as a person or a script runs it, on a host without a mesh."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

_HEAVY = (
    "torch",
    "langgraph",
    "langchain_core",
    "chromadb",
    "mem0",
    "crewai",
    "textual",
    "rich",
    "synadia_ai",
    "jinja2",
    "httpx",
    "ruamel",
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SPARKPLUG_")}
    return {**kept, "SPARKPLUG_HOME": str(tmp_path / "home"), "COLUMNS": "100"}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def call(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sparkplug", *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            env=environment,
            check=False,
        )

    return call


@pytest.mark.parametrize("words", [("--help",), ("agents", "--help"), ("agents", "scale", "-h")])
def test_help(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: sparkplug")


def test_without_a_mesh_status_still_tells_and_says_so(run: Run) -> None:
    done = run("status", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 5
    assert told["node"]["state"] == "stopped"
    assert told["nodes"] == []
    assert {"mesh", "url", "version", "nats"} <= set(told)


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (("agents", "list"), 5, "no_mesh"),
        (("prompt", "a", "b"), 5, "no_mesh"),
        (("nonsense",), 2, "invalid"),
        (("agents", "stop", "a", "--readonly"), 4, "refused"),
        (("up", "--readonly"), 4, "refused"),
        (("agents", "remove", "a"), 5, "no_mesh"),
        (("status", "--context", "elsewhere"), 3, "not_found"),
        (("config", "get", "nats.prot"), 2, "invalid"),
        (("--url", "http://x", "status"), 2, "invalid"),
        (("--url", "nats://127.0.0.1:1", "agents", "list"), 5, "no_mesh"),
        (("events", "--since", "1m", "--after", "3"), 2, "invalid"),
    ],
)
def test_errors_have_a_code_and_an_exit_code(
    run: Run, words: tuple[str, ...], code: int, word: str
) -> None:
    done = run(*words, "--json")
    assert done.returncode == code, done.stderr
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"code", "message", "where", "hint"}
    assert (error["code"], done.stderr) == (word, "")


def test_an_error_for_people_is_on_stderr_and_shows_no_traceback(run: Run) -> None:
    done = run("agents", "list")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("sparkplug: ")
    assert "Traceback" not in done.stderr
    assert "sparkplug up" in done.stderr
    assert "Traceback" in run("agents", "list", "--debug").stderr


def test_alone_without_a_terminal_it_prints_the_status(run: Run) -> None:
    done = run()
    assert done.returncode == 5
    assert done.stdout.startswith("mesh ")
    assert "--help" in done.stderr


def test_settings_are_set_told_and_brought_elsewhere(run: Run, environment: dict[str, str]) -> None:
    path = run("config", "path").stdout.strip()
    assert run("config", "set", "nats.port", "4555").returncode == 0
    assert run("config", "get", "nats.port").stdout == "4555\n"
    rows = json.loads(run("config", "show", "--json").stdout)
    port = next(row for row in rows if row["key"] == "nats.port")
    assert (port["value"], port["origin"].startswith(path)) == (4555, True)
    exported = run("config", "export").stdout
    Path(path).unlink()
    assert run("config", "import", "-", text=exported).returncode == 0
    assert run("config", "get", "nats.port").stdout == "4555\n"
    assert run("config", "set", "nats.port", "9", "--readonly").returncode == 4
    assert run("config", "get", "nats.port").stdout == "4555\n"


@pytest.mark.parametrize("kind", ["agent", "crew", "plan"])
def test_schemas_are_json(run: Run, kind: str) -> None:
    schema = json.loads(run("schema", kind).stdout)
    assert schema["type"] == "object"
    assert "name" in schema["properties"]


def test_the_doctor_runs_without_a_mesh(run: Run) -> None:
    done = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["python"]["state"] == "ok"
    assert checks["node"]["fix"] == "sparkplug up"
    assert done.returncode == (1 if any(c["state"] == "fail" for c in checks.values()) else 0)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_valid_where_the_shell_is_here(run: Run, shell: str) -> None:
    script = run("completion", shell).stdout
    assert "sparkplug agents list -o name" in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed: its script was made, not parsed")
    checked = subprocess.run([program, "-n"], input=script, text=True, check=False, timeout=10)
    assert checked.returncode == 0


def test_bash_completes_verbs_and_flags(run: Run) -> None:
    script = run("completion", "bash").stdout
    probe = """
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _sparkplug
  echo "${COMPREPLY[*]}"; }
complete_line sparkplug ag
complete_line sparkplug agents re
complete_line sparkplug --json agents scale x --dry
complete_line sparkplug completion z
sparkplug() { [[ "$*" == "contexts list -o name" ]] && printf "%s\\n" home lab agents; }
complete_line sparkplug --context l
complete_line sparkplug --context = l
complete_line sparkplug --context =
complete_line sparkplug --context agents runs li
"""
    done = subprocess.run(
        ["bash"], input=script + probe, text=True, capture_output=True, check=False, timeout=20
    )
    verbs = ["agents", "restart remove", "--dry-run", "zsh"]
    assert done.stdout.splitlines() == [*verbs, "lab", "lab", "home lab agents", "list"]


def test_a_reader_that_leaves_is_no_error(environment: dict[str, str]) -> None:
    line = f"{sys.executable} -m sparkplug schema agent | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=environment, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [("--help",), ("status",), ("agents", "list")],
)
def test_nothing_heavy_is_imported(environment: dict[str, str], words: tuple[str, ...]) -> None:
    code = (
        "import sys, contextlib, io\n"
        "from sparkplug.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    main({list(words)!r})\n"
        f"print([m for m in {_HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=30
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_help_imports_neither_the_bus_nor_the_schema(environment: dict[str, str]) -> None:
    code = (
        "import sys, contextlib, io\n"
        "from sparkplug.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print([m for m in ('nats', 'pydantic', 'psutil') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=30
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_contexts_choose_the_mesh(run: Run) -> None:
    assert run("contexts", "add", "lab", "nats://127.0.0.1:1").returncode == 0
    assert run("contexts", "add", "lab", "nats://127.0.0.1:1").returncode == 1
    assert run("contexts", "add", "bad", "http://127.0.0.1").returncode == 2
    assert run("contexts", "add", "secret", "nats://a:b@127.0.0.1:1").returncode == 2
    assert run("contexts", "use", "nowhere").returncode == 3
    assert run("contexts", "use", "lab", "--readonly").returncode == 4
    assert run("contexts", "remove", "home").returncode == 4
    done = run("--context", "lab", "agents", "list", "--json")
    assert done.returncode == 5
    assert "127.0.0.1:1" in done.stdout
    assert run("--context", "lab", "--url", "nats://127.0.0.1:2", "status").returncode == 2
    for verb in ("up", "down", "node"):
        assert run(verb, "--context", "lab").returncode == 4
    assert run("contexts", "use", "lab").returncode == 0
    assert "127.0.0.1:1" in run("agents", "list", "--json").stdout
    listed = json.loads(run("contexts", "list", "--json").stdout)
    assert [(one["name"], one["current"], one["url"]) for one in listed] == [
        ("home", False, None),
        ("lab", True, "nats://127.0.0.1:1"),
    ]
    assert "sparkplug up" in run("--context", "home", "agents", "list").stderr
    assert json.loads(run("env", "--json").stdout) == {"NATS_URL": "nats://127.0.0.1:1"}
