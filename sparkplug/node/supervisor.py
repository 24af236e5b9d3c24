"""The supervisor: the replicas assigned to this node and the processes that serve them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from sparkplug.agents.exits import Exit
from sparkplug.agents.stalls import Stall, any_stalls, read_stalls
from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials
from sparkplug.bus.leases import lease_clock
from sparkplug.bus.signing import Signer
from sparkplug.clock import until_next
from sparkplug.node.accounting import Serving
from sparkplug.node.agent_processes import AgentProcesses
from sparkplug.node.node_lease import NodeLease, Standing
from sparkplug.node.observed import ObservedState, agent_key
from sparkplug.node.records import ProcessRecord
from sparkplug.node.replica import Replica
from sparkplug.node.replica_host import Wanted
from sparkplug.node.reports import Reports
from sparkplug.node.revocation import Revocations
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
_STALLS_EVERY_S = 0.25
_ROTATE_S = 5.0
_READ_AGAIN_S = 0.5

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
        self._owner = owner
        self._settings = settings
        self._paths = paths
        self._observed = observed
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
        self._seen: dict[str, ObservedAgent] = {}
        self._specs: Mapping[str, DesiredAgent] = {}
        self._assignments: Mapping[ReplicaKey, Assignment] = {}
        #: The epoch under which each replica's state is this node's to write.
        self._told_under: dict[ReplicaKey, int] = {}
        self._told: dict[ReplicaKey, int] = {}
        self._said_left: dict[ReplicaKey, str] = {}
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
        self._seen = await self._written()

    async def _written(self) -> dict[str, ObservedAgent]:
        """What is written of replicas of this node."""
        bucket = Bucket(self._bus, subjects.BUCKET_OBSERVED)
        written = await bucket.read_all(ObservedAgent, "agents.>")
        return {key: seen for key, seen in written.items() if seen.node == self._node}

    async def watch_epochs(self) -> None:
        """With every new epoch: what could not be removed under the last one is looked for."""
        while True:
            await self._epoch_began.wait()
            self._epoch_began.clear()
            try:
                self._seen = await self._written()
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
            given = not desired.spec.placement.stops_when_cut_off or self._given(assignment)
            if given and self._lease.epoch:
                self._told_under[key] = self._lease.epoch
            if not given and key not in self._left:
                # What runs runs on; nothing is begun until it is given under this epoch.
                continue
            replica = self._ensure(key, desired)
            replica.want(Wanted(desired, tuple(assignment.gpus)))
            if given:
                self._tell_once(key, replica)
        for key, (replica, _) in self._replicas.items():
            if key not in here:
                replica.want(None)
        for key, assignment in assignments.items():
            leaves = bool(assignment.leave) and assignment.node == self._node
            if leaves and key not in self._replicas and key not in self._left:
                self._say_left(key, assignment)
        for key, record in list(self._left.items()):
            if key not in here:
                # Left running by an earlier daemon and not wanted any more.
                orphan = self._ensure(key, None)
                orphan.adopt(record, None)
                self._left.pop(key, None)
        self._forget_gone()

    def _forget_gone(self) -> None:
        """What was written of replicas that are no more: an earlier daemon's, an old epoch's."""
        if not self._lease.epoch:
            # Nothing can be written yet; it is done with the first epoch.
            return
        kept = {}
        for observed_key, seen in self._seen.items():
            key = (seen.name, seen.replica)
            if key in self._replicas or key in self._left:
                continue
            assignment = self._assignments.get(key)
            if not self._is_wanted(key):
                self._observed.remove(observed_key)
                self.logs.remove(*key)
            elif assignment is None or assignment.node == self._node:
                kept[observed_key] = seen  # it may still be given to this node
        self._seen = kept

    def _is_wanted(self, key: ReplicaKey) -> bool:
        """Whether a replica is to be, here or elsewhere; of one that load scales, whether it is
        given to somebody."""
        desired = self._specs.get(key[0])
        if desired is None:
            return False
        return key in self._assignments or int(key[1]) < desired.spec.least

    def _given(self, assignment: Assignment) -> bool:
        """Whether what may move may be begun here: given under the epoch that stands."""
        lease = self._lease
        return (
            bool(lease.epoch)
            and assignment.epoch == lease.epoch
            and (lease.alone or lease.standing < Standing.ENDING)
        )

    def _tell_once(self, key: ReplicaKey, replica: Replica) -> None:
        """Say how a replica is with every new epoch: what was said under the last is void."""
        if self._told.get(key) != self._lease.epoch:
            self._told[key] = self._lease.epoch
            # Others may have written it meanwhile: it is said again, though it be the same.
            self._observed.forget(agent_key(*key))
            self.observe(replica.observed)

    def _say_left(self, key: ReplicaKey, assignment: Assignment) -> None:
        """Say that nothing of a replica runs here any more, so that others may have it."""
        if self._said_left.get(key) == assignment.leave or not self._lease.epoch:
            return
        self._said_left[key] = assignment.leave
        observed = self._new_observed(key, self._specs.get(key[0]))
        observed.state, observed.reason = AgentState.STOPPED, "it goes to another host"
        observed.left = assignment.leave
        self._observed.set(agent_key(*key), observed)

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
        self._observed.drop_late()
        self._told.clear()
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
                _describe(replica.observed, desired)
            return replica
        observed = self._new_observed(key, desired)
        replica = Replica(self, observed)
        left, seen = self._left.pop(key, None), self._seen.get(agent_key(*key))
        if left is not None:
            replica.adopt(left, seen)
        elif seen is not None:
            replica.recall(seen)
        task = asyncio.create_task(self._live(key, replica), name=f"replica {key[0]}/{key[1]}")
        self._replicas[key] = (replica, task)
        return replica

    def _new_observed(self, key: ReplicaKey, desired: DesiredAgent | None) -> ObservedAgent:
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
        return observed

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
            self._say_left(key, assignment)
            return
        if self._is_wanted(key):
            # Others have it now, or will: its state and its log's name are theirs.
            return
        self._told_under.pop(key, None)
        self._observed.remove(agent_key(*key))
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
        if self._told_under.get(key) == self._lease.epoch:
            self._observed.set(agent_key(*key), observed)

    def emit(self, name: str, observed: ObservedAgent, *, actor: str = "", **data: object) -> None:
        """Publish an event about a replica; `actor` is who did it, where it was not the node."""
        told = {key: value for key, value in data.items() if value is not None}
        self._events.emit(name, f"{observed.name}/{observed.replica}", actor=actor, data=told)

    def _note_report(self, report: AgentReport) -> None:
        entry = self._replicas.get((report.agent, report.replica))
        if entry is not None:
            entry[0].report(report)

    async def watch_health(self) -> None:
        """Mark the silent ones, and keep the logs within their limits."""
        rotated = 0.0
        while True:
            await asyncio.sleep(until_next(1.0))
            if self._bus.connected:
                for replica, _ in list(self._replicas.values()):
                    replica.check_silence()
            if time.monotonic() - rotated >= _ROTATE_S:
                rotated = time.monotonic()
                await asyncio.to_thread(self.logs.rotate)
            await self.shared.tidy(self._paths.agent_logs)

    async def watch_stalls(self) -> None:
        """Show those as blocked whose event loop does not turn, while it does not."""
        while True:
            await asyncio.sleep(until_next(_STALLS_EVERY_S))
            stalls: dict[str, Stall] = {}
            # Nearly always there is none, and a thread to read nothing costs more than a look.
            if self._replicas and any_stalls(self._paths.stalls):
                stalls = await asyncio.to_thread(read_stalls, self._paths.stalls)
            for replica, _ in list(self._replicas.values()):
                replica.blocked(stalls.get(replica.process))

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


def _describe(observed: ObservedAgent, desired: DesiredAgent) -> None:
    spec = desired.spec
    observed.runtime = spec.runtime
    observed.type = spec.type
    observed.senders = spec.senders
    observed.description = spec.description
    observed.capabilities = list(spec.capabilities)
    observed.labels = dict(spec.labels)
    observed.scale = f"{spec.scale.min}..{spec.scale.max}" if spec.scale else None
