"""How soon a fault of a GPU is on the screen, from the scripted driver to the terminal.

A node on a driver whose script has a GPU hang, then an XID event, then a GPU that leaves the bus,
each at a known moment; on a pty the Hosts pane is read as it is written.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pyte

from bench.figures import Figure
from bench.pty_meter import SIZE, Meter
from bench.screen import ours
from fakes.node import Node
from sparkplug.client import hosts
from sparkplug.schema.gpu import GpuState
from sparkplug.schema.host import HostSample
from sparkplug.telemetry.gpu.client import SINCE_VARIABLE
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment

_SCENARIO = Path(__file__).resolve().parents[2] / "config" / "scenarios" / "h100-nvlink.scenario"
#: When (seconds of the script) what happens, and what is then on the screen.
_FAULTS = (
    ("a call that hangs", 20.4, "gpu 7 stale"),
    ("an XID", 26.7, "XID 31"),
    ("a lost GPU", 32.2, "gpu 6 lost"),
)
_BAR_S = 3.0
_DEADLINE_S = 15.0


def _script(folder: Path) -> Path:
    """Eight GPUs: one hangs in a call, one has an XID, one is lost."""
    (_, hang, _), (_, xid, _), (_, lost, _) = _FAULTS
    blocks = _SCENARIO.read_text().split("\ngpu ")
    blocks[5] += f"\nxid 31 {xid}\n"
    blocks[7] += f"\nlost step 0:0 {lost}:1\n"
    blocks[8] += f"\nhang power {hang} 600\n"
    path = folder / "faults.scenario"
    path.write_text("\ngpu ".join(blocks))
    return path


def _began(node: Node) -> float:
    """When the script began, by the clock of this host."""
    for process in node.processes():
        if "sparkplug.telemetry.gpu.worker" in process.cmdline():
            return float(process.environ()[SINCE_VARIABLE])
    raise AssertionError("no process asks the driver")


async def _hear(node: Node, found: list[HostSample], until: float) -> None:
    async with node.client() as client:
        async for sample in hosts.follow(client):
            found.append(sample)
            if time.monotonic() > until:
                return


def run() -> list[Figure]:
    """All figures of this file."""
    with (
        tempfile.TemporaryDirectory(prefix="sp-nvml-") as library,
        tempfile.TemporaryDirectory(prefix="sp-bench-") as folder,
    ):
        script = _script(Path(folder))
        node = Node(Path(folder) / "state", fake_nvml_environment(script, Path(library)))
        node.up()
        found: list[HostSample] = []
        figures = []
        try:
            began = _began(node)
            last = began + _FAULTS[-1][1] + _BAR_S
            thread = threading.Thread(target=lambda: asyncio.run(_hear(node, found, last)))
            thread.start()
            with Meter(ours("hosts"), node.env) as meter:
                screen = pyte.Screen(*SIZE)
                meter.feed = pyte.ByteStream(screen).feed
                for name, at, shown in _FAULTS:
                    until = began + at + _DEADLINE_S
                    while not any(shown in line for line in screen.display):
                        assert time.monotonic() < until, f"{name} is not on the screen"
                        meter.read(0.02)
                    late = time.monotonic() - began - at
                    figures.append(Figure(f"{name} is on the screen after", late, "s", _BAR_S))
            thread.join()
        except psutil.Error as error:
            raise AssertionError("the node ended") from error
        finally:
            node.close()
    times = [sample.time.timestamp() for sample in found]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    well = all(gpu.state is GpuState.OK for sample in found for gpu in sample.gpus if gpu.index < 6)
    return [
        *figures,
        Figure("the longest from one sample to the next meanwhile", max(gaps), "s", 1.5),
        Figure("samples in which another GPU missed it", float(not well), "", 0.5),
    ]
