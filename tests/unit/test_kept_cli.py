"""The kept command line is as a fresh one: what it prints, how it ends, what it is given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.kept_cli import kept_cli
from fakes.node import wait_until


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "SPARKPLUG_HOME": str(tmp_path / "home"), "COLUMNS": "100"}


@pytest.mark.parametrize(
    "words", [("version",), ("agents", "list"), ("agents", "scale"), ("config", "get", "nats.url")]
)
def test_it_says_and_ends_as_a_fresh_one(env: dict[str, str], words: tuple[str, ...]) -> None:
    kept = kept_cli().run(words, env, "", 30)
    fresh = subprocess.run(
        [sys.executable, "-m", "sparkplug", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert kept.stdout + kept.stderr
    for one in ("returncode", "stdout", "stderr"):
        assert getattr(kept, one) == getattr(fresh, one)


def test_it_has_its_callers_folder_input_and_variables(env: dict[str, str], tmp_path: Path) -> None:
    words = ("contexts", "add", "lab", "nats://127.0.0.1:1")
    assert kept_cli().run(words, env, "", 30).returncode == 0
    where = kept_cli().run(("--context", "lab", "env"), env, "", 30).stdout
    assert "nats://127.0.0.1:1" in where
    other = {**env, "SPARKPLUG_HOME": str(tmp_path / "other")}
    assert kept_cli().run(("--context", "lab", "env"), other, "", 30).returncode == 3
    shell = {**env, "PATH": f"{kept_cli().bin}{os.pathsep}{env['PATH']}"}
    (tmp_path / "there").mkdir()
    done = subprocess.run(
        [
            "bash",
            "-c",
            "echo no-token | sparkplug join -; echo $?; cd there; sparkplug version >out",
        ],
        cwd=tmp_path,
        env=shell,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2\n"
    assert (tmp_path / "there" / "out").read_text().startswith("sparkplug ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_caller(env: dict[str, str], number: signal.Signals) -> None:
    kept = kept_cli()
    script = [str(kept.bin / "sparkplug"), "join", "-"]
    with subprocess.Popen(script, env=env, stdin=subprocess.PIPE) as call:
        assert wait_until(kept.calls)
        call.send_signal(number)
        assert call.wait(30) == -number
        assert wait_until(lambda: not kept.calls())
