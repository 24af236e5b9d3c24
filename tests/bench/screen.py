"""What the control centre costs on a terminal of 160x50, beside its budgets and other programs.

Nothing changing, eight GPUs at 1 Hz, and a crowd: 500 agents of which 200 change in a second,
2,000 messages a second between them, eight GPUs; on Overview and on the Agents pane.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Figure, p50, p95
from bench.peers import PEERS
from bench.pty_meter import Keys, Meter, Usage
from fakes.crowd_process import crowd
from fakes.node import Node
from sparkplug.telemetry.gpu.fake.environment import fake_nvml_environment

_SETTLE_S = 8.0
_WATCH_S = 30.0
_PAINTS = 5
_KEYS = 100
_SCENARIO = Path(__file__).resolve().parents[2] / "config" / "scenarios" / "eight-gpus.scenario"
_CURSOR = "▸".encode()
#: The cursor of the list: its mark is written when it moves, and at no other time.
_MOVES = Keys([(b"j", _CURSOR), (b"j", _CURSOR), (b"k", _CURSOR), (b"k", _CURSOR)])
#: From box to box, where the list may be empty: borders are drawn then, and at no other time.
_BOXES = Keys([(b"\t", "╭".encode())])


@dataclass
class Measured:
    """What was measured of one program; it may not be installed."""

    paints: list[float] = field(default_factory=list)
    usage: Usage | None = None
    keys: list[float] = field(default_factory=list)


def ours(pane: str = "overview") -> list[str]:
    """The command that opens the control centre."""
    return [sys.executable, "-m", "sparkplug", "--pane", pane]


def measure(command: list[str], env: Mapping[str, str], keys: Keys, paints: int = 1) -> Measured:
    """Open a program some times, then watch it and press its keys."""
    found = Measured()
    for number in range(paints):
        with Meter(command, env) as meter:
            found.paints.append(meter.painted())
            if number < paints - 1:
                continue
            meter.read(_SETTLE_S)
            found.usage = meter.watch(_WATCH_S)
            found.keys = meter.key_times(keys, _KEYS)
    return found


def _compared(name: str, all_: Mapping[str, Measured], bars: Mapping[str, float]) -> list[Figure]:
    """The figures of ours, each with those of the others below it."""
    mine = all_["sparkplug"]
    others = {key: value for key, value in all_.items() if key != "sparkplug"}

    def figure(what: str, unit: str, bar: str, of: Callable[[Measured], float]) -> Figure:
        beside = {key: of(value) if value.usage else None for key, value in others.items()}
        return Figure(f"{name}: {what}", of(mine), unit, bars.get(bar), others=beside)

    figures = [
        figure("CPU", "%", "cpu", lambda m: _used(m).cpu_percent),
        figure("written", "kB/s", "bytes", lambda m: _used(m).bytes_per_second / 1000),
        figure("resident", "MiB", "memory", lambda m: _used(m).resident_mib),
        figure("key to paint, p50", "ms", "", lambda m: 1000 * p50(m.keys)),
        figure("key to paint, p95", "ms", "key", lambda m: 1000 * p95(m.keys)),
    ]
    if "paint" in bars:
        figures.insert(0, figure("first paint, p50", "s", "paint", lambda m: p50(m.paints)))
    return figures


def _used(measured: Measured) -> Usage:
    assert measured.usage is not None
    return measured.usage


def _eight_gpus() -> list[Figure]:
    """Beside the other programs, on the same GPUs."""
    with (
        tempfile.TemporaryDirectory(prefix="sp-nvml-") as library,
        tempfile.TemporaryDirectory(prefix="sp-bench-") as folder,
    ):
        fake = fake_nvml_environment(_SCENARIO, Path(library))
        node = Node(Path(folder) / "state", fake)
        node.up()
        try:
            all_ = {"sparkplug": measure(ours(), node.env, _BOXES, _PAINTS)}
            # What they keep of themselves goes into a home of the bench's own.
            env = {**node.env, "HOME": folder}
            for peer in PEERS:
                command = peer.command()
                found = Measured()
                if command is not None:
                    found = measure(command, env, peer.keys, _PAINTS)
                all_[peer.name] = found
        finally:
            node.close()
    bars = {"paint": 0.35, "cpu": 0.7, "bytes": 1.0, "memory": 80, "key": 30}
    return _compared("eight GPUs at 1 Hz", all_, bars)


def _quiet() -> list[Figure]:
    with crowd(agents=5, replicas=1, changes=0, messages=0, telemetry=0) as env:
        # An age of a day stands still; so does all else but the minute.
        while time.time() % 60 > 60 - _SETTLE_S - _WATCH_S - 2:
            time.sleep(0.5)
        found = measure(ours(), env, _MOVES)
    bars = {"cpu": 0.3, "bytes": 0.001, "memory": 80, "key": 30}
    return _compared("nothing changes", {"sparkplug": found}, bars)


def _crowded(pane: str) -> list[Figure]:
    with crowd() as env:
        found = measure(ours(pane), env, _MOVES)
    bars = {"cpu": 3, "bytes": 4, "memory": 80, "key": 30}
    return _compared(f"crowd on {pane}", {"sparkplug": found}, bars)


def run() -> list[Figure]:
    """All figures of this file; the bars are those of the terminal's design."""
    return [
        *_quiet(),
        *_eight_gpus(),
        *_crowded("overview"),
        *_crowded("agents"),
        *_crowded("topology"),
    ]
