"""`python -m tests.chaos.soak --operations 1000 --seed 3`: random operations under kills."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chaos.operations import Operations
from chaos.witnesses import Records
from fakes.node import Node


async def judge(operations: Operations, count: int, clients: int, kills: int) -> list[str]:
    """Do it, and everything that was wrong."""
    await operations.run(count, clients, kills)
    differs = await operations.converged()
    lies = operations.lies()
    wrong = [f"observed is not desired: {differs}"] if differs else []
    wrong += [f"two owners: {second}" for second in Records.read(operations.folder).seconds()]
    wrong += await operations.left_over()
    wrong += [f"{len(lies)} states were not true, such as: {lie}" for lie in lies[:5]]
    return wrong


def main() -> int:
    """Non-zero when something was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--kills", type=int, default=24)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sp-soak-") as folder:
        node = Node(Path(folder) / "state")
        node.up()
        operations = Operations(node, Path(folder) / "agents", seed=arguments.seed)
        operations.folder.mkdir()
        try:
            wrong = asyncio.run(
                judge(operations, arguments.operations, arguments.clients, arguments.kills)
            )
        finally:
            print(operations.report(), flush=True)
            node.close()
    print("\n".join(wrong) or "observed is desired, one owner each, every state was true")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
