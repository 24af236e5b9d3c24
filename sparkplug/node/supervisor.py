"""The supervisor: the replicas assigned to this node and the processes that serve them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

import nats.errors
from nats.aio.msg import Msg
from pydantic import ValidationError

from sparkplug.agents.exits import Exit, take_exit
from sparkplug.agents.jobs import SpawnJob
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.keys import MeshKeys
from sparkplug.node.logs import AgentLogs
from sparkplug.node.observed import ObservedState, agent_key
from sparkplug.node.permissions import agent_permissions
from sparkplug.node.records import ProcessRecord, RecordFolder
from sparkplug.node.replica import Replica, Wanted
from sparkplug.node.zygotes import ZygotePool
from sparkplug.paths import Paths
from sparkplug.processes import start_time
from sparkplug.schema.agent import AgentReport, AgentState, Assignment, DesiredAgent, ObservedAgent
from sparkplug.schema.agent_control import ControlRequest
from sparkplug.schema.base import Record
from sparkplug.schema.settings import SettingsDocument

log = logging.getLogger(__name__)

_EXIT_SEEN_S = 0.5
_LEAVE_S = 1.0
_MAX_REPORT_BYTES = 256 << 10

ReplicaKey = tuple[str, str]


class Supervisor:
    """Runs what is assigned here; adopts what an earlier daemon left running."""

    def __init__(
        self,
        *,
        bus: Bus,
        node: str,
        owner: str,
        settings: SettingsDocument,
        paths: Paths,
        keys: MeshKeys | None,
        credentials: Credentials | None,
        zygotes: ZygotePool,
        observed: ObservedState,
        events: EventLog,
        modules: list[str],
    ) -> None:
        self._bus = bus
        self._node = node
        self._owner = owner
        self._settings = settings
        self._paths = paths
        self._keys = keys
        self._credentials = credentials
        self._zygotes = zygotes
        self._observed = observed
        self._events = events
        self._modules = modules
        self.ready_timeout = settings.agents.ready_timeout
        self.stop_timeout = settings.agents.stop_timeout
        self.logs = AgentLogs(paths.agent_logs, settings.agents.log_max, settings.agents.log_keep)
        self._records = RecordFolder(paths.run / "agents")
        self._replicas: dict[ReplicaKey, tuple[Replica, asyncio.Task[None]]] = {}
        self._left: dict[ReplicaKey, ProcessRecord] = {}
        self._seen: dict[str, ObservedAgent] = {}
        self._closing = False

    def owner_of(self, pid: int) -> str | None:
        """The agent whose process `pid` is, as name/replica."""
        for (agent, number), (replica, _) in self._replicas.items():
            if replica.pid == pid:
                return f"{agent}/{number}"
        return None

    async def find_left(self) -> None:
        """Read which processes an earlier daemon left, before anything is assigned."""
        records = await asyncio.to_thread(self._records.read)
        for record in records:
            if record.alive():
                self._left[record.agent, record.replica] = record
            else:
                self.forget(record)
        bucket = Bucket(self._bus, subjects.BUCKET_OBSERVED)
        written = await bucket.read_all(ObservedAgent, "agents.>")
        self._seen = {key: seen for key, seen in written.items() if seen.node == self._node}

    async def start(self) -> None:
        """Listen to what the agents say of themselves."""
        await self._bus.nc.subscribe(subjects.AGENT_STATES, cb=self._on_report)
        await self._bus.nc.subscribe(subjects.HEARTBEATS, cb=self._on_heartbeat)

        async def on_reconnect() -> None:
            for replica, _ in self._replicas.values():
                replica.heard_nothing_yet()

        self._bus.on_reconnect(on_reconnect)

    def reconcile(
        self, specs: Mapping[str, DesiredAgent], assignments: Mapping[ReplicaKey, Assignment]
    ) -> None:
        """Make the replicas here those that are assigned here and still specified."""
        wanted = {
            key: Wanted(specs[key[0]].at(assignment.generation), tuple(assignment.gpus))
            for key, assignment in assignments.items()
            if assignment.node == self._node and key[0] in specs
        }
        if self._closing:
            return
        for key, want in wanted.items():
            self._ensure(key, want.desired).want(want)
        for key, (replica, _) in self._replicas.items():
            if key not in wanted:
                replica.want(None)
        for key, record in list(self._left.items()):
            if key not in wanted:
                # Left running by an earlier daemon and not wanted any more.
                orphan = self._ensure(key, None)
                orphan.adopt(record, None)
                self._left.pop(key, None)
        self._forget_gone()

    def _forget_gone(self) -> None:
        """What an earlier daemon wrote of replicas that ended and were removed while none ran."""
        for observed_key, seen in self._seen.items():
            key = (seen.name, seen.replica)
            if key not in self._replicas and key not in self._left:
                self._observed.remove(observed_key)
                self.logs.remove(*key)
        self._seen = {}

    def _ensure(self, key: ReplicaKey, desired: DesiredAgent | None) -> Replica:
        if key in self._replicas:
            replica = self._replicas[key][0]
            if desired is not None:
                _describe(replica.observed, desired)
            return replica
        observed = ObservedAgent(
            name=key[0],
            replica=key[1],
            runtime=desired.spec.runtime if desired else "python",
            owner=self._owner,
            host=self._node,
            node=self._node,
            state=AgentState.DEPLOYING,
            subject=subjects.prompt(key[0], self._owner, key[1]),
            max_payload=self._bus.nc.max_payload,
        )
        if desired is not None:
            _describe(observed, desired)
        replica = Replica(self, observed)
        left = self._left.pop(key, None)
        if left is not None:
            replica.adopt(left, self._seen.get(agent_key(*key)))
        task = asyncio.create_task(self._live(key, replica), name=f"replica {key[0]}/{key[1]}")
        self._replicas[key] = (replica, task)
        return replica

    async def _live(self, key: ReplicaKey, replica: Replica) -> None:
        try:
            await replica.run()
        finally:
            if self._replicas.get(key, (None,))[0] is replica:
                del self._replicas[key]
        if self._closing:
            replica.observed.state = AgentState.STOPPED
            replica.observed.reason = "its node was taken down"
            self.observe(replica.observed)
            return
        self._observed.remove(agent_key(*key))
        self.logs.remove(*key)
        await asyncio.to_thread(self._records.remove_lock, *key)
        self._events.emit("agent:stopped", f"{key[0]}/{key[1]}", data={"reason": "removed"})

    async def spawn(self, observed: ObservedAgent, wanted: Wanted) -> ProcessRecord:
        """Fork a process for a replica from the zygote of its interpreter and runtime.

        One that lives and was unknown so far is the replica's: a daemon that was killed had asked
        for it, and never heard of it.
        """
        desired = wanted.desired
        spec = desired.spec
        living = await asyncio.to_thread(self._records.living, spec.name, observed.replica)
        if living is not None:
            return living
        credentials = self._credentials
        if self._keys is not None:
            credentials = self._keys.user(
                f"agent {spec.name}/{observed.replica}",
                agent_permissions(spec.name, self._owner, observed.replica),
            )
        llm = self._settings.llm
        env = dict(spec.env)
        if spec.resources.gpus:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(wanted.gpus)
        job = SpawnJob(
            id="",
            agent=spec.name,
            replica=observed.replica,
            owner=self._owner,
            host=self._node,
            node=self._node,
            runtime=spec.runtime,
            entrypoint=spec.entrypoint,
            folder=desired.folder,
            description=spec.description,
            type=spec.type,
            capabilities=spec.capabilities,
            concurrency=spec.concurrency,
            heartbeat_seconds=spec.health.interval,
            llm={
                "endpoint": llm.endpoint,
                "model": llm.model if spec.model == "auto" else spec.model,
                "api_key_env": llm.api_key_env,
                "timeout": llm.timeout,
            },
            env=env,
            url=self._bus.url,
            jwt=credentials.jwt if credentials else "",
            seed=credentials.seed if credentials else "",
            # It leaves before it is killed.
            drain_seconds=max(self.stop_timeout - _LEAVE_S, 0.0),
            log=str(self.logs.begin(spec.name, observed.replica)),
            exits=str(self._paths.exits),
            record=str(self._records.path(spec.name, observed.replica)),
            recorded={
                "agent": spec.name,
                "replica": observed.replica,
                "generation": desired.generation,
                "restarts": observed.restarts,
                "gpus": list(wanted.gpus),
            },
            modules=self._modules,
        )
        pid = await self._zygotes.spawn(spec.python or "", spec.runtime, job)
        return ProcessRecord(pid=pid, started=start_time(pid) or 0.0, **job.recorded)

    async def exit_of(self, pid: int) -> Exit:
        """How a process ended, once its reaper wrote it down; it is given a moment to."""
        status = self._paths.exits / f"{pid}.status"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_SEEN_S):
                while not status.exists():
                    await asyncio.sleep(0.01)
        return take_exit(self._paths.exits, pid)

    async def drain(self, observed: ObservedAgent, seconds: float) -> None:
        """Tell a replica that ends how long it may finish what it has in hand."""
        request = ControlRequest(drain=seconds)
        with contextlib.suppress(nats.errors.Error):
            await self._bus.nc.publish(
                subjects.agent_control(observed.name, observed.replica),
                request.model_dump_json().encode(),
            )

    def forget(self, record: ProcessRecord) -> None:
        """The process of a record is gone."""
        self._records.remove(record.agent, record.replica)

    def observe(self, observed: ObservedAgent) -> None:
        """Publish a replica's state."""
        self._observed.set(agent_key(observed.name, observed.replica), observed)

    def emit(self, name: str, observed: ObservedAgent, **data: object) -> None:
        """Publish an event about a replica."""
        self._events.emit(name, f"{observed.name}/{observed.replica}", data=data)

    async def _on_report(self, message: Msg) -> None:
        self._take_report(message.data)

    async def _on_heartbeat(self, message: Msg) -> None:
        # Ours carry a report among the protocol's extra fields; foreign ones do not.
        if b'"sparkplug"' in message.data:
            self._take_report(message.data, inside="sparkplug")

    def _take_report(self, data: bytes, inside: str = "") -> None:
        if len(data) > _MAX_REPORT_BYTES:
            return
        try:
            if inside:
                report = _Beat.model_validate_json(data).sparkplug
            else:
                report = AgentReport.model_validate_json(data)
        except ValidationError as error:
            log.debug("a report that does not hold: %s", error)
            return
        entry = self._replicas.get((report.agent, report.replica))
        if entry is not None:
            entry[0].report(report)

    async def watch_health(self) -> None:
        """Mark the silent ones, and keep the logs within their limits."""
        while True:
            await asyncio.sleep(1.0)
            if self._bus.connected:
                for replica, _ in list(self._replicas.values()):
                    replica.check_silence()
            await asyncio.to_thread(self.logs.rotate)

    async def stop_all(self) -> None:
        """Stop every replica of this node; they stay specified."""
        self._closing = True
        tasks = []
        for replica, task in list(self._replicas.values()):
            replica.want(None)
            tasks.append(task)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def leave(self) -> None:
        """End the loops and leave the processes running, for the next daemon to adopt."""
        await end(*(task for _, task in self._replicas.values()))


class _Beat(Record):
    """A heartbeat of ours: the report travels in the field `sparkplug`."""

    sparkplug: AgentReport


def _describe(observed: ObservedAgent, desired: DesiredAgent) -> None:
    spec = desired.spec
    observed.runtime = spec.runtime
    observed.type = spec.type
    observed.description = spec.description
    observed.capabilities = list(spec.capabilities)
