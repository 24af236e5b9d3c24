"""`make chaos SEED=7 MINUTES=5`: random kills for a while, with a report."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chaos.kills import PARTS, Arena
from chaos.memory_kills import kill_in_adds
from chaos.run_kills import MOMENTS, VICTIMS, RunArena
from chaos.task_kills import TaskArena
from fakes.node import Node


def main() -> int:
    """Kill at random until the time is up; non-zero when the mesh did not come back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--each", type=int, default=0, help="kill every part so often instead")
    parser.add_argument("--part", choices=PARTS, action="append", help="kill only these")
    parser.add_argument("--cases", type=int, default=0, help="runs in which something is killed")
    parser.add_argument("--tasks", type=int, default=0, help="so many tasks while parts are killed")
    parser.add_argument("--adds", type=int, default=0, help="so many memories a kill")
    parser.add_argument("--rounds", type=int, default=20, help="of adds")
    arguments = parser.parse_args()
    if arguments.adds:
        return _adds(arguments.rounds, arguments.adds, arguments.seed)
    if arguments.tasks:
        return _tasks(arguments.tasks, arguments.seed)
    parts = arguments.part or PARTS
    generator = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="sp-chaos-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        arena = Arena(node)
        try:
            arena.begin(Path(folder) / "agents")
            if arguments.each:
                plan = [part for part in parts for _ in range(arguments.each)]
                for part in plan:
                    arena.kill(part)
            else:
                until = time.monotonic() + arguments.minutes * 60
                while time.monotonic() < until:
                    arena.kill(generator.choice(parts))
            orphans = arena.orphans(Path(folder) / "agents")
        finally:
            print(f"seed {arguments.seed}\n{arena.report()}", flush=True)
            node.close()
    print(f"orphans: {orphans or 'none'}")
    wrong = kill_in_runs(arguments.cases, generator) if arguments.cases else 0
    return 1 if orphans or wrong else 0


def kill_in_runs(cases: int, generator: random.Random) -> int:
    """Kill in the middle of so many runs; how many came out wrong."""
    with tempfile.TemporaryDirectory(prefix="sp-chaos-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        arena = RunArena(node, Path(folder) / "agents", generator)
        try:
            arena.begin()
            for number in range(cases):
                arena.try_one(VICTIMS[number % len(VICTIMS)], generator.choice(MOMENTS))
        finally:
            print(arena.report(), flush=True)
            node.close()
    return sum(bool(case.problems) for case in arena.cases)


def _tasks(count: int, seed: int) -> int:
    """So many tasks, with a kill every few seconds until they are handed in."""
    with tempfile.TemporaryDirectory(prefix="sp-chaos-") as folder:
        # So that how each ended can be asked at the end.
        node = Node(Path(folder) / "state", {"SPARKPLUG_TASKS_KEEP_MAX": str(2 * count)})
        node.up()
        arena = TaskArena(node, Path(folder) / "recorder")
        try:
            arena.begin(8)
            asyncio.run(arena.run(count, max(5, count // 1000), 2.0, seed, 0.02))
        finally:
            print(f"seed {seed}\n{arena.report()}", flush=True)
            node.close()
        faults = arena.faults()
    print("\n".join(faults[:50]) or "no fault")
    return 1 if faults else 0


def _adds(rounds: int, count: int, seed: int) -> int:
    """So many memories added with a kill of the memory's process among them, so often."""
    with tempfile.TemporaryDirectory(prefix="sp-chaos-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        try:
            arena = asyncio.run(kill_in_adds(node, rounds, count, seed))
        finally:
            node.close()
    print(f"seed {seed}\n{arena.report()}", flush=True)
    print("\n".join(arena.faults[:50]) or "no fault")
    return 1 if arena.faults else 0


if __name__ == "__main__":
    sys.exit(main())
