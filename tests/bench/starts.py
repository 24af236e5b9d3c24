"""How long a person waits: the first paint in a pty, `--help` and `status`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, p50
from bench.pty_meter import first_paint
from fakes.node import Node

_TIMES = 10


def command_time(words: list[str], env: dict[str, str]) -> float:
    """Seconds a command takes from start to end."""
    began = time.perf_counter()
    subprocess.run(words, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def run() -> list[Figure]:
    """All figures of this file."""
    script = str(Path(sys.executable).with_name("sparkplug"))
    bare = [sys.executable, "-c", "import textual.app"]
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state")
        back = []
        for _ in range(3):
            subprocess.run([script, "up"], env=node.env, stdout=subprocess.DEVNULL, check=True)
            back.append(time.time() - (node.paths.run / "node.json").stat().st_mtime)
            node.close()
        node.up()
        try:
            # Interleaved, so that the machine's mood falls on all of them.
            paints, helps, statuses, textual, python = [], [], [], [], []
            for _ in range(_TIMES):
                paints.append(first_paint([script], node.env))
                helps.append(command_time([script, "--help"], node.env))
                statuses.append(command_time([script, "status"], node.env))
                textual.append(command_time(bare, node.env))
                python.append(command_time([sys.executable, "-c", "pass"], node.env))
        finally:
            node.close()
    return [
        Figure(
            "first paint of sparkplug (pty 160x50), p50",
            p50(paints),
            "s",
            0.5,
            "importing Textual alone",
            p50(textual),
        ),
        Figure("sparkplug --help, p50", p50(helps), "s", 0.3, "bare Python", p50(python)),
        Figure("sparkplug up, back after ready, p50", p50(back), "s", 1.0),
        Figure("sparkplug status, p50", p50(statuses), "s", 0.3, "bare Python", p50(python)),
    ]
