"""The parts of one node, each made with what it needs of the others, and what each does."""

from __future__ import annotations

import asyncio
import logging
import os

import nats.errors

from sparkplug.bus import subjects
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.service import Services
from sparkplug.bus.signing import Signer
from sparkplug.config import Settings
from sparkplug.node import gpu_room, run_files
from sparkplug.node.accounting import Accounting
from sparkplug.node.company import Company
from sparkplug.node.desired import DesiredState
from sparkplug.node.directory import Directory
from sparkplug.node.foreign import ForeignAgents
from sparkplug.node.gpu_events import GpuEvents
from sparkplug.node.local_models import LocalModels
from sparkplug.node.memory_keeper import MemoryKeeper
from sparkplug.node.mesh_entry import MeshEntry
from sparkplug.node.mesh_rooms import Loop, mesh_rooms, owner_name
from sparkplug.node.models import NodeModels
from sparkplug.node.node_lease import NodeLease
from sparkplug.node.node_record import NodeRecord
from sparkplug.node.observed import ObservedState
from sparkplug.node.placement import Placement
from sparkplug.node.placer import Placer
from sparkplug.node.replica_watch import watch_health, watch_stalls
from sparkplug.node.revocation import Revocations
from sparkplug.node.supervisor import Supervisor
from sparkplug.node.telemetry_services import serve_orders, serve_telemetry
from sparkplug.node.zygotes import ZygotePool
from sparkplug.paths import Paths
from sparkplug.schema.host import HostSample
from sparkplug.schema.node_services import LogsReply, LogsRequest
from sparkplug.shipped import shipped
from sparkplug.telemetry.exporter import Exporter
from sparkplug.telemetry.sampler import Sampler

log = logging.getLogger(__name__)


class Parts:
    """All of one node but its connection."""

    def __init__(
        self,
        bus: Bus,
        paths: Paths,
        settings: Settings,
        entry: MeshEntry,
        signer: Signer | None,
        parent: int | None,
    ) -> None:
        name = settings.node.name
        self._bus, self._paths, self._settings, self._entry = bus, paths, settings, entry
        self._name = name
        self._holder = holder = f"{name} {run_files.holder(paths.run / run_files.HOLDER)}"
        self.lease = NodeLease(
            bus,
            name,
            holder,
            paths.lease,
            server_down=entry.server_down if entry.keeper is not None else None,
        )
        self._company = Company(name, self.lease)
        self.observed = ObservedState(bus, self.lease.fence, self.lease.refused)
        self.events = EventLog(bus, name, f"node {name}")
        self.services = Services(bus)
        self.zygotes = ZygotePool(paths.logs, _agent_environment(settings, paths))
        self._revocations = Revocations(paths.run / "revoke")
        self.supervisor = Supervisor(
            bus=bus,
            node=name,
            owner=owner_name(),
            settings=settings,
            paths=paths,
            keys=signer,
            credentials=entry.credentials,
            zygotes=self.zygotes,
            revocations=self._revocations,
            observed=self.observed,
            events=self.events,
            lease=self.lease,
            modules=[str(shipped("plugins"))],
        )
        self.record = NodeRecord(
            settings,
            paths.run,
            parent,
            bus,
            self.lease,
            self._company,
            self.observed,
            self.supervisor.running,
        )
        self._state = DesiredState(bus)
        self._directory = Directory(bus)
        self._placement = Placement(bus, name, self._state, self.events, self._directory.replicas)
        self.placer = Placer(
            bus,
            holder,
            owner_name(),
            self._state,
            self.observed,
            self.events,
            self._placement,
        )
        self._sampler = Sampler(
            name,
            period=settings.telemetry.period,
            owner_of=self.supervisor.owner_of,
            history=paths.history if settings.telemetry.history_max else None,
            history_bytes=settings.telemetry.history_max,
            inference=settings.telemetry.inference,
            inference_urls=settings.telemetry.inference_urls.split(","),
        )
        sampler, state, record = self._sampler, self._state, self.record
        self._accounting = Accounting(
            bus,
            name,
            serving=self.supervisor.serving,
            gpus=lambda: sampler.latest.gpus if sampler.latest else (),
            history_seconds=settings.telemetry.history,
        )
        self._memory = MemoryKeeper(
            bus, name, holder, paths, entry.memory_user, enabled=settings.memory.enabled
        )
        self.local_models = LocalModels(
            name,
            settings.llm.models,
            paths.run,
            paths.logs,
            self.zygotes.environment,
            lambda: gpu_room.ledger(record.gpu_room, name, state.assignments),
        )
        self._models = NodeModels(
            bus,
            name,
            settings.llm,
            self.local_models,
            lambda: sampler.latest,
            sampler.window,
            settings.nats.advertise or settings.nats.listen,
        )
        self._gpu_events = GpuEvents(self.events)
        self._foreign = ForeignAgents(bus, self.observed)

    async def serve(self) -> list[Loop]:
        """Answer what this node is asked; the loops that are to run for as long as it does."""
        supervisor, services, state = self.supervisor, self.services, self._state
        await supervisor.find_left()
        state.on_change(lambda: supervisor.reconcile(state.specs, state.by_replica()))
        self.lease.on_epoch(self._new_epoch)
        await services.serve(subjects.node_service(self._name, "logs"), LogsRequest, self._logs)
        await serve_telemetry(services, self._name, self._sampler)
        rooms = await mesh_rooms(
            self._bus, self._settings, self._holder, self.events, self._directory, services
        )
        await serve_orders(services, self._name, self._sampler, self.events, self._own_processes)
        revoke = await self._entry.serve(self._bus, services, self.events)
        await supervisor.start(self._foreign.on_beat)
        await self.zygotes.warm("", "python")
        loops: list[Loop] = [
            ("observed state", self.observed.run),
            ("events", self.events.run),
            ("desired state", state.run),
            ("placement", self._placement.run),
            ("directory", lambda: self._directory.run(services)),
            ("foreign agents", self._foreign.run),
            ("accounting", lambda: self._accounting.run(services)),
            ("memory", self._memory.run),
            ("models", lambda: self._models.run(services)),
            ("telemetry", lambda: self._sampler.run(self._publish)),
            ("agent epochs", supervisor.watch_epochs),
            ("agent health", lambda: watch_health(supervisor, self._bus, self._paths)),
            ("agent stalls", lambda: watch_stalls(supervisor, self._paths)),
            ("zygotes", self.zygotes.keep_alive),
            ("revocations", lambda: self._revocations.run(revoke)),
            ("node record", self.record.keep),
            ("clock", self.record.keep_clock),
            ("company", lambda: self._company.run(state, self.observed, self.record.made)),
            *rooms,
        ]
        port, sampler = self._settings.telemetry.prometheus_port, self._sampler
        if port:
            loops.append(("prometheus", Exporter(lambda: sampler.latest, port).run))
        return loops

    async def close(self) -> None:
        """Let go of what this process holds; agents run on."""
        await self.local_models.close()
        await self.services.close()
        await self.supervisor.leave()
        await self.zygotes.stop()

    def _new_epoch(self) -> None:
        self.record.tell()
        self.supervisor.new_epoch()

    async def _logs(self, request: LogsRequest) -> LogsReply:
        return await asyncio.to_thread(self.supervisor.logs.read, request)

    async def _publish(self, sample: HostSample, body: bytes) -> None:
        self._gpu_events.take(sample)
        self.record.note(sample)
        if not self._bus.connected:
            return
        try:
            await self._bus.nc.publish(subjects.telemetry(self._name), body)
        except nats.errors.Error as error:
            log.debug("sample not published: %s", error)

    def _own_processes(self) -> set[int]:
        """This daemon, its parent and the mesh's server."""
        server = self._entry.server_process
        pids = (os.getpid(), self.record.parent, server.pid if server is not None else None)
        return {pid for pid in pids if pid}


def _agent_environment(settings: Settings, paths: Paths) -> dict[str, str]:
    """What agents get beside the scrubbed environment: the model keys that settings name."""
    # CrewAI writes keys and settings of its own when it is imported.
    crews = {"CREWAI_STORAGE_DIR": str(paths.cache / "crewai")}
    keys = settings.llm.key_variables
    return crews | {name: os.environ[name] for name in keys if os.environ.get(name)}
