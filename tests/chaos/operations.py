"""Random operations on agents from several clients at once, while parts are killed.

Judged at the end: observed is desired, no process is left over, no replica ever had two
processes at a time (its witnesses say so), and every state that was shown was true within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nats.errors
import nats.js.errors
import psutil

from chaos.witnesses import WITNESS, Records
from fakes.node import Node
from sparkplug.client import agents, prompts, topology
from sparkplug.client.live import LiveMesh
from sparkplug.client.session import Client
from sparkplug.config import load_settings
from sparkplug.schema.agent import SERVING, AgentState, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import SparkplugError

#: A shown state is true if it held at any time so many seconds before it was looked at.
TRUE_WITHIN_S = 1.0
_LOOK_S = 0.1
_CONVERGE_S = 60.0
_WHOLE_S = 30.0
_OPERATION_S = 20.0
_PAUSE_S = 0.3
_KINDS = (
    *("deploy",) * 3,
    *("start",) * 2,
    *("stop",) * 2,
    *("restart",) * 3,
    *("scale",) * 3,
    *("remove",),
    *("prompt",) * 6,
)
#: Of what is shown, where a process is and answers; of the rest no process says anything.
_AT_WORK = {AgentState.RUNNING: True, AgentState.IDLE: False}


@dataclass(frozen=True, slots=True)
class Shown:
    """How one replica was shown at a moment (seconds since the epoch)."""

    time: float
    replica: str
    state: AgentState
    pid: int | None


@dataclass
class Operations:
    """A node, what was done to it, and what was seen of it."""

    node: Node
    folder: Path
    seed: int = 1
    names: tuple[str, ...] = ("ash", "birch", "cedar", "elm", "fir", "hazel")
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    #: When parts of the control plane were away, by the clock: nothing is shown as it is then.
    away: list[tuple[float, float]] = field(default_factory=list)
    deaths: dict[int, float] = field(default_factory=dict)

    async def run(self, count: int, clients: int, kills: int) -> None:
        """Do `count` operations by so many clients, with so many kills between them."""
        generator = random.Random(self.seed)
        left = iter(range(count))
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            async with asyncio.TaskGroup() as working:
                for number in range(clients):
                    working.create_task(self._work(random.Random(f"{self.seed}.{number}"), left))
                working.create_task(self._kill_some(generator, count, kills))
            watching.cancel()

    async def _connect(self) -> Client:
        settings = load_settings(environ=self.node.env)
        return await Client.connect(url=None, paths=self.node.paths, settings=settings)

    # What is done

    async def _work(self, generator: random.Random, left: object) -> None:
        client = await self._connect()
        async with client:
            for _ in left:  # type: ignore[attr-defined]  one iterator for all clients
                # A person, or a script, is not as quick as that.
                await asyncio.sleep(generator.random() * _PAUSE_S)
                kind, name = generator.choice(_KINDS), generator.choice(self.names)
                began = time.monotonic()
                try:
                    async with asyncio.timeout(_OPERATION_S):
                        await self._do(client, generator, kind, name)
                except (
                    SparkplugError,
                    TimeoutError,
                    nats.errors.Error,
                    nats.js.errors.Error,
                ) as error:
                    self.refused[f"{kind}: {type(error).__name__}"] += 1
                else:
                    self.done[kind] += 1
                    self.took.append(time.monotonic() - began)

    async def _do(self, client: Client, generator: random.Random, kind: str, name: str) -> None:
        match kind:
            case "deploy":
                spec = self._spec(name, generator)
                await agents.deploy(client, spec, self.folder / name, replace=True)
            case "start":
                await agents.start(client, name)
            case "stop":
                await agents.stop(client, name)
            case "restart":
                await agents.restart(client, name)
            case "scale":
                await agents.scale(client, name, generator.randrange(4))
            case "remove":
                await agents.remove(client, name)
            case "prompt":
                target = await agents.target(client, name)
                text = f"{generator.choice((0, 0.1, 1.5))}"
                async for _ in prompts.prompt(client, target, text, deadline=_OPERATION_S):
                    pass

    def _spec(self, name: str, generator: random.Random) -> AgentSpec:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        module = f"{name}_witness"
        path = folder / f"{module}.py"
        if not path.exists():
            path.write_text(WITNESS)
        return AgentSpec(
            name=name,
            entrypoint=f"{module}:handle",
            replicas=generator.randrange(1, 4),
            description=generator.choice(("one", "another")),
            restart={"max": 0, "backoff": "100ms"},  # type: ignore[arg-type]
        )

    # What is killed

    async def _kill_some(self, generator: random.Random, count: int, kills: int) -> None:
        for number in range(kills):
            due = count * (number + 1) // (kills + 1)
            while sum(self.done.values()) + sum(self.refused.values()) < due:
                await asyncio.sleep(0.02)
            part = ("agent", "daemon", "agent", "nats-server")[number % 4]
            pid = self._pid_of(part, generator)
            if pid is None:
                continue
            began = time.time()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills[part] += 1
            if part == "agent":
                continue
            await self._whole_again(part, pid)
            self.away.append((began, time.time()))

    def _pid_of(self, part: str, generator: random.Random) -> int | None:
        if part == "agent":
            records = (self.node.paths.run / "agents").glob("*.json")
            named = [pid for path in records if (pid := _pid_in(path)) is not None]
            return generator.choice(named) if named else None
        name = {"daemon": "node.json", "nats-server": "nats.json"}[part]
        found = self.node.run_file(name).get("pid")
        return int(found) if found else None

    async def _whole_again(self, part: str, killed: int) -> None:
        name = {"daemon": "node.json", "nats-server": "nats.json"}[part]
        async with asyncio.timeout(_WHOLE_S):
            while True:
                record = self.node.run_file(name)
                fresh = record.get("pid") not in (None, killed)
                if fresh and record.get("state", "ready") == "ready":
                    with contextlib.suppress(SparkplugError, TimeoutError, nats.errors.Error):
                        client = await self._connect()
                        async with client:
                            # The daemon itself answers this: it is on the bus again.
                            await topology.read_topology(client)
                            return
                await asyncio.sleep(0.05)

    # What is seen

    async def _watch(self) -> None:
        """Note how every replica is shown, and when processes end, ten times a second."""
        client = await self._connect()
        async with client:
            live = LiveMesh(client)
            async with asyncio.TaskGroup() as group:
                group.create_task(live.follow())
                while True:
                    now = time.time()
                    if not live.client.bus.connected:
                        # The screen says that what it shows is old, and how old.
                        self.away.append((now, now))
                    elif live.view.complete:
                        for agent in live.view.agents():
                            name = f"{agent.name}.{agent.replica}"
                            self.shown.append(Shown(now, name, agent.state, agent.pid))
                            if agent.pid and agent.pid not in self.deaths and _dead(agent.pid):
                                self.deaths[agent.pid] = now
                    await asyncio.sleep(_LOOK_S)

    def lies(self) -> list[str]:
        """States that were shown and had not been true for a second before; there must be none."""
        records = Records.read(self.folder)
        spans = {name: records.spans(name) for name in records.notes}
        found = []
        for shown in self.shown:
            if self._is_away(shown.time) or shown.state not in SERVING or shown.pid is None:
                continue
            where = f"{shown.replica} was shown {shown.state} at {shown.time:.2f}"
            died = self.deaths.get(shown.pid)
            if died is not None and shown.time - died > TRUE_WITHIN_S:
                found.append(f"{where}; its process {shown.pid} had ended at {died:.2f}")
            wanted = _AT_WORK.get(shown.state)
            if wanted is None or shown.replica not in spans:
                continue
            since = shown.time - TRUE_WITHIN_S - _LOOK_S
            worked = spans[shown.replica].worked(shown.pid, since, shown.time)
            if worked and wanted not in worked:
                found.append(f"{where}; by its own record it was not, pid {shown.pid}")
        return found

    def _is_away(self, moment: float) -> bool:
        """Whether the control plane was away, or had been within the time states have."""
        return any(
            began <= moment <= ended + 2 * TRUE_WITHIN_S + _LOOK_S for began, ended in self.away
        )

    # How it ends

    async def converged(self) -> str:
        """Wait until what is observed is what is desired; what is not, when it does not come."""
        client = await self._connect()
        async with client:
            why = "nothing was read"
            until = time.monotonic() + _CONVERGE_S
            while time.monotonic() < until:
                with contextlib.suppress(SparkplugError, TimeoutError, nats.errors.Error):
                    why = await self._differs(client)
                    if not why:
                        return ""
                await asyncio.sleep(0.1)
            return why

    async def _differs(self, client: Client) -> str:
        wanted = await agents.desired(client)
        observed: dict[str, ObservedAgent] = {
            f"{agent.name}/{agent.replica}": agent for agent in await agents.list_agents(client)
        }
        for name, desired in wanted.items():
            for number in range(desired.spec.replicas):
                agent = observed.pop(f"{name}/{number}", None)
                if agent is None:
                    return f"{name}/{number} is not observed"
                if desired.run and agent.state is not AgentState.IDLE:
                    return f"{name}/{number} is {agent.state}: {agent.reason}"
                if desired.run and agent.generation != desired.generation:
                    return f"{name}/{number} is of generation {agent.generation}"
                if not desired.run and agent.state is not AgentState.STOPPED:
                    return f"{name}/{number} is {agent.state}, and not wanted"
        return f"observed and not wanted: {sorted(observed)}" if observed else ""

    async def left_over(self) -> list[str]:
        """Witnesses that live and that no record knows, and known ones that do not live."""
        client = await self._connect()
        async with client:
            known = {agent.pid for agent in await agents.list_agents(client) if agent.pid}
        living = {pid for pid in Records.read(self.folder).pids() if self._lives(pid)}
        return [
            *(f"{pid} lives and is nobody's" for pid in sorted(living - known)),
            *(f"{pid} is shown and does not live" for pid in sorted(known - living)),
        ]

    def _lives(self, pid: int) -> bool:
        """Whether the process lives and is still a witness: a pid may have been given again."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return any(str(self.folder) in file for file in _locks(pid))
        except psutil.Error:
            return False

    def report(self) -> str:
        """What was done and seen, in a few lines."""
        times = sorted(self.took) or [0.0]
        lines = [
            f"seed {self.seed}: {sum(self.done.values())} done {dict(self.done)}",
            f"refused {dict(self.refused)}",
            f"killed {dict(self.kills)}",
            f"states looked at {len(self.shown)}",
            f"an operation took p50 {times[len(times) // 2] * 1000:.0f} ms, "
            f"p95 {times[len(times) * 95 // 100] * 1000:.0f} ms",
        ]
        return "\n".join(lines)


def _pid_in(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def _dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _locks(pid: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(descriptor.readlink()))
    return found
