"""Tasks while workers, the nats-server and the node are killed, judged by an outside recorder.

Every try is written down by the process that makes it, in a file of its own, by the clock all
processes of a host share. Nothing of that goes over the bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from fakes.node import Node
from sparkplug.client import tasks
from sparkplug.client.session import Client
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.task import NewTask, TaskState

RECORDER = """
import asyncio
import os
import pathlib
import time

HERE = pathlib.Path(__file__).parent
RECORD = os.open(HERE / f"tries.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(word, ctx):
    line = f"{time.monotonic():.6f} {word} {ctx.task} {ctx.attempt}\\n"
    os.write(RECORD, line.encode())


async def handle(ctx, request):
    note("begin", ctx)
    try:
        await asyncio.sleep(float(request.text))
        return f"{os.getpid()}"
    finally:
        note("end", ctx)
"""

PARTS = ("agent", "nats-server", "daemon")
_SETTLE_S = 120.0


@dataclass
class Try:
    """One try, as its process wrote it down. `ended` is None when it was cut off."""

    pid: int
    attempt: int
    began: float
    ended: float | None = None


@dataclass
class TaskArena:
    """A node with recorders, what was handed in, and who was killed when."""

    node: Node
    folder: Path
    killed: dict[int, float] = field(default_factory=dict)
    kills: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    accepted: list[str] = field(default_factory=list)
    states: dict[str, TaskState] = field(default_factory=dict)

    def begin(self, replicas: int = 4) -> None:
        """Deploy the recorders."""
        path = self.node.write_agent(
            self.folder,
            "recorder",
            RECORDER,
            capabilities=["record"],
            replicas=replicas,
            concurrency=16,
            restart={"max": 0, "backoff": "50ms"},
        )
        self.node.cli("agents", "deploy", str(path))

    async def run(self, count: int, kills: int, pause: float, seed: int, length: float) -> None:
        """Hand in `count` tasks of about `length` seconds and kill meanwhile, until all ended."""
        generator = random.Random(seed)
        async with self.node.client() as client:
            handing = asyncio.create_task(self._hand_in(client, count, generator, length))
            for number in range(kills):
                await asyncio.sleep(pause)
                # Every part at least once, then as it comes.
                part = PARTS[number] if number < len(PARTS) else generator.choice(PARTS)
                self._kill(part, generator)
            await handing
            await self._settle(client)

    async def _hand_in(
        self, client: Client, count: int, generator: random.Random, length: float
    ) -> None:
        left = count
        while left:
            some = min(left, 200)
            new = [
                NewTask(
                    id=f"{generator.getrandbits(64):016x}",
                    capability="record",
                    text=f"{generator.uniform(0, 2 * length):.4f}",
                    timeout=60,
                    tries=10,
                    backoff=0.05,
                )
                for _ in range(some)
            ]
            while True:
                with contextlib.suppress(SparkplugError):
                    # The same ids again: what was taken the first time is not taken twice.
                    taken = await tasks.submit(client, new)
                    break
            self.accepted += [one.id for one in taken if not one.refused]
            left -= some

    def _kill(self, part: str, generator: random.Random) -> None:
        name = {"nats-server": "nats.json", "daemon": "node.json"}.get(part)
        if name is not None:
            pid = int(self.node.run_file(name).get("pid") or 0)
        else:
            born = [int(path.suffix[1:]) for path in self.folder.glob("tries.*")]
            living = [one for one in born if one not in self.killed and psutil.pid_exists(one)]
            if not living:
                return
            pid = generator.choice(living)
        with contextlib.suppress(ProcessLookupError):
            if pid:
                # Written down before: a second try cannot begin earlier than that.
                self.killed[pid] = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                self.kills[part] += 1

    async def _settle(self, client: Client) -> None:
        async with asyncio.timeout(_SETTLE_S + len(self.accepted) / 200):
            for name in self.accepted:
                while name not in self.states:
                    with contextlib.suppress(SparkplugError):
                        found = await tasks.wait_ended(client, name, 20.0)
                        self.states[name] = found.state

    def tries(self) -> dict[str, list[Try]]:
        """What the recorders wrote, by task, in the order the tries began."""
        found: defaultdict[str, list[Try]] = defaultdict(list)
        for path in self.folder.glob("tries.*"):
            pid = int(path.suffix[1:])
            for line in path.read_text().splitlines():
                when, word, task, attempt = line.split()
                if word == "begin":
                    found[task].append(Try(pid, int(attempt), float(when)))
                else:
                    mine = [one for one in found[task] if one.pid == pid]
                    last = next(one for one in mine if one.attempt == int(attempt))
                    last.ended = float(when)
        for made in found.values():
            made.sort(key=lambda one: one.began)
        return found

    def faults(self) -> list[str]:
        """All that ought not to be, in words; empty when it was as promised."""
        faults = [f"{name} is {state}" for name, state in self.states.items() if not _over(state)]
        faults += [f"{name} vanished" for name in set(self.accepted) - set(self.states)]
        made = self.tries()
        for name in self.accepted:
            tries = made.get(name, [])
            if not tries:
                faults.append(f"{name} is {self.states.get(name)} and was never tried")
            for before, after in pairwise(tries):
                killed = self.killed.get(before.pid)
                if killed is None or killed > after.began:
                    faults.append(f"{name}: try {after.attempt} with none killed before")
                if before.ended is None and killed is None:
                    faults.append(f"{name}: two tries at once")
        return faults

    def report(self) -> str:
        """What was done, in a line."""
        tries = self.tries()
        again = sum(len(made) > 1 for made in tries.values())
        dead = sum(state is TaskState.DEAD for state in self.states.values())
        kills = ", ".join(f"{part} {count}" for part, count in sorted(self.kills.items()))
        return (
            f"{len(self.accepted)} tasks, {sum(map(len, tries.values()))} tries, {again} tried "
            f"again, {dead} dead letters; killed: {kills}"
        )


def _over(state: TaskState) -> bool:
    return state in (TaskState.DONE, TaskState.DEAD)
