"""Votes while voters are killed, come late and vote twice, and the keeper moves: counted again.

`python -m tests.chaos.votes --agents 50 --votes 1000` votes so often. Every voter is a process of
its own, with a user of its own, which writes down what it was told of each vote; the outcome of
each decision is worked out anew from the journal, and both are held against what the mesh says.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fakes.mesh_server import MeshServer, started
from sparkplug.bus import deciding, jwt, subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.decision_journal import read_decision
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials
from sparkplug.decisions.keeper import Decisions
from sparkplug.node.permissions import agent_permissions
from sparkplug.schema.decision import (
    Proposal,
    ProposeRequest,
    VoteRequest,
)
from sparkplug.schema.decision_fold import fold
from sparkplug.schema.errors import RefusedError, SparkplugError

_OPTIONS = ("north", "south", "east")
_LONGEST_S = 120.0
_TESTS = Path(__file__).resolve().parents[1]


@dataclass
class Plan:
    """What is to happen to the votes of one decision, by voter: the choice, and how it is cast."""

    decision: str
    seconds: float
    weights: dict[str, float]
    choices: dict[str, str] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)


async def vote(url: str, name: str, seed: str, token: str) -> None:
    """A voter: takes votes to cast on stdin, and writes what became of each to stdout."""
    bus = await connect(
        url,
        name=f"agent {name}/0",
        inbox_prefix=subjects.inbox("agent", f"{name}=0"),
        credentials=Credentials(token, seed),
    )
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    async with asyncio.TaskGroup() as group:
        while line := await reader.readline():
            group.create_task(_cast(bus, name, json.loads(line)))
    await bus.close()


async def _cast(bus: Bus, name: str, given: dict[str, Any]) -> None:
    if given["late"]:
        await deciding.wait_decided(bus, given["decision"], _LONGEST_S)
    for number in range(2 if given["twice"] else 1):
        request = VoteRequest(
            decision=given["decision"],
            option=given["option"],
            vote=f"{name}.{given['decision']}.{number}",
        )
        try:
            await deciding.vote(bus, request)
            told = "counted"
        except RefusedError as error:
            told = f"refused: {error.message}"
        except SparkplugError as error:
            told = f"failed: {error.message}"
        print(json.dumps([given["decision"], name, number, told]), flush=True)


class Voter:
    """A voter's process, and what it said of its votes."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.told: dict[tuple[str, int], str] = {}
        self._reading: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Wait until it is there, then note what it says."""
        assert self.process.stdout is not None
        await self.process.stdout.readline()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            decision, _, number, told = json.loads(line)
            self.told[decision, number] = told

    def cast(self, plan: Plan) -> None:
        """Have it vote."""
        given = {
            "decision": plan.decision,
            "option": plan.choices[self.name],
            "late": self.name in plan.late,
            "twice": self.name in plan.twice,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(given).encode() + b"\n")

    async def end(self) -> None:
        """Let it end what it does, then go."""
        if self.process.returncode is None and self.process.stdin is not None:
            self.process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_S):
                await self.process.wait()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self._reading is not None:
            await self._reading


class Poll:
    """Decisions by many voters, and the judge of them."""

    def __init__(self, server: MeshServer, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self._users: dict[str, str] = {}
        #: Of every process there was: what one that was killed had sent still counts.
        self._names: dict[str, str] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._keepers = 0
        self.votes = 0
        self.took: list[float] = []

    async def keep(self) -> None:
        """Another node keeps the decisions; the one before has gone without a word."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._keepers += 1
        node = f"n{self._keepers}"
        bus = await self._server.connect(node)
        keeper = Decisions(
            bus,
            node,
            f"{node} here",
            EventLog(bus, node, node),
            named=self._names.get,
            user_of=self._users.get,
            find=lambda _: None,
        )
        self._keeper = asyncio.create_task(keeper.run())

    async def _start(self, name: str) -> Voter:
        made = self._server.keys.user(name, agent_permissions(name, "me", "0"))
        user = self._users[f"{name}/0"] = jwt.public_key(made.seed)
        self._names[user] = f"{name}/0"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import asyncio, sys; from chaos.votes import vote; asyncio.run(vote(*sys.argv[1:]))",
            self._server.url,
            name,
            made.seed,
            made.jwt,
            cwd=_TESTS,
            env={**os.environ, "PYTHONPATH": f"{_TESTS}:{_TESTS.parent}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return Voter(name, process)

    async def run(self, agents: int, votes: int, seconds: float) -> list[str]:
        """So many votes by so many agents, a decision after the other; what was wrong."""
        names = [f"voter-{number}" for number in range(agents)]
        voters = {name: await self._start(name) for name in names}
        await asyncio.gather(*(voter.begin() for voter in voters.values()))
        await self.keep()
        bus = await self._server.connect("judge")
        plans: list[Plan] = []
        wrong: list[str] = []
        try:
            while self.votes < votes:
                plan = self._plan(len(plans), names, seconds)
                plans.append(plan)
                await self._hold(bus, plan, voters)
        finally:
            await asyncio.gather(*(voter.end() for voter in voters.values()))
            assert self._keeper is not None
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for plan in plans:
            wrong += await self._judge(bus, plan, voters)
        return wrong

    def _plan(self, number: int, names: list[str], seconds: float) -> Plan:
        chance = self._chance
        plan = Plan(
            f"poll-{number}",
            seconds,
            {name: float(chance.randrange(1, 4)) for name in names if chance.random() < 0.3},
        )
        for name in names:
            plan.choices[name] = chance.choice(_OPTIONS)
            draw = chance.random()
            if draw < 0.10:
                plan.killed.add(name)
            elif draw < 0.20:
                plan.late.add(name)
            elif draw < 0.25:
                plan.twice.add(name)
        return plan

    async def _hold(self, bus: Bus, plan: Plan, voters: dict[str, Voter]) -> None:
        """Open it, have all vote, kill who is to be killed, and wait for its end."""
        proposal = Proposal(
            question="where?",
            options=list(_OPTIONS),
            voters=list(voters),
            weights=plan.weights,
            quorum=0.3,
            threshold=0.0,
            seconds=plan.seconds,
            invite=False,
        )
        began = time.monotonic()
        await deciding.propose(bus, ProposeRequest(proposal=proposal, id=plan.decision))
        for name in self._chance.sample(list(voters), len(voters)):
            voters[name].cast(plan)
            self.votes += 1
            if name in plan.killed:
                await asyncio.sleep(self._chance.random() * 0.02)
                with contextlib.suppress(ProcessLookupError):
                    voters[name].process.send_signal(signal.SIGKILL)
        if len(plan.decision) % 2 == 0 or self._chance.random() < 0.3:
            await self.keep()
        await deciding.wait_decided(bus, plan.decision, _LONGEST_S)
        self.took.append(time.monotonic() - began)
        for name in plan.killed:
            before = voters[name]
            await before.end()
            voters[name] = after = await self._start(name)
            after.told = before.told
            await after.begin()

    async def _judge(self, bus: Bus, plan: Plan, voters: dict[str, Voter]) -> list[str]:
        """What is wrong with one decision."""
        entries = await read_decision(bus, plan.decision)
        view = fold(entries)
        wrong = []
        counted: dict[str, str] = {}
        for entry in entries:
            if entry.kind == "voted" and entry.option is not None:
                if entry.voter in counted:
                    wrong.append(f"{plan.decision}: {entry.voter} was counted twice")
                counted[entry.voter] = entry.option
                if entry.by != f"{entry.voter}/0" or not entry.user:
                    wrong.append(f"{plan.decision}: {entry.by} voted for {entry.voter}")
        for name, option in counted.items():
            if option != plan.choices[name]:
                wrong.append(f"{plan.decision}: {name} voted {plan.choices[name]}, not {option}")
            if name in plan.late:
                wrong.append(f"{plan.decision}: {name} came late and was counted")
        for name, voter in voters.items():
            first = voter.told.get((plan.decision, 0), "")
            if first == "counted" and name not in counted:
                wrong.append(f"{plan.decision}: {name} was told that it counts, and it does not")
            if first.startswith("refused") and name not in plan.late and name not in counted:
                wrong.append(f"{plan.decision}: {name} was refused: {first}")
            if name in plan.late and not first.startswith("refused"):
                wrong.append(f"{plan.decision}: {name} came late and was told {first!r}")
            if name in plan.twice and (second := voter.told.get((plan.decision, 1))) == "counted":
                wrong.append(f"{plan.decision}: {name} voted twice: {second}")
            on_time = name not in plan.killed | plan.late
            if on_time and name not in counted:
                wrong.append(f"{plan.decision}: {name} voted and is not counted: {first!r}")
        expected = independent(plan, counted)
        if view.outcome != expected:
            wrong.append(f"{plan.decision}: {view.outcome}, and by another count {expected}")
        return wrong


def independent(plan: Plan, counted: dict[str, str]) -> str | None:
    """The outcome by a count that shares nothing with the mesh's: most weight, alone, of enough."""
    whole = sum(plan.weights.get(name, 1.0) for name in plan.choices)
    count: Counter[str] = Counter()
    for name, option in counted.items():
        count[option] += int(plan.weights.get(name, 1.0))
    if sum(count.values()) < 0.3 * whole:
        return None
    best = count.most_common(2)
    if len(best) > 1 and best[0][1] == best[1][1]:
        return None
    return best[0][0] if best else None


async def poll(agents: int, votes: int, seconds: float, seed: int) -> dict[str, Any]:
    """A whole poll on a mesh of its own; what came of it."""
    with tempfile.TemporaryDirectory(prefix="sp-") as folder:
        async with started(Path(folder)) as server:
            held = Poll(server, seed)
            wrong = await held.run(agents, votes, seconds)
    return {"votes": held.votes, "decisions": len(held.took), "wrong": wrong}


def main() -> int:
    """Vote so often; non-zero when a decision is not right."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--votes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0, help="that a decision is open")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = asyncio.run(poll(given.agents, given.votes, given.seconds, given.seed))
    print(json.dumps(found, indent=1))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
