"""What the control centre costs: CPU, bytes and memory, on a terminal of 160x50, beside budgets."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

import psutil

from bench.figures import Figure, p50
from bench.starts import first_paint
from fakes.node import Node
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment

_SIZE = (50, 160)
_SETTLE_S = 8.0
_WATCH_S = 30.0
_PAINTS = 5
_SCENARIO = Path(__file__).resolve().parents[2] / "config" / "scenarios" / "eight-gpus.scenario"


class Watched:
    """The control centre in a pty that is read as fast as it writes."""

    def __init__(self, env: dict[str, str]) -> None:
        script = str(Path(sys.executable).with_name("sparkplug"))
        command = [sys.executable, "-P", script]
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(
                command[0], command, {**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
            )
        ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))

    def read(self, seconds: float) -> int:
        """The bytes that come within some seconds."""
        until = time.monotonic() + seconds
        size = 0
        while (left := until - time.monotonic()) > 0:
            if select.select([self._descriptor], [], [], left)[0]:
                size += len(os.read(self._descriptor, 1 << 16))
        return size

    def watch(self) -> tuple[float, float, float]:
        """CPU %, bytes a second and MiB of resident memory while it is looked at."""
        self.read(_SETTLE_S)
        process = psutil.Process(self.pid)
        before, began = process.cpu_times(), time.monotonic()
        size = self.read(_WATCH_S)
        after, took = process.cpu_times(), time.monotonic() - began
        cpu = after.user + after.system - before.user - before.system
        return 100 * cpu / took, size / took, process.memory_info().rss / 2**20

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._descriptor)


def _watch(environ: dict[str, str], paints: list[float]) -> tuple[float, float, float]:
    script = str(Path(sys.executable).with_name("sparkplug"))
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state", environ)
        node.up()
        try:
            for _ in range(_PAINTS):
                paints.append(first_paint([sys.executable, "-P", script], node.env))
            watched = Watched(node.env)
            try:
                return watched.watch()
            finally:
                watched.close()
        finally:
            node.close()


def run() -> list[Figure]:
    """All figures of this file; the bars are those of the terminal's design."""
    paints: list[float] = []
    with tempfile.TemporaryDirectory(prefix="sp-nvml-") as folder:
        idle = _watch({}, paints)
        eight = _watch(fake_nvml_environment(_SCENARIO, Path(folder)), paints)
    return [
        Figure("first paint (pty 160x50), p50", p50(paints), "s", 0.35),
        Figure("idle host without GPU: CPU of the TUI", idle[0], "%", 0.3),
        # Its figures do change: telemetry comes at 1 Hz.
        Figure("idle host without GPU: written", idle[1] / 1000, "kB/s", 1.0),
        Figure("idle host without GPU: resident", idle[2], "MiB", 80),
        Figure("eight GPUs at 1 Hz: CPU of the TUI", eight[0], "%", 0.7),
        Figure("eight GPUs at 1 Hz: written", eight[1] / 1000, "kB/s", 1.0),
        Figure("eight GPUs at 1 Hz: resident", eight[2], "MiB", 80),
    ]
