"""A crowd: 500 light agents and 200 processes on one node; its start, its rest, its obedience."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figure, p50, p95
from bench.spawn import Watched
from fakes.node import ECHO, Node
from sparkplug.client import agents
from sparkplug.client.session import Client
from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec

LIGHT = 500
PROCESSES = 200
_DEADLINE_S = 240.0
_REST_S = 20.0
_ACTIONS = 100
_AT_ONCE = 16
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def pss_bytes(pid: int) -> int:
    """Memory of a process, shared pages counted by share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def spec(name: str, isolation: str) -> AgentSpec:
    """One of the crowd."""
    return AgentSpec(name=name, entrypoint="crowd_echo:handle", isolation=isolation)  # type: ignore[arg-type]


class CrowdOfAgents:
    """The crowd on a node, and what it does followed."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.watched = Watched(client)

    async def deploy(self, names: list[str], isolation: str) -> None:
        """Want all of them to run."""
        free = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> None:
            async with free:
                await agents.deploy(self.client, spec(name, isolation), self.folder)

        await asyncio.gather(*(one(name) for name in names))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once it holds of what is observed."""
        async with asyncio.timeout(_DEADLINE_S):
            while not condition():
                self.watched.changed.clear()
                await self.watched.changed.wait()

    def of(self, name: str) -> ObservedAgent | None:
        """The replica of an agent."""
        return self.watched.seen.get(f"agents.{name}.0")

    def idle(self, names: list[str]) -> int:
        """How many of them are ready."""
        found = (self.of(name) for name in names)
        return sum(agent is not None and agent.state is AgentState.IDLE for agent in found)

    def memory(self, names: list[str]) -> int:
        """What their processes take (PSS), bytes."""
        pids = {agent.pid for name in names if (agent := self.of(name)) is not None}
        return sum(pss_bytes(pid) for pid in pids if pid)

    async def act(self, name: str, what: str, isolation: str) -> float:
        """One lifecycle action, from the wish until it is seen done: seconds."""
        before = self.of(name)
        began = time.perf_counter()
        if what == "restart":
            instance = before.instance if before else None
            await agents.restart(self.client, name)
            await self.until(lambda: self._fresh(name, instance))
        elif what == "stop":
            await agents.stop(self.client, name)
            await self.until(lambda: self._is(name, AgentState.STOPPED))
        elif what == "start":
            await agents.start(self.client, name)
            await self.until(lambda: self._is(name, AgentState.IDLE))
        elif what == "deploy":
            await agents.deploy(self.client, spec(name, isolation), self.folder)
            await self.until(lambda: self._is(name, AgentState.IDLE))
        else:
            await agents.remove(self.client, name)
            await self.until(lambda: self.of(name) is None)
        return time.perf_counter() - began

    def _is(self, name: str, state: AgentState) -> bool:
        agent = self.of(name)
        return agent is not None and agent.state is state

    def _fresh(self, name: str, instance: str | None) -> bool:
        agent = self.of(name)
        return agent is not None and agent.state is AgentState.IDLE and agent.instance != instance


async def _measure(node: Node, folder: Path, light: int, processes: int) -> list[Figure]:
    pid = int(node.run_file("node.json")["pid"])
    small = [f"light-{number:03d}" for number in range(light)]
    large = [f"process-{number:03d}" for number in range(processes)]
    async with node.client() as client:
        crowd = CrowdOfAgents(client, folder)
        following = asyncio.create_task(crowd.watched.follow())
        began, cpu = time.perf_counter(), cpu_seconds(pid)
        await asyncio.gather(crowd.deploy(small, "shared"), crowd.deploy(large, "process"))
        wanted = time.perf_counter() - began
        await crowd.until(lambda: crowd.idle(small) == light)
        lights = time.perf_counter() - began
        await crowd.until(lambda: crowd.idle(large) == processes)
        ready = time.perf_counter() - began
        starting = cpu_seconds(pid) - cpu
        print(f"     all wanted after {wanted:.1f} s, the light ones ready after {lights:.1f} s")
        await asyncio.sleep(5.0)
        began, cpu = time.perf_counter(), cpu_seconds(pid)
        await asyncio.sleep(_REST_S)
        rest = 100 * (cpu_seconds(pid) - cpu) / (time.perf_counter() - began)
        light_memory, memory = crowd.memory(small), crowd.memory(large)
        times = await _obey(crowd, small, large)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    found = [value for values in times.values() for value in values]
    for what, values in times.items():
        print(f"     {what:18} p50 {p50(values):.3f} s, slowest {max(values):.3f} s")
    crowd_name = f"{light} light and {processes} process agents"
    return [
        Figure(f"{crowd_name}, all ready", ready, "s", 20.0),
        Figure("  the daemon's CPU meanwhile", starting, "s"),
        Figure("  the daemon at rest, of one core", rest, "%", 10.0),
        Figure("  one lifecycle action, p95", p95(found), "s", 0.3),
        Figure("  memory of all agents (PSS)", (memory + light_memory) / 2**30, "GiB", 24.0),
        Figure("    of each light one", light_memory / max(light, 1) / 2**20, "MiB"),
        Figure("    of each process", memory / max(processes, 1) / 2**20, "MiB"),
        Figure("  memory of the daemon", rss_bytes(pid) / 2**20, "MiB"),
    ]


async def _obey(crowd: CrowdOfAgents, small: list[str], large: list[str]) -> dict[str, list[float]]:
    """Lifecycle actions one after the other, on light ones and on processes by turns."""
    choose = random.Random(1)
    times: dict[str, list[float]] = {}
    for number in range(_ACTIONS // 10):
        for names, isolation in ((small, "shared"), (large, "process")):
            if not names:
                continue
            one, new = choose.choice(names), f"late-{isolation}-{number}"
            for name, what in (
                (one, "restart"),
                (one, "stop"),
                (one, "start"),
                (new, "deploy"),
                (new, "remove"),
            ):
                took = await crowd.act(name, what, isolation)
                times.setdefault(f"{what} {isolation}", []).append(took)
    return times


def run(light: int = LIGHT, processes: int = PROCESSES) -> list[Figure]:
    """All figures of this file."""
    print(f"     load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state")
        agents_folder = Path(folder) / "agents"
        agents_folder.mkdir()
        (agents_folder / "crowd_echo.py").write_text(ECHO)
        node.up()
        try:
            return asyncio.run(_measure(node, agents_folder, light, processes))
        finally:
            print(f"     load average {os.getloadavg()[0]:.1f}")
            node.close()
