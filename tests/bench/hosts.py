"""What it costs to measure a host of eight GPUs and to look at it, beside nvitop; and eight hosts.

Both ask the same scripted driver in the same run, one after the other, on a pty of 160x50.
Counted of ours is all that is asked for: the daemon, the process that asks NVML, and the control
centre. The server and zygotes that a node has besides are told apart.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from bench.figures import Figure
from bench.pty_meter import Meter, Usage
from bench.screen import ours
from fakes.crowd_process import crowd
from fakes.node import Node
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment

_SETTLE_S = 8.0
_WATCH_S = 30.0
_SCENARIOS = Path(__file__).resolve().parents[2] / "config" / "scenarios"


def _seconds(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _of_node(node: Node) -> tuple[list[psutil.Process], list[psutil.Process], psutil.Process]:
    """The daemon with its sampler, what else the node runs, and the sampler alone."""
    daemon = psutil.Process(int(json.loads((node.paths.run / "node.json").read_text())["pid"]))
    children = daemon.children(recursive=True)
    sampler = next(p for p in children if "sparkplug.telemetry.gpu.worker" in p.cmdline())
    rest = [process for process in children if process != sampler]
    return [daemon, sampler], rest, sampler


def _eight_gpus(scenario: str) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="sp-nvml-") as library,
        tempfile.TemporaryDirectory(prefix="sp-bench-") as folder,
    ):
        fake = fake_nvml_environment(_SCENARIOS / f"{scenario}.scenario", Path(library))
        node = Node(Path(folder) / "state", fake)
        node.up()
        try:
            counted, rest, sampler = _of_node(node)
            with Meter(ours("overview"), node.env) as meter:
                meter.painted()
                meter.read(_SETTLE_S)
                before, aside, began = _seconds(counted), _seconds(rest), time.monotonic()
                tui = meter.watch(_WATCH_S)
                took = time.monotonic() - began
                measured = 100 * (_seconds(counted) - before) / took
                others = 100 * (_seconds(rest) - aside) / took
            with Meter(ours("hosts"), node.env) as meter:
                meter.painted()
                meter.read(_SETTLE_S)
                full = meter.watch(_WATCH_S)
            resident = sampler.memory_info().rss / 2**20
        finally:
            node.close()
        peer = _nvitop({**node.env, "HOME": folder})
    whole = measured + tui.cpu_percent
    beside = peer.cpu_percent if peer is not None else None
    name = f"8 GPUs, {scenario}"
    return [
        Figure(f"{name}: node, sampler and screen", whole, "%", None, "nvitop", beside, 2.0),
        Figure(f"{name}: node and sampler of these", measured, "%"),
        Figure(f"{name}: the screen of these, Overview", tui.cpu_percent, "%", 0.7),
        Figure(
            f"{name}: the same with Hosts and its plots",
            measured + full.cpu_percent,
            "%",
            None,
            "nvitop",
            beside,
            2.0,
        ),
        Figure(f"{name}: its server and zygotes besides", others, "%"),
        Figure(f"{name}: sampler resident", resident, "MiB", 60.0),
        Figure(
            f"{name}: Hosts written",
            full.bytes_per_second / 1000,
            "kB/s",
            None,
            "nvitop",
            None if peer is None else peer.bytes_per_second / 1000,
        ),
    ]


def _nvitop(env: dict[str, str]) -> Usage | None:
    """What nvitop takes on the same driver; None where it is not installed."""
    found = shutil.which("nvitop", path=str(Path(sys.executable).parent)) or shutil.which("nvitop")
    if found is None:
        return None
    with Meter([found, "--monitor", "full", "--interval", "1"], env) as meter:
        meter.painted()
        meter.read(_SETTLE_S)
        return meter.watch(_WATCH_S)


def _eight_hosts(**trouble: int) -> list[Figure]:
    """Eight simulated nodes of eight GPUs each, and perhaps one that is dead or babbles."""
    words = ", one more ".join(["8 hosts of 8 GPUs", *trouble])
    size = {"agents": 8, "replicas": 1, "hosts": 8, "gpu_hosts": 8, "changes": 0, "messages": 0}
    with crowd(**size, **trouble) as env, Meter(ours("hosts"), env) as meter:
        meter.painted()
        meter.read(_SETTLE_S)
        used = meter.watch(_WATCH_S)
    return [
        Figure(f"{words}: CPU of the screen", used.cpu_percent, "%", 3.0),
        Figure(f"{words}: written", used.bytes_per_second / 1000, "kB/s", 8.0),
        # The budget of the screen's memory is held by the part `screen`.
        Figure(f"{words}: resident", used.resident_mib, "MiB"),
    ]


def run() -> list[Figure]:
    """All figures of this file."""
    return [
        *_eight_gpus("eight-gpus"),
        *_eight_gpus("h100-nvlink"),
        *_eight_hosts(),
        *_eight_hosts(dead=1),
        *_eight_hosts(babbling=1),
    ]
