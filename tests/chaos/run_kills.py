"""Runs whose planner, agent, server or node is killed with SIGKILL, judged by an outside recorder.

An agent writes a line to a file when it begins and when it ends a step: what it did, told by
nothing of ours. A random graph is run, and something is killed as a step begins, as one ends, or
somewhere in between. Whatever was killed, the run ends done, and a step was begun again only if a
kill fell between.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from chaos.kills import Arena
from fakes.node import Node, wait_until

#: What is killed: the planner lives in the daemon; the node is daemon and parent together.
VICTIMS = ("planner", "agent", "nats-server", "node")
MOMENTS = ("as a step begins", "as a step ends", "in the middle")
_DEADLINE_S = 90.0

WORKER = """
import asyncio
import os
import pathlib
import time

LOG = pathlib.Path(__file__).with_name("effects")


def note(what, ctx):
    line = f"{time.time()} {what} {ctx.key}\\n".encode()
    file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.fsync(file)
    os.close(file)


async def handle(ctx, request):
    note("begin", ctx)
    await asyncio.sleep(request.input["seconds"])
    note("end", ctx)
    return ctx.step
"""


@dataclass
class Case:
    """One run and what was done to it."""

    run: str
    victim: str
    moment: str
    killed: float
    steps: int
    problems: list[str] = field(default_factory=list)
    again: int = 0


@dataclass
class RunArena:
    """A node with one agent that notes what it does, and the cases that were tried on it."""

    node: Node
    folder: Path
    chance: random.Random
    cases: list[Case] = field(default_factory=list)

    @property
    def effects(self) -> list[tuple[float, str, str]]:
        """What the agent noted: when, begin or end, the step's key."""
        try:
            lines = (self.folder / "effects").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(float(t), what, key) for t, what, key in (line.split() for line in lines)]

    def begin(self) -> None:
        """Deploy the agent."""
        path = self.node.write_agent(
            self.folder, "worker", WORKER, restart={"max": 0, "backoff": "100ms"}
        )
        self.node.cli("agents", "deploy", str(path))

    def plan(self) -> dict[str, Any]:
        """A random graph of 3 to 8 steps, each a sleep."""
        steps: list[dict[str, Any]] = []
        for number in range(self.chance.randint(3, 8)):
            before = [step["id"] for step in steps]
            waits = self.chance.sample(before, min(len(before), self.chance.randint(0, 2)))
            steps.append(
                {
                    "id": f"s{number}",
                    "agent": "worker",
                    "action": "work",
                    "input": {"seconds": round(self.chance.uniform(0.05, 0.4), 3)},
                    "depends_on": waits,
                    "timeout": 60,
                }
            )
        return {"name": "chaos", "timeout": "5m", "steps": steps}

    def try_one(self, victim: str, moment: str) -> Case:
        """Run a graph, kill something in it, and judge what came of it."""
        plan = self.plan()
        file = self.folder / "plan.yaml"
        file.write_text(json.dumps(plan))
        before = len(self.effects)
        run = self._submit(file)
        what = "end" if moment == "as a step ends" else "begin"
        wanted = self.chance.randint(1, max(1, len(plan["steps"]) // 2))

        def reached() -> bool:
            return sum(one[1] == what for one in self.effects[before:]) >= wanted

        assert wait_until(reached, _DEADLINE_S), f"{run} does not begin"
        if moment == "in the middle":
            time.sleep(self.chance.uniform(0.0, 0.4))
        killed = self._kill(victim)
        case = Case(run, victim, moment, killed, len(plan["steps"]))
        self.cases.append(case)
        self._judge(case, plan)
        return case

    def _submit(self, file: Path) -> str:
        """Have it accepted, as soon as the node is back from the last kill."""
        said: list[str] = []

        def accepted() -> bool:
            told = self.node.cli("run", str(file), "--detach", check=False)
            said[:] = told.stdout.split()
            return told.returncode == 0

        assert wait_until(accepted, _DEADLINE_S), "nobody takes a run"
        return said[-1]

    def _kill(self, victim: str) -> float:
        arena = Arena(self.node, agents=("worker",))
        names = {"planner": ["daemon"], "node": ["parent", "daemon"]}.get(victim, [victim])
        pids = [arena.pid_of(name) for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        killed = time.time()
        if victim == "node":
            self.node.up()  # nobody is left to do it
        return killed

    def _judge(self, case: Case, plan: dict[str, Any]) -> None:
        view: dict[str, Any] = {}

        def ended() -> bool:
            nonlocal view
            told = self.node.cli("runs", "describe", case.run, "--json", check=False)
            if told.returncode != 0:
                return False
            view = json.loads(told.stdout)
            self._look(case, view)
            return view["state"] in ("done", "failed", "cancelled")

        if not wait_until(ended, _DEADLINE_S):
            case.problems.append(f"it does not end: {view.get('state')}")
            return
        if view["state"] != "done":
            case.problems.append(f"it ended {view['state']}: {view['error']}")
        effects = [one for one in self.effects if one[2].startswith(f"{case.run}/")]
        started = {
            step["id"]: datetime.fromisoformat(step["started"]).timestamp()
            for step in view["steps"]
            if step["started"]
        }
        for step in plan["steps"]:
            key = f"{case.run}/{step['id']}"
            begins = [t for t, what, k in effects if k == key and what == "begin"]
            ends = [t for t, what, k in effects if k == key and what == "end"]
            if view["state"] == "done" and not ends:
                case.problems.append(f"{key} is done and never was")
            for first, second in itertools.pairwise(begins):
                case.again += 1
                # What was asked just before a kill is begun just after it.
                if not min(first, started.get(step["id"], first)) <= case.killed <= second:
                    case.problems.append(f"{key} was begun again though no kill fell inside it")
        for step in plan["steps"]:
            began = min((t for t, w, k in effects if w == "begin" and k.endswith(f"/{step['id']}")))
            for name in step["depends_on"]:
                done = [t for t, w, k in effects if w == "end" and k.endswith(f"/{name}")]
                if not done or min(done) > began:
                    case.problems.append(f"{step['id']} was begun before {name} had ended")

    def _look(self, case: Case, view: dict[str, Any]) -> None:
        """What a face is shown is what was: no step is done that has not ended."""
        ended = {key for _, what, key in self.effects if what == "end"}
        for step in view["steps"]:
            if step["state"] == "done" and f"{case.run}/{step['id']}" not in ended:
                case.problems.append(f"{step['id']} is shown as done and never was")

    def report(self) -> str:
        """The cases in a few lines."""
        lines = []
        for victim in VICTIMS:
            cases = [case for case in self.cases if case.victim == victim]
            if cases:
                bad = sum(bool(case.problems) for case in cases)
                again = sum(case.again for case in cases)
                lines.append(
                    f"runs, {victim:<12} {len(cases)} cases, {bad} wrong, {again} begun again"
                )
        lines += [
            f"  {c.run} ({c.victim}, {c.moment}): {p}" for c in self.cases for p in c.problems
        ]
        return "\n".join(lines)
