"""The task service on a real server, and workers of it in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from fakes.mesh_server import MeshServer
from sparkplug.agents.tasking import TaskWorker
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.client.session import Client
from sparkplug.schema.agent import ObservedAgent
from sparkplug.schema.agent_state import AgentState
from sparkplug.schema.task_services import GivenTask
from sparkplug.tasks.keeping import Limits
from sparkplug.tasks.service import TaskService

Work = Callable[[GivenTask], Awaitable[Any]]


@dataclass
class Face:
    """What `sparkplug.client.tasks` needs of a client."""

    bus: Bus
    actor: str = "tester"


@dataclass
class TaskMesh:
    """Services and workers; `log` has (what, task, attempt, worker) of every try as it went."""

    server: MeshServer
    bus: Bus
    limits: Limits = field(default_factory=Limits)
    observed: dict[tuple[str, str], ObservedAgent] = field(default_factory=dict)
    log: list[tuple[str, str, int, str]] = field(default_factory=list)
    _services: list[asyncio.Task[None]] = field(default_factory=list)
    _keepers: list[Bus] = field(default_factory=list)
    _workers: dict[str, TaskWorker] = field(default_factory=dict)
    _cuts: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def client(self) -> Client:
        """A face."""
        return cast("Client", Face(self.bus))

    async def keep(self, name: str = "one") -> asyncio.Task[None]:
        """A node that keeps the tasks whenever it can."""
        bus = await self.server.connect(f"node-{name}")
        events = EventLog(bus, name, f"node {name}")
        service = TaskService(
            bus,
            name,
            events,
            observed=lambda agent, replica: self.observed.get((agent, replica)),
            known=lambda: True,
            limits=self.limits,
        )

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(events.run())
                group.create_task(service.run())

        task = asyncio.create_task(run())
        self._services.append(task)
        self._keepers.append(bus)
        return task

    async def kill_keepers(self) -> None:
        """As by SIGKILL: what they were asked is not answered, no lease is given back."""
        for bus in self._keepers:
            await bus.nc.close()
        await end(*self._services)
        self._keepers.clear()
        self._services.clear()

    async def worker(
        self, work: Work, *capabilities: str, name: str = "w", capacity: int = 4
    ) -> TaskWorker:
        """A replica that does tasks; one of the same name takes its place as after a crash."""
        instance = secrets.token_hex(6)
        worker = TaskWorker(
            await self.server.connect(f"worker-{name}"),
            name,
            "0",
            instance=instance,
            capacity=lambda: capacity,
            work=self._logged(work, name),
        )
        self.observed[name, "0"] = ObservedAgent(
            name=name,
            replica="0",
            runtime="python",
            owner="tester",
            pid=1,
            state=AgentState.IDLE,
            instance=instance,
            capabilities=list(capabilities),
        )
        self._workers[name] = worker
        await worker.start()
        return worker

    def kill(self, name: str) -> None:
        """What is left when a worker's process is killed: nothing of it, and its node says so."""
        worker = self._workers.pop(name)
        self.log.append(("kill", "", 0, name))
        for task in worker._hand.values():
            task.cancel()
        if worker._beats is not None:
            worker._beats.cancel()
        worker._forget()
        self._cuts.append(asyncio.ensure_future(_cut(worker)))
        observed = self.observed[name, "0"]
        self.observed[name, "0"] = observed.model_copy(
            update={"pid": None, "instance": None, "state": AgentState.ERROR, "reason": "killed"}
        )

    def _logged(self, work: Work, name: str) -> Work:
        async def logged(given: GivenTask) -> Any:
            self.log.append(("begin", given.id, given.attempt, name))
            try:
                return await work(given)
            finally:
                self.log.append(("end", given.id, given.attempt, name))

        return logged

    def begins(self, task: str) -> list[tuple[int, str]]:
        """The tries of a task: number and worker."""
        return [
            (n, worker) for what, name, n, worker in self.log if (what, name) == ("begin", task)
        ]

    async def close(self) -> None:
        """End all of it."""
        for worker in self._workers.values():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(60):
                    await worker.close()
        await end(*self._services, *self._cuts)


async def _cut(worker: TaskWorker) -> None:
    with contextlib.suppress(Exception):
        await worker._bus.nc.close()


@contextlib.asynccontextmanager
async def task_mesh(server: MeshServer, limits: Limits | None = None) -> AsyncIterator[TaskMesh]:
    """A mesh that ends with the block."""
    mesh = TaskMesh(server, await server.connect("face"), limits or Limits())
    try:
        yield mesh
    finally:
        await mesh.close()
