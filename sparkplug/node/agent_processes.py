"""The processes of this node's agents: begun with what they are given, found again, forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from sparkplug.agents.exits import Exit, take_exit
from sparkplug.agents.jobs import SpawnJob
from sparkplug.bus.connection import Bus
from sparkplug.bus.jwt import Credentials, public_key
from sparkplug.bus.signing import Signer
from sparkplug.node.limits import Given, Limits
from sparkplug.node.logs import AgentLogs
from sparkplug.node.permissions import agent_permissions
from sparkplug.node.records import ProcessRecord, RecordFolder
from sparkplug.node.replica_host import Wanted
from sparkplug.node.revocation import Revocations
from sparkplug.node.shared_host import PackedRecord
from sparkplug.node.shared_hosts import SharedHosts
from sparkplug.node.zygotes import ZygotePool
from sparkplug.paths import Paths
from sparkplug.processes import start_time
from sparkplug.schema.agent import AgentReport, ObservedAgent
from sparkplug.schema.agent_environment import own
from sparkplug.schema.agent_spec import AgentSpec
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.settings import SettingsDocument

_EXIT_SEEN_S = 0.5
#: What is kept of the log of a process that failed.
_LAST_LINES = 50
_LAST_CHARACTERS = 8000


class AgentProcesses:
    """Forks them from zygotes, with credentials, limits, a log and a record of their own."""

    def __init__(
        self,
        *,
        bus: Bus,
        node: str,
        owner: str,
        settings: SettingsDocument,
        paths: Paths,
        keys: Signer | None,
        credentials: Credentials | None,
        zygotes: ZygotePool,
        revocations: Revocations,
        modules: list[str],
        told: Callable[[AgentReport], None],
    ) -> None:
        self._bus = bus
        self._node = node
        self._owner = owner
        self._settings = settings
        self._paths = paths
        self._keys = keys
        self._credentials = credentials
        self._zygotes = zygotes
        self._revocations = revocations
        self._modules = modules
        self.logs = AgentLogs(paths.agent_logs, settings.agents.log_max, settings.agents.log_keep)
        self.shared = SharedHosts(paths.run, settings.agents.shared_max, self._exit_of_pid, told)
        self._records = RecordFolder(paths.run / "agents")
        self._limits = Limits.find(node)

    async def find_left(self) -> list[ProcessRecord]:
        """Those that an earlier daemon left running; what is over is forgotten."""
        records = await asyncio.to_thread(self._records.read)
        packed = await self.shared.find_left([record for record in records if record.shared])
        alone = [record for record in records if not record.shared]
        still = {record.incarnation for record in packed}
        for record in records:
            if record.shared and record.incarnation not in still:
                self.forget(record)
        left = []
        for record in (*alone, *packed):
            if record.alive():
                self._limits.adopt(_given(record))
                left.append(record)
            else:
                self.forget(record)
        return left

    async def remove_lock(self, agent: str, replica: str) -> None:
        """A replica is no more: nothing has to keep its processes apart."""
        await asyncio.to_thread(self._records.remove_lock, agent, replica)

    async def spawn(self, observed: ObservedAgent, wanted: Wanted, drain: float) -> ProcessRecord:
        """Fork a process for a replica from the zygote of its interpreter and runtime.

        One that lives and was unknown so far is the replica's: a daemon that was killed had asked
        for it, and never heard of it. `drain` is how many seconds it may take to leave.
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
                {"agent": spec.name, "owner": self._owner, "replica": observed.replica},
            )
        user = public_key(credentials.seed) if self._keys and credentials else ""
        state = self._paths.agents / spec.name
        # What a crew remembers is in a folder of its agent's own, whenever it is opened.
        of_crews = {"CREWAI_STORAGE_DIR": str(state / "crewai")} if spec.runtime == "crewai" else {}
        _require_passed(spec)
        env = of_crews | own(spec, os.environ, wanted.gpus)
        given = self._limits.prepare(f"{spec.name}.{observed.replica}", spec.resources)
        job = SpawnJob(
            id="",
            agent=spec.name,
            replica=observed.replica,
            owner=self._owner,
            host=self._node,
            node=self._node,
            runtime=spec.runtime,
            entrypoint=spec.entrypoint,
            checkpoints=spec.checkpoints or "",
            state=str(state),
            folder=desired.folder,
            description=spec.description,
            type=spec.type,
            capabilities=spec.capabilities,
            concurrency=spec.concurrency,
            senders=spec.senders,
            heartbeat_seconds=spec.health.interval,
            health=spec.health,
            model=spec.model,
            llm=self._settings.llm.model_dump(mode="json", exclude_defaults=True),
            env=env,
            url=self._bus.url,
            ca=self._bus.ca,
            server=str(self._bus.record or ""),
            jwt=credentials.jwt if credentials else "",
            seed=credentials.seed if credentials else "",
            drain_seconds=drain,
            log=str(self.logs.begin(spec.name, observed.replica)),
            exits=str(self._paths.exits),
            stalls=str(self._paths.stalls),
            lease=str(self._paths.lease) if spec.placement.stops_when_cut_off else "",
            record=str(self._records.path(spec.name, observed.replica)),
            recorded={
                "agent": spec.name,
                "replica": observed.replica,
                "generation": desired.generation,
                "restarts": observed.restarts,
                "gpus": list(wanted.gpus),
                "user": user,
                "limits": given.words,
                "group": given.group,
                "cpus": list(given.cpus),
            },
            modules=self._modules,
        )
        try:
            record = await self._start(spec, job, given)
        except BaseException:
            # Whether it was forked is not known for sure: it could serve unseen.
            self._revocations.add(user)
            self._limits.release(given)
            raise
        observed.user = user
        return record

    async def _start(self, spec: AgentSpec, job: SpawnJob, given: Given) -> ProcessRecord:
        async def fork(job: SpawnJob) -> int:
            return await self._zygotes.spawn(spec.python or "", spec.runtime, job)

        if spec.isolation == "shared":
            return await self.shared.start(spec.python or "", job, fork)
        pid = await fork(job)
        given = self._limits.enforce(given, pid, spec.resources)
        record = ProcessRecord(pid=pid, started=start_time(pid) or 0.0, **job.recorded)
        record.limits, record.group, record.cpus = given.words, given.group, list(given.cpus)
        return record

    async def exit_of(self, record: ProcessRecord) -> Exit:
        """How a process ended, or an agent in one that is shared."""
        if isinstance(record, PackedRecord):
            return record.exit()
        return await self._exit_of_pid(record.pid)

    async def _exit_of_pid(self, pid: int) -> Exit:
        """How a process ended, once its reaper wrote it down; it is given a moment to."""
        status = self._paths.exits / f"{pid}.status"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EXIT_SEEN_S):
                while not status.exists():
                    await asyncio.sleep(0.01)
        return take_exit(self._paths.exits, pid)

    def forget(self, record: ProcessRecord) -> None:
        """The process of a record is gone: whoever still has its credentials is cut off."""
        self._revocations.add(record.user)
        self._limits.release(_given(record))
        self._records.remove(record.agent, record.replica)

    def out_of_memory(self, record: ProcessRecord) -> bool:
        """Whether the kernel killed in the process's control group for want of memory."""
        return self._limits.out_of_memory(_given(record))

    async def last_lines(self, record: ProcessRecord) -> str:
        """The end of what a process wrote, within a limit."""
        found = await asyncio.to_thread(
            self.logs.last_lines, record.agent, record.replica, _LAST_LINES
        )
        return found[-_LAST_CHARACTERS:]


def _require_passed(spec: AgentSpec) -> None:
    """Raise InvalidError where the agent names a variable that this node has not."""
    missing = [name for name in spec.pass_env if name not in os.environ]
    if missing:
        raise InvalidError(
            f"{', '.join(missing)} is not set in the environment of this node",
            where="pass_env",
            hint="set it for `sparkplug up`, or take it off the agent's pass_env",
        )


def _given(record: ProcessRecord) -> Given:
    return Given(record.limits, record.group, tuple(record.cpus))
