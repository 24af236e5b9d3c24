"""A real bus with what nodes, agents and planners write on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fakes.mesh_server import MeshServer
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.service import Services
from sparkplug.schema.agent import AgentState, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.base import utc_now
from sparkplug.schema.host import (
    Cpu,
    Driver,
    DriverState,
    Gpu,
    GpuMemory,
    GpuProcess,
    HostSample,
    Memory,
    Process,
)
from sparkplug.schema.node import NodeOrder, NodeState, Nothing, ObservedNode
from sparkplug.schema.node_services import (
    LogsReply,
    LogsRequest,
    ProcessesReply,
    WindowReply,
    WindowRequest,
)
from sparkplug.schema.plan import Plan, Step
from sparkplug.schema.run import JournalEntry
from sparkplug.schema.topology import Topology
from sparkplug.schema.usage import (
    AgentUsage,
    NodeUsage,
    UsageHistory,
    UsagePoint,
    UsageReply,
    UsageRequest,
)

GIB = 1 << 30


def gpu(index: int = 0, **changes: Any) -> Gpu:
    """A GPU at work."""
    fields: dict[str, Any] = {
        "index": index,
        "uuid": f"GPU-{index}",
        "name": "NVIDIA H100",
        "utilization_percent": 93.0,
        "memory": GpuMemory(total_bytes=80 * GIB, used_bytes=61 * GIB, free_bytes=19 * GIB),
        "temperature_celsius": 74.0,
        "power_watts": 612.0,
        "power_limit_watts": 700.0,
        "sm_clock_mhz": 1410,
        "sm_clock_max_mhz": 1980,
        "processes": [GpuProcess(pid=77, used_bytes=60 * GIB, agent="research/0")],
    }
    return Gpu(**{**fields, **changes})


def sample(host: str, sequence: int = 1, **changes: Any) -> HostSample:
    """A sample of a quiet host without a driver."""
    fields: dict[str, Any] = {
        "host": host,
        "sequence": sequence,
        "uptime_seconds": 100.0,
        "cpu": Cpu(
            percent=38, user_percent=30, system_percent=8, cores=16, load1=1, load5=1, load15=1
        ),
        "memory": Memory(total_bytes=128 * GIB, available_bytes=64 * GIB),
        "driver": Driver(state=DriverState.NO_DRIVER),
    }
    return HostSample(**{**fields, **changes})


@dataclass
class Mesh:
    """Writes what a node, its agents and a planner write."""

    server: MeshServer
    bus: Bus
    services: Services
    logs: dict[str, str] = field(default_factory=dict)
    samples: list[HostSample] = field(default_factory=list)
    #: How the processor time of every agent went.
    percents: list[float] = field(default_factory=list)

    async def node(self, name: str, *, ago: float = 0.0, **changes: Any) -> None:
        """A node, last heard `ago` seconds ago."""
        fields: dict[str, Any] = {
            "name": name,
            "host": name,
            "state": NodeState.READY,
            "version": "1",
            "pid": 1,
            # Told once: it stays heard of however long the test takes.
            "silent_seconds": ago or -3600.0,
        }
        await self._observed().put(f"nodes.{name}", ObservedNode(**{**fields, **changes}))

    async def order(self, name: str, **wanted: Any) -> None:
        """What a person wants of a node."""
        order = NodeOrder(name=name, **wanted)
        await Bucket(self.bus, subjects.BUCKET_NODES).put(name, order)

    async def agent(self, name: str, state: str = "idle", **changes: Any) -> None:
        """A replica as it is observed, and its spec."""
        fields: dict[str, Any] = {
            "name": name,
            "replica": "0",
            "runtime": "python",
            "owner": "tester",
            "host": "gpu-1",
            "node": "gpu-1",
            "pid": 4242,
            "state": AgentState(state),
        }
        agent = ObservedAgent(**{**fields, **changes})
        if agent.foreign:
            await self._observed().put(f"foreign.{name}.{agent.owner}.0", agent)
            return
        await self._observed().put(f"agents.{name}.{agent.replica}", agent)
        spec = AgentSpec(name=name, entrypoint="m:f")
        await Bucket(self.bus, subjects.BUCKET_SPECS).put(name, DesiredAgent(spec=spec))

    async def wanted(self, name: str, **changes: Any) -> None:
        """What is wanted of an agent, and no replica of it."""
        spec = AgentSpec(name=name, entrypoint="m:f", **changes)
        await Bucket(self.bus, subjects.BUCKET_SPECS).put(name, DesiredAgent(spec=spec))

    async def edited(self, name: str, **changes: Any) -> None:
        """Somebody else has changed the spec."""
        wanted = await self.desired(name)
        wanted.spec = wanted.spec.model_copy(update=changes)
        wanted.changed_by, wanted.what, wanted.reason = "tester", "edit", "edited by a test"
        await Bucket(self.bus, subjects.BUCKET_SPECS).put(name, wanted)

    async def gone(self, name: str) -> None:
        """The replica is no more."""
        await Bucket(self.bus, subjects.BUCKET_SPECS).delete(name)
        await self._observed().delete(f"agents.{name}.0")

    async def desired(self, name: str) -> DesiredAgent:
        """What is wanted of an agent."""
        return (await self.all_desired())[name]

    async def all_desired(self) -> dict[str, DesiredAgent]:
        """What is wanted of every agent, by name."""
        return await Bucket(self.bus, subjects.BUCKET_SPECS).read_all(DesiredAgent)

    async def tell(self, found: HostSample) -> None:
        """Publish a sample."""
        self.samples.append(found)
        await self.bus.nc.publish(subjects.telemetry(found.host), found.model_dump_json().encode())
        await self.bus.flush()

    async def usage(self, *found: AgentUsage) -> None:
        """Publish what agents take."""
        data = NodeUsage(node="gpu-1", agents=list(found)).model_dump_json().encode()
        await self.bus.nc.publish(subjects.usage("gpu-1"), data)
        await self.bus.flush()

    async def event(self, name: str, subject: str, **data: object) -> None:
        """An event."""
        events = EventLog(self.bus, "gpu-1", "tester")
        events.emit(name, subject, data=data)
        await events.drain(5)

    async def topology(self, graph: Topology) -> None:
        """Publish who talks to whom."""
        data = graph.model_dump_json(by_alias=True).encode()
        await self.bus.nc.publish(subjects.TOPOLOGY, data)
        await self.bus.flush()

    async def journal(self, run: str, kind: str, **fields: Any) -> None:
        """One entry of a run's journal."""
        entry = JournalEntry.model_validate({"run": run, "kind": kind, **fields})
        await self.bus.js.publish(subjects.journal(run), entry.model_dump_json().encode())

    async def serve(self, node: str) -> None:
        """The services of a node."""

        async def window(_: WindowRequest) -> WindowReply:
            return WindowReply(samples=self.samples)

        async def logs(request: LogsRequest) -> LogsReply:
            text = self.logs.get(request.agent, "")
            if request.offset is not None:
                return LogsReply(
                    text=text[request.offset :],
                    offset=len(text),
                    size=len(text),
                    start=min(request.offset, len(text)),
                )
            end = len(text) if request.before is None else min(request.before, len(text))
            part = "".join(text[:end].splitlines(keepends=True)[-max(1, request.lines) :])
            return LogsReply(text=part, offset=end, size=len(text), start=end - len(part))

        async def processes(_: Nothing) -> ProcessesReply:
            found = Process(pid=77, ppid=1, name="python", state="S", agent="research/0")
            return ProcessesReply(host=node, processes=[found])

        async def usage(request: UsageRequest) -> UsageReply:
            points = [UsagePoint(time=utc_now(), cpu_percent=percent) for percent in self.percents]
            found = UsageHistory(agent=request.agent or "", replica="0", points=points)
            return UsageReply(now=NodeUsage(node=node), history=[found])

        async def topology(_: Nothing) -> Topology:
            return Topology()

        serve = self.services.serve
        await serve(subjects.node_service(node, "window"), WindowRequest, window)
        await serve(subjects.node_service(node, "usage"), UsageRequest, usage)
        await serve(subjects.node_service(node, "logs"), LogsRequest, logs)
        await serve(subjects.node_service(node, "processes"), Nothing, processes)
        await serve(subjects.TOPOLOGY_GET, Nothing, topology)
        await self.bus.flush()

    def _observed(self) -> Bucket:
        return Bucket(self.bus, subjects.BUCKET_OBSERVED)


def plan(*steps: str) -> Plan:
    """A plan of prompts, one after the other."""
    return Plan(
        name="host-brief",
        strategy="sequential",
        steps=[Step(id=step, agent="echo", prompt="go") for step in steps],
    )
