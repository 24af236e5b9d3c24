"""The observer under 20,000 messages a second: what it takes of a core, and whether it counts all.

The senders write the protocol to the server by themselves, and say at the end what they sent to
whom; the observer runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from nats.aio.msg import Msg

from bench.figures import Figure
from fakes.mesh_server import MeshServer, started
from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.events import EventLog
from sparkplug.bus.keys import read_creds
from sparkplug.bus.service import call
from sparkplug.bus.tap import open_tap
from sparkplug.node.directory import Directory
from sparkplug.node.observer.observer import Observer
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.node import Nothing
from sparkplug.schema.settings import ObserveSection
from sparkplug.schema.topology import Topology

_RATE = 20_000
_SECONDS = 15
_TICK_S = 0.05
_AGENTS = 50
_BODY = b'{"prompt":"' + b"a prompt of the usual length, " * 8 + b'"}'
_CHUNK = b'{"type":"response","data":"an answer of the usual length, more or less"}'
_TESTS = Path(__file__).resolve().parents[1]


async def listen(url: str, creds: str) -> None:
    """The peer: count the same messages by nats-py's own callbacks, by subject alone."""
    bus = await connect(
        url,
        name="listener",
        inbox_prefix=subjects.inbox("node", "listener"),
        credentials=read_creds(Path(creds)),
    )
    found: Counter[str] = Counter()

    async def take(message: Msg) -> None:
        found[message.subject] += 1

    for subject in (subjects.PROMPTS, *subjects.ANSWERS):
        await bus.nc.subscribe(subject, cb=take)
    await bus.flush()
    await tell_cpu()
    await bus.close()


async def observe(url: str, creds: str) -> None:
    """Observe, and say twice how much processor time it has taken, each time a line comes."""
    bus = await connect(
        url,
        name="observer",
        inbox_prefix=subjects.inbox("node", "observer"),
        credentials=read_creds(Path(creds)),
    )
    observer = Observer(
        bus,
        "bench",
        "bench",
        "tester",
        Directory(bus),
        EventLog(bus, "bench", "bench"),
        ObserveSection(),
        lambda: open_tap(bus, "observer bench", 5.0),
    )
    task = asyncio.create_task(observer.run())
    await tell_cpu()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bus.close()


async def tell_cpu() -> None:
    """Say the processor time of this process (seconds) when a line comes on stdin, twice."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    for _ in range(2):
        await reader.readline()
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, flush=True)


@dataclass(frozen=True)
class Measured:
    """Percent of a core of the observer and of the peer, messages a second that were sent, pairs
    that were counted otherwise than sent, and the graph."""

    used: float
    plain: float
    reached: float
    wrong: int
    graph: Topology


def requests(number: int) -> tuple[bytes, bytes, bytes, tuple[str, str]]:
    """A prompt, a piece of its answer and the answer's end, as lines of the protocol."""
    one, other = f"agent-{number % _AGENTS}", f"agent-{number * 7 % _AGENTS}"
    reply = f"_INBOX.sp.agent.{one}=0.x.{number}".encode()
    prompt = b"PUB agents.prompt.%s.tester.0 %s %d\r\n%s\r\n" % (
        other.encode(),
        reply,
        len(_BODY),
        _BODY,
    )
    piece = b"PUB %s %d\r\n%s\r\n" % (reply, len(_CHUNK), _CHUNK)
    return prompt, piece, b"PUB %s 0\r\n\r\n" % reply, (one, other)


async def send(bus: Bus, rate: int, seconds: float) -> tuple[Counter[tuple[str, str]], float]:
    """Send so many messages a second, of which one of three is a prompt; what was sent, and how
    many a second it came to."""
    sent: Counter[tuple[str, str]] = Counter()
    number = 0
    began = time.monotonic()
    writer = bus.nc._transport
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate / 3)
        block = []
        while number < due:
            prompt, piece, end, pair = requests(number)
            block += [prompt, piece, end]
            sent[pair] += 1
            number += 1
        writer.write(b"".join(block))
        await writer.drain()
        await asyncio.sleep(_TICK_S)
    await bus.flush()
    return sent, 3 * number / (time.monotonic() - began)


async def counted(bus: Bus, total: int, deadline: float) -> Topology:
    """The graph once so many messages are in it, or at the deadline."""
    until = time.monotonic() + deadline
    while True:
        graph = Topology()
        with contextlib.suppress(SparkplugError):
            graph = await call(bus, subjects.TOPOLOGY_GET, Nothing(), Topology)
        if (
            graph.observer and sum(edge.messages for edge in graph.edges) >= total
        ) or time.monotonic() > until:
            return graph
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def child(server: MeshServer, what: str) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """A process that does `what`; gives what tells its processor time so far (twice)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio, sys; import bench.observer as here;"
        f"asyncio.run(here.{what}(*sys.argv[1:]))",
        server.url,
        str(server.folder / "keys" / "face.creds"),
        cwd=_TESTS,
        env={**os.environ, "PYTHONPATH": f"{_TESTS}:{_TESTS.parent}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    into, out = process.stdin, process.stdout
    assert into is not None
    assert out is not None

    async def cpu() -> float:
        into.write(b"\n")
        return float(await out.readline())

    try:
        await out.readline()
        yield cpu
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(server: MeshServer, rate: int, seconds: float) -> Measured:
    """The observer beside what only listens, one after the other."""
    bus = await server.connect("senders")
    async with child(server, "listen") as cpu:
        before, began = await cpu(), time.monotonic()
        await send(bus, rate, seconds)
        plain = (await cpu() - before) / (time.monotonic() - began) * 100
    async with child(server, "observe") as cpu:
        await counted(bus, 0, 10)
        before, began = await cpu(), time.monotonic()
        sent, reached = await send(bus, rate, seconds)
        graph = await counted(bus, sum(sent.values()), 20)
        used = (await cpu() - before) / (time.monotonic() - began) * 100
    seen = {(edge.from_, edge.to): edge.messages for edge in graph.edges}
    wrong = sum(seen.get(pair, 0) != number for pair, number in sent.items())
    return Measured(used, plain, reached, wrong, graph)


async def _figures() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        async with started(Path(folder)) as server:
            found = await measure(server, _RATE, _SECONDS)
    reached = f"{found.reached / 1000:.1f}k"
    return [
        Figure(
            f"observer at {reached} messages a second, of a core",
            found.used,
            "%",
            60.0,
            "nats-py callback",
            found.plain,
        ),
        Figure("pairs of which it counted another number", float(found.wrong), "", 0.5),
        Figure("times it was cut off", float(found.graph.gaps), "", 0.5),
    ]


def run() -> list[Figure]:
    """All figures of this file."""
    return asyncio.run(_figures())
