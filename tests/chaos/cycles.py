"""Deploy and remove, again and again: `python -m tests.chaos.cycles --cycles 2000`.

At the end the daemon's memory, descriptors, subscriptions and files must be where they
began: what grows with each agent that ever was would end a node that runs for months.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.crowd_agents import CrowdOfAgents, rss_bytes
from fakes.node import ECHO, Node, eventually
from sparkplug.client.session import Client

#: Before it is measured first: what is made once (zygote, shared process) is there, and what is
#: kept up to a bound (caches, histories) is full: that takes some hundreds.
_WARM = 500
_AT_ONCE = 8
#: Memory is given back in whole arenas, and telemetry of the time it takes is kept.
RSS_SLACK = 8 << 20


@dataclass(frozen=True)
class Held:
    """What a daemon holds."""

    rss: int
    descriptors: int
    subscriptions: int
    connections: int
    files: int

    def line(self) -> str:
        """It in words."""
        return (
            f"{self.rss / 2**20:.1f} MiB, {self.descriptors} descriptors, "
            f"{self.subscriptions} subscriptions, {self.connections} connections to its "
            f"server, {self.files} files"
        )


async def held(node: Node, client: Client) -> Held:
    """What the daemon holds now; descriptors and connections once they settle."""
    pid = int(node.run_file("node.json")["pid"])
    reply = await client.bus.nc.request("$SYS.REQ.ACCOUNT.PING.CONNZ", b"", timeout=5)
    connections = json.loads(reply.data)["data"]["connections"]
    own = next(c for c in connections if c.get("name", "").startswith("node "))
    folders = (node.paths.run, node.paths.agent_logs)
    files = sum(1 for folder in folders for path in folder.rglob("*") if path.is_file())
    return Held(
        rss=rss_bytes(pid),
        descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        subscriptions=own["subscriptions"],
        connections=len(connections),
        files=files,
    )


async def _cycle(crowd: CrowdOfAgents, number: int) -> None:
    isolation = "shared" if number % 2 else "process"
    name = f"cycle-{number:04d}"
    await crowd.deploy([name], isolation)
    await crowd.until(lambda: crowd.idle([name]) == 1)
    await crowd.act(name, "remove", isolation)


async def _cycles(crowd: CrowdOfAgents, first: int, count: int) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> None:
        async with free:
            await _cycle(crowd, number)

    await asyncio.gather(*(one(first + number) for number in range(count)))


async def run_cycles(node: Node, folder: Path, cycles: int, warm: int = _WARM) -> tuple[Held, Held]:
    """What the daemon held before and after; it settled to no more than before, or did not."""
    (folder / "crowd_echo.py").write_text(ECHO)
    async with node.client() as client:
        crowd = CrowdOfAgents(client, folder)
        following = asyncio.create_task(crowd.watched.follow())
        try:
            await _cycles(crowd, 0, warm)
            before = await _settled(node, client)
            await _cycles(crowd, warm, cycles)
            after = before

            async def back() -> bool:
                nonlocal after
                after = await held(node, client)
                return not leaks(before, after)

            with contextlib.suppress(TimeoutError):
                await eventually(back)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    return before, after


async def _settled(node: Node, client: Client) -> Held:
    """What is held once the last agents' ends were dealt with, and nothing changes."""
    before = await held(node, client)
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(1.0)
            now = await held(node, client)
            if (now.descriptors, now.subscriptions, now.connections, now.files) == (
                before.descriptors,
                before.subscriptions,
                before.connections,
                before.files,
            ):
                return now
            before = now


def leaks(before: Held, after: Held) -> list[str]:
    """What there is more of than there was; empty when nothing leaks."""
    found = [
        f"{name}: {getattr(before, name)}, then {getattr(after, name)}"
        for name in ("descriptors", "subscriptions", "connections", "files")
        if getattr(after, name) > getattr(before, name)
    ]
    if after.rss > before.rss + RSS_SLACK:
        found.append(f"memory: {before.rss}, then {after.rss} bytes")
    return found


def main() -> int:
    """Run and tell; 1 when something leaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.cycles")
    parser.add_argument("--cycles", type=int, default=2000)
    cycles = parser.parse_args().cycles
    with tempfile.TemporaryDirectory(prefix="sp-cycles-") as folder:
        node = Node(Path(folder) / "state")
        agents = Path(folder) / "agents"
        agents.mkdir()
        node.up()
        try:
            before, after = asyncio.run(run_cycles(node, agents, cycles))
        finally:
            node.close()
    print(f"before: {before.line()}\nafter:  {after.line()}")
    found = leaks(before, after)
    print(f"leaks after {cycles} cycles: {'; '.join(found) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
