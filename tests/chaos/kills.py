"""Killing every process of a node with SIGKILL, and judging whether the mesh is whole again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fakes.node import Node, wait_until

#: The bar: a mesh is whole again within so many seconds of any single kill.
WHOLE_WITHIN_S = 5.0
_DEADLINE_S = 20.0

#: An agent that notes every process that ever served under its name, outside of our events.
WITNESS = """
import os
import pathlib

HERE = pathlib.Path(__file__).parent
(HERE / f"born.{os.getpid()}").touch()


async def handle(ctx, request):
    return f"{os.getpid()}"
"""


@dataclass
class Kill:
    """One kill: what, and how long until the mesh was whole (seconds)."""

    what: str
    seconds: float


@dataclass
class Arena:
    """A node with agents, and the means to kill its parts."""

    node: Node
    agents: tuple[str, ...] = ("alpha", "beta")
    kills: list[Kill] = field(default_factory=list)

    def begin(self, folder: Path) -> None:
        """Deploy the witnesses."""
        for name in self.agents:
            path = self.node.write_agent(
                folder / name, name, WITNESS, restart={"max": 0, "backoff": "100ms"}
            )
            self.node.cli("agents", "deploy", str(path))

    def pid_of(self, what: str) -> int:
        """The pid of a part: agent, nats-server, zygote, daemon or parent."""
        node = self.node
        if what == "agent":
            return node.agent_pids()[f"{self.agents[0]}/0"]
        if what == "nats-server":
            return int(node.run_file("nats.json")["pid"])
        if what == "daemon":
            return int(node.run_file("node.json")["pid"])
        if what == "parent":
            return int(node.run_file("parent.json")["pid"])
        daemon = psutil.Process(int(node.run_file("node.json")["pid"]))
        zygotes = [p for p in daemon.children() if "sparkplug.agents.zygote" in p.cmdline()]
        return zygotes[0].pid

    def kill(self, what: str) -> Kill:
        """SIGKILL a part and wait until the mesh is whole; the agents not killed stay."""
        before = self.node.agent_pids()
        pid = self.pid_of(what)
        survivors = {k: v for k, v in before.items() if v != pid}
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        whole = wait_until(lambda: self.whole(pid, survivors), _DEADLINE_S)
        kill = Kill(what, time.monotonic() - began)
        self.kills.append(kill)
        assert whole, f"after killing the {what}: {self.missing(pid, survivors)}"
        return kill

    def whole(self, killed: int, survivors: dict[str, int]) -> bool:
        """True when every part runs, agents answer, and the survivors are untouched."""
        return not self.missing(killed, survivors)

    def missing(self, killed: int, survivors: dict[str, int]) -> str:
        """What is not as it should be; empty when the mesh is whole."""
        node = self.node
        checks: list[tuple[str, Callable[[], bool]]] = [
            ("nats-server", lambda: _runs(node.run_file("nats.json"), killed)),
            ("daemon", lambda: _runs(node.run_file("node.json"), killed)),
            ("ready", lambda: node.run_file("node.json").get("state") == "ready"),
            ("parent", lambda: _runs(node.run_file("parent.json"), killed)),
            ("zygote", lambda: self.pid_of("zygote") != killed),
        ]
        for name, check in checks:
            try:
                if not check():
                    return name
            except (KeyError, IndexError, psutil.Error):
                return name
        listed = node.cli("agents", "list", "--json", check=False)
        if listed.returncode != 0:
            return f"agents list: {listed.stderr}"
        rows = {f"{r['name']}/{r['replica']}": r for r in json.loads(listed.stdout)}
        for name in self.agents:
            row = rows.get(f"{name}/0", {})
            if row.get("state") != "idle" or row.get("pid") == killed:
                return f"agent {name}: {row.get('state')}"
            if f"{name}/0" in survivors and row["pid"] != survivors[f"{name}/0"]:
                return f"agent {name} was disturbed"
            answer = node.cli("prompt", name, "who", check=False)
            if answer.stdout.strip() != str(row["pid"]):
                return f"agent {name} answers {answer.stdout!r} {answer.stderr!r}"
        return ""

    def orphans(self, folder: Path) -> list[int]:
        """Witnesses that live and are not the one their agent's record names."""
        known = set(self.node.agent_pids().values())
        born = [int(path.suffix[1:]) for path in folder.rglob("born.*")]
        living = []
        for pid in born:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE and any(
                    "sparkplug" in word for word in process.cmdline()
                ):
                    living.append(pid)
        return [pid for pid in living if pid not in known]

    def report(self) -> str:
        """A line for each part: how often, the median and the worst time to whole."""
        lines = []
        for what in sorted({kill.what for kill in self.kills}):
            times = sorted(kill.seconds for kill in self.kills if kill.what == what)
            median = times[len(times) // 2]
            lines.append(
                f"{what:12} {len(times):3} kills  whole again p50 {median:.2f} s  "
                f"worst {times[-1]:.2f} s"
            )
        return "\n".join(lines)


PARTS = ("agent", "nats-server", "zygote", "daemon", "parent")


def _runs(record: dict[str, object], killed: int) -> bool:
    pid = int(str(record.get("pid") or 0))
    return pid not in (0, killed) and psutil.pid_exists(pid) if pid != killed else False
