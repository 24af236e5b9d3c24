"""Durable tasks through eight agents, beside a bare JetStream loop that makes the same writes.

Both run on one server that syncs every write, with eight worker processes. The bare loop keeps
three writes a task as the service does: the task, that it was begun, and its end. It has no
priorities, no second tries, no keys; it hands out by a shared pull consumer of a work queue, and
sends each write without waiting for the one before.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nats
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from bench.figures import Figure
from fakes.node import Node
from sparkplug.bus import subjects
from sparkplug.client import agents, tasks
from sparkplug.client.readiness import wait_ready
from sparkplug.client.session import Client
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.task import NewTask

_TASKS = 10_000
_AGENTS = 8
_ROUNDS = 3
_PACED = 400
_BARE_BYTES = 8 << 20
_BODY = "x" * 200

AGENT = """
import time

async def handle(ctx, request):
    if request.text.startswith("at "):
        return str(time.time() - float(request.text[3:]))
    return request.text
"""

BARE_WORKER = """
import asyncio, sys
import nats

URL, CREDS, NAME = sys.argv[1:]

async def main():
    nc = await nats.connect(URL, user_credentials=CREDS)
    js = nc.jetstream()
    pull = await js.pull_subscribe_bind("workers", "BARE")
    print("ready", flush=True)

    async def do(message):
        number = message.data.split()[0].decode()
        await js.publish(f"bare.state.{number}", b"begun " + message.data)
        await js.publish(f"bare.state.{number}", b"done " + message.data)
        await message.ack()

    while True:
        try:
            first = await pull.fetch(16, timeout=0.5)
        except (TimeoutError, nats.errors.TimeoutError):
            continue
        await asyncio.gather(*map(do, first))

asyncio.run(main())
"""


async def bare_rate(url: str, creds: str, folder: Path) -> float:
    """Tasks a second of the bare loop: handed in at once, until all have ended."""
    nc = await nats.connect(url, user_credentials=creds)
    js = nc.jetstream()
    await js.add_stream(
        StreamConfig(
            name="BARE",
            subjects=["bare.work"],
            retention=RetentionPolicy.WORK_QUEUE,
            max_bytes=_BARE_BYTES,
        )
    )
    await js.add_stream(
        StreamConfig(
            name="BARE_STATE",
            subjects=["bare.state.>"],
            max_msgs_per_subject=1,
            max_bytes=_BARE_BYTES,
        )
    )
    await js.add_consumer(
        "BARE",
        ConsumerConfig(durable_name="workers", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=4096),
    )
    worker = folder / "bare_worker.py"
    worker.write_text(BARE_WORKER)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(worker), url, creds, str(n), stdout=asyncio.subprocess.PIPE
        )
        for n in range(_AGENTS)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            await process.stdout.readline()
        count = _TASKS // 4
        began = time.perf_counter()
        for start in range(0, count, 250):
            body = [f"{n} {_BODY}".encode() for n in range(start, start + 250)]
            await asyncio.gather(*(js.publish("bare.work", one) for one in body))
        while (await js.stream_info("BARE")).state.messages:
            await asyncio.sleep(0.02)
        return count / (time.perf_counter() - began)
    finally:
        for process in processes:
            process.kill()
            await process.wait()
        await js.delete_stream("BARE")
        await js.delete_stream("BARE_STATE")
        await nc.close()


async def our_rate(client: Client) -> float:
    """Tasks a second of ours: handed in at once, until all have ended."""
    before = await _done(client)
    began = time.perf_counter()
    new = [NewTask(capability="bench", text=_BODY) for _ in range(_TASKS)]
    await tasks.submit(client, new)
    while await _done(client) - before < _TASKS:
        await asyncio.sleep(0.02)
    return _TASKS / (time.perf_counter() - began)


async def _done(client: Client) -> int:
    figures = await tasks.read_figures(client)
    return sum(queue.done for queue in figures.queues if queue.capability == "bench")


async def start_times(client: Client) -> list[float]:
    """Milliseconds from handing a task in to its agent having begun it, 200 a second."""
    took = []
    pending: list[asyncio.Task[str]] = []

    async def one() -> str:
        new = NewTask(capability="bench", text=f"at {time.time()}")
        return (await tasks.submit_one(client, new)).id

    for _ in range(_PACED):
        pending.append(asyncio.create_task(one()))
        await asyncio.sleep(0.005)
    for handed in pending:
        done = await tasks.wait_ended(client, await handed, 30)
        took.append(float(done.result) * 1000)
    return took


async def measure(node: Node, folder: Path) -> list[Figure]:
    """Rounds of both, in turn: the machine's mood falls on both."""
    (folder / "bench_tasks.py").write_text(AGENT)
    url = str(node.run_file("node.json")["url"])
    creds = str(node.paths.keys / "face.creds")
    ours, bare = [], []
    async with node.client() as client:
        # The streams of a mesh reserve nearly all there is: room for those of the bare loop.
        await client.bus.js.delete_stream(f"OBJ_{subjects.OBJECTS_FILES}")
        spec = AgentSpec(
            name="bencher",
            entrypoint="bench_tasks:handle",
            capabilities=["bench"],
            replicas=_AGENTS,
        )
        await agents.deploy(client, spec, folder)
        await wait_ready(client, ["bencher"], 60)
        while (await tasks.read_figures(client)).queues[:1] == [] or not await _able(client):
            await tasks.submit_one(client, NewTask(capability="bench", text="warm"))
            await asyncio.sleep(0.2)
        for _ in range(_ROUNDS):
            bare.append(await bare_rate(url, creds, folder))
            ours.append(await our_rate(client))
        starts = await start_times(client)
    rate, peer = statistics.median(ours), statistics.median(bare)
    p99 = statistics.quantiles(starts, n=100, method="inclusive")[-1]
    return [
        # As times, of which less is better.
        Figure(
            "time of a durable task through 8 agents",
            1000 / rate,
            "ms",
            0.5,
            "bare JetStream loop",
            1000 / peer,
            2.0,
        ),
        Figure("task from handing in to start, p99", p99, "ms", 10.0),
    ]


async def _able(client: Client) -> bool:
    queues = (await tasks.read_figures(client)).queues
    return any(q.capability == "bench" and q.workers == _AGENTS for q in queues)


def run() -> list[Figure]:
    """All figures of this file."""
    with tempfile.TemporaryDirectory(prefix="sp-bench-") as folder:
        node = Node(Path(folder) / "state", {"SPARKPLUG_TASKS_QUEUE_MAX": "200000"})
        node.up()
        try:
            return asyncio.run(measure(node, Path(folder)))
        finally:
            node.close()
