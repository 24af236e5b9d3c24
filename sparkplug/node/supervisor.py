"""The supervisor: the replicas assigned to this node and the processes that serve them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from sparkplug.agents.exits import Exit
from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.leases import lease_clock
from sparkplug.bus.signing import Signer
from sparkplug.node.accounting import Serving
from sparkplug.node.agent_processes import AgentProcesses
from sparkplug.node.node_lease import NodeLease
from sparkplug.node.observed import ObservedState
from sparkplug.node.records import ProcessRecord
from sparkplug.node.replica import Replica
from sparkplug.node.replica_host import Wanted
from sparkplug.node.reports import Reports
from sparkplug.node.revocation import Revocations
from sparkplug.node.told_replicas import ReplicaKey, ToldReplicas, describe
from sparkplug.node.zygotes import ZygotePool
from sparkplug.paths import Paths
from sparkplug.schema.agent import (
    AgentReport,
    Assignment,
    DesiredAgent,
    ObservedAgent,
)
from sparkplug.schema.agent_control import ControlRequest
from sparkplug.schema.agent_state import AgentState, StateSource
from sparkplug.schema.settings import SettingsDocument

log = logging.getLogger(__name__)

_LEAVE_S = 1.0
_READ_AGAIN_S = 0.5


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
        keys: Signer | None,
        credentials: Credentials | None,
        zygotes: ZygotePool,
        revocations: Revocations,
        observed: ObservedState,
        events: EventLog,
        lease: NodeLease,
        modules: list[str],
    ) -> None:
        self._bus = bus
        self._node = node
        self._settings = settings
        self._paths = paths
        self._told = ToldReplicas(bus, node, owner, observed, lease)
        self._events = events
        self._lease = lease
        self.ready_timeout = settings.agents.ready_timeout
        self.stop_timeout = settings.agents.stop_timeout
        self._reports = Reports(bus, self._note_report)
        self._processes = AgentProcesses(
            bus=bus,
            node=node,
            owner=owner,
            settings=settings,
            paths=paths,
            keys=keys,
            credentials=credentials,
            zygotes=zygotes,
            revocations=revocations,
            modules=modules,
            told=self._note_report,
        )
        self.logs, self.shared = self._processes.logs, self._processes.shared
        self._owners: dict[int, str] | None = None
        self._replicas: dict[ReplicaKey, tuple[Replica, asyncio.Task[None]]] = {}
        self._left: dict[ReplicaKey, ProcessRecord] = {}
        self._specs: Mapping[str, DesiredAgent] = {}
        self._assignments: Mapping[ReplicaKey, Assignment] = {}
        #: Whether what is wanted here was ever read.
        self._known = False
        self._epoch_began = asyncio.Event()
        self._closing = False

    def owner_of(self, pid: int) -> str | None:
        """The agent whose process `pid` is, as name/replica; `shared/…` where it is of many."""
        if self._owners is None:
            self._owners = {
                replica.pid: f"{agent}/{number}"
                for (agent, number), (replica, _) in self._replicas.items()
                if replica.pid
            }
            for name, shared in self.shared.pids().items():
                self._owners[shared] = f"shared/{name}"
        return self._owners.get(pid)

    def serving(self) -> list[Serving]:
        """Every replica here, with what it counted itself."""
        found = []
        for replica, _ in self._replicas.values():
            record = replica.record
            incarnation, shared = (record.incarnation, record.shared) if record else ("", "")
            found.append(Serving(replica.observed, incarnation, shared, replica.counts))
        return found

    async def find_left(self) -> None:
        """Read which processes an earlier daemon left, before anything is assigned."""
        for record in await self._processes.find_left():
            self._left[record.agent, record.replica] = record
        await self._told.read()

    async def watch_epochs(self) -> None:
        """With every new epoch: what could not be removed under the last one is looked for."""
        while True:
            await self._epoch_began.wait()
            self._epoch_began.clear()
            try:
                await self._told.read()
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                log.info("what is written of replicas here is read later: %s", error)
                self._epoch_began.set()
                await asyncio.sleep(_READ_AGAIN_S)
            else:
                self._reconcile_again()

    async def start(self, others: Callable[[Msg], Awaitable[None]]) -> None:
        """Listen to what the agents say of themselves; `others` gets the foreign ones' beats."""
        await self._reports.listen(others)

        async def on_reconnect() -> None:
            for replica, _ in self._replicas.values():
                replica.heard_nothing_yet()

        self._bus.on_reconnect(on_reconnect)

    def reconcile(
        self, specs: Mapping[str, DesiredAgent], assignments: Mapping[ReplicaKey, Assignment]
    ) -> None:
        """Make the replicas here those that are assigned here and still specified."""
        self._specs, self._assignments = specs, assignments
        self._known = True
        if self._closing:
            return
        here = {
            key: assignment
            for key, assignment in assignments.items()
            if assignment.node == self._node and key[0] in specs and not assignment.leave
        }
        for key, assignment in here.items():
            desired = specs[key[0]].at(assignment.generation)
            given = not desired.spec.placement.stops_when_cut_off or self._told.given(assignment)
            if given:
                self._told.take(key)
            if not given and key not in self._left:
                # What runs runs on; nothing is begun until it is given under this epoch.
                continue
            replica = self._ensure(key, desired)
            replica.want(Wanted(desired, tuple(assignment.gpus)))
            if given:
                self._told.tell_once(replica.observed)
        for key, (replica, _) in self._replicas.items():
            if key not in here:
                replica.want(None)
        for key, assignment in assignments.items():
            leaves = bool(assignment.leave) and assignment.node == self._node
            if leaves and key not in self._replicas and key not in self._left:
                self._told.say_left(key, assignment.leave, specs.get(key[0]))
        for key, record in list(self._left.items()):
            if key not in here:
                # Left running by an earlier daemon and not wanted any more.
                orphan = self._ensure(key, None)
                orphan.adopt(record, None)
                self._left.pop(key, None)
        present = self._replicas.keys() | self._left.keys()
        self._told.forget_gone(present, assignments, self._is_wanted, self.logs.remove)

    def _is_wanted(self, key: ReplicaKey) -> bool:
        """Whether a replica is to be, here or elsewhere; of one that load scales, whether it is
        given to somebody."""
        desired = self._specs.get(key[0])
        if desired is None:
            return False
        return key in self._assignments or int(key[1]) < desired.spec.least

    def stop_movable(self) -> None:
        """The lease runs out: end what others may start, in the time that is left."""
        kill_at = self._lease.kill_at
        self.stop_timeout = min(
            self._settings.agents.stop_timeout,
            max(0.0, kill_at - lease_clock()) if kill_at is not None else float("inf"),
        )
        for key, replica in self._movable():
            desired = self._specs[key[0]]
            log.warning("%s/%s ends: this host is cut off, it may be started elsewhere", *key)
            replica.want(Wanted(desired.model_copy(update={"run": False})))

    def kill_movable(self) -> None:
        """The lease is about to lapse: nothing that others may start runs on."""
        for _, replica in self._movable():
            replica.kill()

    def lease_held(self) -> None:
        """The lease is held again: what was to end may be begun, if it still is ours."""
        self.stop_timeout = self._settings.agents.stop_timeout
        self._reconcile_again()

    def new_epoch(self) -> None:
        """The node has a new epoch: begin what is pinned here, the rest once it is given anew."""
        self._told.new_epoch()
        self._epoch_began.set()
        self._reconcile_again()

    def _reconcile_again(self) -> None:
        if self._known:
            self.reconcile(self._specs, self._assignments)

    def running(self) -> list[str]:
        """The replicas that have a process, as name/replica."""
        return sorted("/".join(key) for key, (replica, _) in self._replicas.items() if replica.pid)

    def _movable(self) -> list[tuple[ReplicaKey, Replica]]:
        found = []
        for key, (replica, _) in self._replicas.items():
            desired = self._specs.get(key[0])
            if desired is not None and desired.spec.placement.stops_when_cut_off:
                found.append((key, replica))
        return found

    def _ensure(self, key: ReplicaKey, desired: DesiredAgent | None) -> Replica:
        if key in self._replicas:
            replica = self._replicas[key][0]
            if desired is not None:
                describe(replica.observed, desired)
            return replica
        replica = Replica(self, self._told.new(key, desired))
        left, seen = self._left.pop(key, None), self._told.seen(key)
        if left is not None:
            replica.adopt(left, seen)
        elif seen is not None:
            replica.recall(seen)
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
            replica.observed.enter(AgentState.STOPPED, StateSource.NODE, "its node was taken down")
            self.observe(replica.observed)
            return
        assignment = self._assignments.get(key)
        if assignment is not None and assignment.node == self._node and assignment.leave:
            self._told.say_left(key, assignment.leave, self._specs.get(key[0]))
            return
        if self._is_wanted(key):
            # Others have it now, or will: its state and its log's name are theirs.
            return
        self._told.remove(key)
        self.logs.remove(*key)
        await self._processes.remove_lock(*key)
        self._events.emit("agent:stopped", f"{key[0]}/{key[1]}", data={"reason": "removed"})

    async def spawn(self, observed: ObservedAgent, wanted: Wanted) -> ProcessRecord:
        """A process for a replica; see `AgentProcesses.spawn`."""
        # It leaves before it is killed.
        drain = max(self.stop_timeout - _LEAVE_S, 0.0)
        record = await self._processes.spawn(observed, wanted, drain)
        self._owners = None
        return record

    async def exit_of(self, record: ProcessRecord) -> Exit:
        """How a process ended, or an agent in one that is shared."""
        return await self._processes.exit_of(record)

    async def drain(self, observed: ObservedAgent, seconds: float) -> None:
        """Tell a replica that ends how long it may finish what it has in hand."""
        request = ControlRequest(drain=seconds)
        with contextlib.suppress(nats.errors.Error):
            await self._bus.nc.publish(
                subjects.agent_control(observed.name, observed.replica),
                request.model_dump_json().encode(),
            )

    def forget(self, record: ProcessRecord) -> None:
        """The process of a record is gone: whoever still has its credentials is cut off."""
        self._processes.forget(record)
        self._owners = None

    def out_of_memory(self, record: ProcessRecord) -> bool:
        """Whether the kernel killed in the process's control group for want of memory."""
        return self._processes.out_of_memory(record)

    async def last_lines(self, record: ProcessRecord) -> str:
        """The end of what a process wrote, within a limit."""
        return await self._processes.last_lines(record)

    def observe(self, observed: ObservedAgent) -> None:
        """Publish a replica's state, unless it is not this node's to tell (any more)."""
        key = observed.name, observed.replica
        assignment = self._assignments.get(key)
        if assignment is not None and assignment.node != self._node:
            return
        self._told.tell(observed)

    def emit(self, name: str, observed: ObservedAgent, *, actor: str = "", **data: object) -> None:
        """Publish an event about a replica; `actor` is who did it, where it was not the node."""
        told = {key: value for key, value in data.items() if value is not None}
        self._events.emit(name, f"{observed.name}/{observed.replica}", actor=actor, data=told)

    def _note_report(self, report: AgentReport) -> None:
        entry = self._replicas.get((report.agent, report.replica))
        if entry is not None:
            entry[0].report(report)

    def replicas(self) -> list[Replica]:
        """Every replica here, also one that ends."""
        return [replica for replica, _ in self._replicas.values()]

    async def stop_all(self) -> None:
        """Stop every replica of this node; they stay specified."""
        self._closing = True
        tasks = []
        for replica, task in list(self._replicas.values()):
            replica.want(None)
            tasks.append(task)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.shared.stop(self._paths.agent_logs, self.stop_timeout)

    async def leave(self) -> None:
        """End the loops and leave the processes running, for the next daemon to adopt."""
        await end(*(task for _, task in self._replicas.values()))
        await self.shared.leave()
