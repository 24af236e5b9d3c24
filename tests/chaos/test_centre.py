"""The control centre holds nothing: killed again and again, the mesh does not notice."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pexpect
import pytest

from fakes.node import Node


@pytest.mark.slow
def test_a_killed_centre_stops_nothing_and_opens_again(node: Node, tmp_path: Path) -> None:
    node.cli("agents", "deploy", str(node.write_agent(tmp_path, "echo")))
    before = node.agent_pids()
    for _ in range(5):
        centre = pexpect.spawn(
            sys.executable,
            ["-m", "sparkplug"],
            env=node.env | {"TERM": "xterm-256color"},  # type: ignore[arg-type]
            dimensions=(50, 160),
            timeout=60,
            encoding="utf-8",
        )
        centre.expect("echo")
        os.kill(centre.pid, signal.SIGKILL)
        centre.wait()
        assert node.agent_pids() == before
    assert node.cli("prompt", "echo", "well?").stdout.strip() == "echo: well?"
