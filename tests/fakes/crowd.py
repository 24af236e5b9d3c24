"""A busy mesh for the screen: hundreds of agents that change, messages between them, GPUs at work.

`python -m fakes.crowd FOLDER` keeps one in a state directory until it is ended, so that what it
costs is not counted to what looks at it. Everything goes over a real server; what nodes, agents
and the observer would write is written as they write it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fakes.mesh_server import MeshServer, started
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.service import Services
from sparkplug.schema.agent import AgentState, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.gpu import Gpm, NvLinks, Pcie
from sparkplug.schema.host import (
    Cpu,
    Driver,
    DriverState,
    Gpu,
    GpuMemory,
    GpuProcess,
    HostSample,
    Memory,
    Network,
    Pressure,
)
from sparkplug.schema.node import NodeState, Nothing, ObservedNode
from sparkplug.schema.node_services import LogsReply, LogsRequest, WindowReply, WindowRequest
from sparkplug.schema.topology import Topology, TopologyEdge, TopologyNode

_GIB = 1 << 30
_TICKS = 10
_NODE_S = 2.0
_BUSY = [
    AgentState.IDLE,
    AgentState.RUNNING,
    AgentState.THINKING,
    AgentState.WAITING_AGENT,
    AgentState.WAITING_GPU,
    AgentState.DEGRADED,
]
_KINDS = ("research", "writer", "reviewer", "indexer", "planner", "judge", "scout", "coder")
_PROMPT = b'{"prompt":"' + b"a prompt of the usual length, " * 8 + b'"}'


@dataclass(frozen=True)
class Size:
    """How many agents, on how many hosts; what changes in a second."""

    agents: int = 500
    replicas: int = 5
    hosts: int = 3
    gpus: int = 8
    changes: int = 200
    messages: int = 2000
    #: Whether hosts tell what they measure, and who talks to whom, once a second.
    telemetry: int = 1
    #: Hosts that have those GPUs, the first ones; one more that is dead, or one that babbles.
    gpu_hosts: int = 1
    dead: int = 0
    babbling: int = 0


class Crowd:
    """Writes what a mesh of that size writes. The same seed writes the same."""

    def __init__(self, server: MeshServer, size: Size, seed: int = 1) -> None:
        self._server = server
        self._size = size
        self._chance = random.Random(seed)
        self._agents: list[ObservedAgent] = []
        self._sequence = 0
        self._edges: list[TopologyEdge] = []
        self._graph = Topology()
        self._nodes: dict[str, ObservedNode] = {}

    async def run(self) -> None:
        """Write all once, say `ready`, then go on for ever."""
        self._bus = await self._server.connect("crowd")
        self._observed = Bucket(self._bus, subjects.BUCKET_OBSERVED)
        services = Services(self._bus)
        try:
            await self._begin(services)
            print("ready", flush=True)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._change())
                group.create_task(self._speak())
                if self._size.telemetry:
                    group.create_task(self._tell())
                group.create_task(self._live())
                if self._size.babbling:
                    group.create_task(self._babble())
        finally:
            await services.close()

    async def _begin(self, services: Services) -> None:
        size = self._size
        names = [
            f"{_KINDS[n % len(_KINDS)]}-{n:03}" for n in range(-(-size.agents // size.replicas))
        ]
        specs = Bucket(self._bus, subjects.BUCKET_SPECS)
        for name in names:
            spec = AgentSpec(name=name, entrypoint="m:f", replicas=size.replicas)
            await specs.put(name, DesiredAgent(spec=spec, changed_by="tester"))
        for number in range(size.agents):
            name, replica = names[number // size.replicas], str(number % size.replicas)
            host = f"gpu-{number % size.hosts + 1}"
            self._agents.append(
                ObservedAgent(
                    name=name,
                    replica=replica,
                    runtime="python",
                    description="reads what it is given and answers in a sentence",
                    capabilities=["read", "answer"],
                    owner="tester",
                    host=host,
                    node=host,
                    pid=4000 + number,
                    state=AgentState.IDLE,
                    state_since=utc_now() - timedelta(days=1),
                    instance=f"{number:032x}",
                    subject=subjects.prompt(name, "tester", replica),
                    actions={"summarise": {"type": "object", "properties": {"text": {}}}},
                )
            )
        for agent in self._agents:
            await self._put(f"agents.{agent.name}.{agent.replica}", agent)
        self._edges = [
            TopologyEdge(from_=one, to=self._chance.choice(names), latency_p50_ms=12.0)
            for one in names
            for _ in range(3)
        ]
        for number in range(size.hosts):
            await self._node(f"gpu-{number + 1}")
            await self._serve(services, f"gpu-{number + 1}")
        for number in range(size.dead + size.babbling):
            # Written once: a dead one is silent from then on.
            await self._node(f"gpu-{size.hosts + number + 1}")

        async def graph(_: Nothing) -> Topology:
            return self._graph

        await services.serve(subjects.TOPOLOGY_GET, Nothing, graph)
        await self._bus.flush()

    async def _serve(self, services: Services, node: str) -> None:
        async def window(_: WindowRequest) -> WindowReply:
            return WindowReply(samples=[])

        async def logs(request: LogsRequest) -> LogsReply:
            text = f"{request.agent} has started\n"
            return LogsReply(text=text[request.offset or 0 :], offset=len(text), size=len(text))

        await services.serve(subjects.node_service(node, "window"), WindowRequest, window)
        await services.serve(subjects.node_service(node, "logs"), LogsRequest, logs)

    async def _put(self, key: str, record: Record) -> None:
        # As a node of such a mesh writes: without waiting for each to be stored.
        subject = f"$KV.{subjects.BUCKET_OBSERVED}.{key}"
        await self._bus.nc.publish(subject, record.model_dump_json().encode())

    async def _node(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None:
            node = ObservedNode(name=name, host=name, state=NodeState.READY, version="1", pid=1)
            self._nodes[name] = node
        await self._put(f"nodes.{name}", node.model_copy(update={"seen": utc_now()}))

    async def _change(self) -> None:
        """So many replicas a second are in another state, or have served one more."""
        each = self._size.changes // _TICKS
        async for _ in _ticks(1 / _TICKS):
            for index in self._chance.sample(range(len(self._agents)), each):
                agent = self._agents[index]
                state = self._chance.choice(_BUSY)
                since = agent.state_since if state == agent.state else utc_now()
                self._agents[index] = agent = agent.model_copy(
                    update={
                        "state": state,
                        "state_since": since,
                        "inflight": self._chance.randrange(5),
                        "served": agent.served + 1,
                    }
                )
                await self._put(f"agents.{agent.name}.{agent.replica}", agent)

    async def _speak(self) -> None:
        """The agents prompt one another; nothing but the server carries it."""
        each = self._size.messages // _TICKS
        async for _ in _ticks(1 / _TICKS):
            for _ in range(each):
                agent = self._chance.choice(self._agents)
                await self._bus.nc.publish(agent.subject, _PROMPT)

    async def _tell(self) -> None:
        """Once a second: what the hosts measure, and the graph as the observer counts it."""
        async for _ in _ticks(1.0):
            self._sequence += 1
            for number in range(self._size.hosts):
                gpus = self._size.gpus if number < self._size.gpu_hosts else 0
                sample = self.sample(f"gpu-{number + 1}", gpus)
                data = sample.model_dump_json(exclude_none=True).encode()
                await self._bus.nc.publish(subjects.telemetry(sample.host), data)
            if self._edges:
                await self._tell_graph()

    async def _tell_graph(self) -> None:
        total = self._size.messages
        share = total / len(self._edges)
        edges = [
            edge.model_copy(
                update={
                    "messages": edge.messages + round(share),
                    "rate_per_second": round(share * self._chance.uniform(0.2, 1.8), 1),
                    "inflight": self._chance.randrange(3),
                }
            )
            for edge in self._edges
        ]
        self._edges = edges
        nodes = [
            TopologyNode(name=name, kind="agent", queue_depth=self._chance.randrange(4))
            for name in dict.fromkeys(edge.from_ for edge in edges)
        ]
        rate = total * self._chance.uniform(0.98, 1.02)
        self._graph = Topology(nodes=nodes, edges=edges, messages_per_second=rate)
        data = self._graph.model_dump_json(by_alias=True).encode()
        await self._bus.nc.publish(subjects.TOPOLOGY, data)

    async def _babble(self) -> None:
        """A host that says a hundred times a second what it should say once, and rubbish too."""
        host = f"gpu-{self._size.hosts + self._size.dead + 1}"
        async for _ in _ticks(0.01):
            sample = self.sample(host, self._size.gpus)
            subject = subjects.telemetry(host)
            await self._bus.nc.publish(subject, sample.model_dump_json().encode())
            await self._bus.nc.publish(subject, b"{" * 500)

    async def _live(self) -> None:
        async for _ in _ticks(_NODE_S):
            for number in range(self._size.hosts):
                await self._node(f"gpu-{number + 1}")

    def sample(self, host: str, gpus: int) -> HostSample:
        """What a host measures in this second."""
        chance = self._chance
        busy = chance.uniform(5, 95)
        return HostSample(
            host=host,
            sequence=self._sequence,
            uptime_seconds=100.0 + self._sequence,
            cpu=Cpu(
                percent=busy,
                user_percent=busy * 0.8,
                system_percent=busy * 0.2,
                cores=64,
                load1=busy / 10,
                load5=3,
                load15=3,
            ),
            memory=Memory(
                total_bytes=512 * _GIB, available_bytes=round(chance.uniform(200, 300)) * _GIB
            ),
            pressure={
                "cpu": Pressure(
                    some_avg10=chance.uniform(0, 3), some_avg60=1, full_avg10=0, full_avg60=0
                )
            },
            network=Network(
                receive_bytes_per_second=chance.uniform(1e6, 9e6),
                transmit_bytes_per_second=chance.uniform(1e6, 9e6),
            ),
            driver=Driver(state=DriverState.OK if gpus else DriverState.NO_DRIVER, version="580"),
            gpus=[self._gpu(index) for index in range(gpus)],
        )

    def _gpu(self, index: int) -> Gpu:
        chance = self._chance
        used = round(chance.uniform(40, 70) * _GIB)
        return Gpu(
            index=index,
            uuid=f"GPU-{index}",
            name="NVIDIA H100",
            utilization_percent=chance.randrange(101),
            memory=GpuMemory(total_bytes=80 * _GIB, used_bytes=used, free_bytes=80 * _GIB - used),
            temperature_celsius=chance.randrange(60, 80),
            power_watts=chance.uniform(300, 700),
            power_limit_watts=700.0,
            sm_clock_mhz=chance.randrange(1200, 1981),
            sm_clock_max_mhz=1980,
            temperature_memory_celsius=chance.randrange(60, 90),
            performance_state="P0",
            energy_joules=1e9 + 600.0 * self._sequence,
            ecc_uncorrected_volatile=0,
            ecc_corrected_volatile=0,
            remapped_rows_pending=False,
            gpm=Gpm(sm_percent=chance.randrange(101), tensor_percent=chance.randrange(101)),
            pcie=Pcie(
                generation=5,
                generation_max=5,
                width=16,
                width_max=16,
                receive_bytes_per_second=chance.uniform(1e9, 9e9),
                transmit_bytes_per_second=chance.uniform(1e9, 9e9),
                replays=0,
            ),
            nvlink=NvLinks(
                links=18,
                active=18,
                version="4.0",
                receive_bytes_per_second=chance.uniform(1e11, 2e11),
                transmit_bytes_per_second=chance.uniform(1e11, 2e11),
                crc_errors=0,
            ),
            clock_event_reasons=["software power cap"] if chance.random() < 0.1 else [],
            processes=[GpuProcess(pid=4000 + index, used_bytes=used, agent=f"writer-001/{index}")],
        )


async def _ticks(period: float) -> AsyncGenerator[None, None]:
    """Every so many seconds, whatever the work in between took; what is late is left out."""
    due = time.monotonic()
    while True:
        yield
        due = max(due + period, time.monotonic() - period)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def keep(folder: Path, size: Size) -> None:
    """A server in a folder with a crowd on it, until this is cancelled."""
    async with started(folder) as server:
        await Crowd(server, size).run()


def main() -> None:
    """Keep a crowd until a signal or the end of standard input."""
    parser = argparse.ArgumentParser(prog="python -m fakes.crowd")
    parser.add_argument("folder", type=Path)
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given = vars(parser.parse_args())
    folder = given.pop("folder")
    folder.mkdir(parents=True, exist_ok=True)

    async def until_ended() -> None:
        task = asyncio.create_task(keep(folder, Size(**given)))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        loop.add_reader(sys.stdin, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_ended())


if __name__ == "__main__":
    main()
