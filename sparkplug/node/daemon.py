"""The daemon: one per host; starts, composes and ends everything a node does."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats.errors

from sparkplug import __version__
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.certificates import read_ca
from sparkplug.bus.claims import Account
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials, Permissions
from sparkplug.bus.keys import MeshKeys, ensure_keys, read_creds
from sparkplug.bus.server import PrivateServer
from sparkplug.bus.server_record import ServerProcess
from sparkplug.bus.service import Services
from sparkplug.bus.signing import Signer, own_signer, read_signer, tried
from sparkplug.bus.streams import ensure_streams
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
from sparkplug.node.mesh_rooms import CONNECT_S, Loop, mesh_rooms, owner_name
from sparkplug.node.mesh_services import MeshServices
from sparkplug.node.models import NodeModels
from sparkplug.node.node_lease import NodeLease, Standing
from sparkplug.node.node_record import NodeRecord
from sparkplug.node.observed import ObservedState
from sparkplug.node.parent_keeper import keep_parent
from sparkplug.node.placement import Placement
from sparkplug.node.placer import Placer
from sparkplug.node.revocation import Revocations, by_account, by_mesh, serve_revocation
from sparkplug.node.server_keeper import ServerKeeper, server_settings
from sparkplug.node.supervisor import Supervisor
from sparkplug.node.telemetry_services import serve_orders, serve_telemetry
from sparkplug.node.zygotes import ZygotePool
from sparkplug.paths import Paths
from sparkplug.schema.errors import ConflictError, RefusedError
from sparkplug.schema.host import HostSample
from sparkplug.schema.node import NodeState
from sparkplug.schema.node_services import LogsReply, LogsRequest
from sparkplug.shipped import shipped
from sparkplug.telemetry.exporter import Exporter
from sparkplug.telemetry.sampler import Sampler

log = logging.getLogger(__name__)

_CLOSE_DEADLINE_S = 5.0
#: Objects that are new are gone through when there are so many more of them (700 by default).
_YOUNG = 5000


#: The node's own user may do all that its account allows.
_EVERYTHING = Permissions()


class Daemon:
    """One node."""

    def __init__(self, paths: Paths, settings: Settings, parent: int | None) -> None:
        self._paths = paths
        self._settings = settings
        self._parent = parent
        self._stopping = asyncio.Event()
        self.name = settings.node.name
        self._keeper: ServerKeeper | None = None

    def stop(self) -> None:
        """Take the node down: agents finish what they have in hand and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until told to stop. Raises SparkplugError when it cannot start."""
        paths, settings = self._paths, self._settings
        keys: MeshKeys | None = None
        credentials: Credentials | None
        ca, record = "", None
        if settings.nats.url:
            url = settings.nats.url
            credentials = await asyncio.to_thread(_configured_creds, settings)
            if settings.nats.ca:
                ca = await asyncio.to_thread(read_ca, _file(settings.nats.ca))
        else:
            keys = await asyncio.to_thread(ensure_keys, paths.keys)
            process = await self._start_server(keys)
            url, record = process.url, paths.run
            if process.ca:
                ca = await asyncio.to_thread(read_ca, Path(process.ca))
            credentials = keys.user(f"node {self.name}", _EVERYTHING)
        wire.use_inbox(subjects.inbox("planner", self.name))
        bus = self._bus = await connect(
            url,
            name=f"node {self.name}",
            inbox_prefix=subjects.inbox("node", self.name),
            credentials=credentials,
            ca=ca,
            record=record,
            deadline=CONNECT_S,
        )
        try:
            await ensure_streams(
                bus,
                max_store=settings.nats.max_store,
                events_max=settings.events.max,
                events_keep=settings.events.keep,
            )
            await self._compose(bus, keys, credentials)
        finally:
            await bus.close()
        if self._keeper is not None:
            await self._keeper.server.stop()

    async def _start_server(self, keys: MeshKeys) -> ServerProcess:
        server = PrivateServer(self._paths.nats, self._paths.run, self._paths.logs, keys)
        self._keeper = ServerKeeper(server, server_settings(self._settings))
        await self._keeper.start()
        assert server.process is not None
        return server.process

    async def _signer(
        self, keys: MeshKeys | None, credentials: Credentials | None
    ) -> Signer | None:
        """Who signs the users of this node's agents. None: they get the node's own."""
        if keys is not None:
            return own_signer(keys)
        if not self._settings.nats.signing_key:
            return None
        path = _file(self._settings.nats.signing_key)
        signer = await asyncio.to_thread(read_signer, path, credentials)
        return await tried(signer, self._bus, str(path))

    async def _serve_mesh(self, services: Services, keys: MeshKeys) -> Account:
        """Answer for the mesh whose server this node runs."""
        assert self._keeper is not None
        account = Account(keys, self._paths.nats, self._bus)
        # One that was taken over may not have heard of the last change.
        await account.push()
        mesh = MeshServices(
            bus=self._bus,
            settings=self._settings,
            paths=self._paths,
            keys=keys,
            account=account,
            keeper=self._keeper,
            events=self._events,
        )
        await mesh.serve(services)
        await serve_revocation(services, account)
        return account

    async def _compose(
        self, bus: Bus, keys: MeshKeys | None, credentials: Credentials | None
    ) -> None:
        settings, paths = self._settings, self._paths
        holder = f"{self.name} {run_files.holder(paths.run / run_files.HOLDER)}"
        lease = self._lease = NodeLease(
            bus,
            self.name,
            holder,
            paths.lease,
            server_down=self._server_down if self._keeper is not None else None,
        )
        company = Company(self.name, lease)
        self._observed = ObservedState(bus, lease.fence, lease.refused)
        self._events = EventLog(bus, self.name, f"node {self.name}")
        services = Services(bus)
        zygotes = ZygotePool(paths.logs, self._agent_environment())
        revocations = Revocations(paths.run / "revoke")
        supervisor = Supervisor(
            bus=bus,
            node=self.name,
            owner=owner_name(),
            settings=settings,
            paths=paths,
            keys=await self._signer(keys, credentials),
            credentials=credentials,
            zygotes=zygotes,
            revocations=revocations,
            observed=self._observed,
            events=self._events,
            lease=lease,
            modules=[str(shipped("plugins"))],
        )
        record = self._record = NodeRecord(
            settings,
            paths.run,
            self._parent,
            bus,
            lease,
            company,
            self._observed,
            supervisor.running,
        )
        await supervisor.find_left()
        state = DesiredState(bus)
        directory = Directory(bus)
        placement = Placement(bus, self.name, state, self._events, directory.replicas)
        placer = Placer(bus, holder, owner_name(), state, self._observed, self._events, placement)
        sampler = Sampler(
            self.name,
            period=settings.telemetry.period,
            owner_of=supervisor.owner_of,
            history=paths.history if settings.telemetry.history_max else None,
            history_bytes=settings.telemetry.history_max,
            inference=settings.telemetry.inference,
            inference_urls=settings.telemetry.inference_urls.split(","),
        )
        accounting = Accounting(
            bus,
            self.name,
            serving=supervisor.serving,
            gpus=lambda: sampler.latest.gpus if sampler.latest else (),
            history_seconds=settings.telemetry.history,
        )
        memory = MemoryKeeper(
            bus,
            self.name,
            holder,
            paths,
            lambda: keys.user(f"memory {self.name}", _EVERYTHING) if keys else credentials,
            enabled=settings.memory.enabled,
        )
        local_models = LocalModels(
            self.name,
            settings.llm.models,
            paths.run,
            paths.logs,
            zygotes.environment,
            lambda: gpu_room.ledger(record.gpu_room, self.name, state.assignments),
        )
        models = NodeModels(
            bus,
            self.name,
            settings.llm,
            local_models,
            lambda: sampler.latest,
            sampler.window,
            settings.nats.advertise or settings.nats.listen,
        )
        gpu_events = GpuEvents(self._events)
        state.on_change(lambda: supervisor.reconcile(state.specs, state.by_replica()))

        def new_epoch() -> None:
            record.tell()
            supervisor.new_epoch()

        def stand(standing: Standing) -> None:
            self._say_standing(standing, supervisor)

        lease.on_epoch(new_epoch)
        lease.on_standing(stand)

        async def publish(sample: HostSample, body: bytes) -> None:
            gpu_events.take(sample)
            record.note(sample)
            await self._publish_sample(body)

        async def logs(request: LogsRequest) -> LogsReply:
            return await asyncio.to_thread(supervisor.logs.read, request)

        await services.serve(subjects.node_service(self.name, "logs"), LogsRequest, logs)
        await serve_telemetry(services, self.name, sampler)
        rooms = await mesh_rooms(bus, settings, holder, self._events, directory, services)
        await serve_orders(services, self.name, sampler, self._events, self._own_processes)
        revoke = by_mesh(bus)
        if keys is not None:
            revoke = by_account(await self._serve_mesh(services, keys))
        foreign = ForeignAgents(bus, self._observed)
        await supervisor.start(foreign.on_beat)
        await zygotes.warm("", "python")
        loops: list[Loop] = [
            ("observed state", self._observed.run),
            ("events", self._events.run),
            ("desired state", state.run),
            ("placement", placement.run),
            ("directory", lambda: directory.run(services)),
            ("foreign agents", foreign.run),
            ("accounting", lambda: accounting.run(services)),
            ("memory", memory.run),
            ("models", lambda: models.run(services)),
            ("telemetry", lambda: sampler.run(publish)),
            ("agent epochs", supervisor.watch_epochs),
            ("agent health", supervisor.watch_health),
            ("agent stalls", supervisor.watch_stalls),
            ("zygotes", zygotes.keep_alive),
            ("revocations", lambda: revocations.run(revoke)),
            ("node record", record.keep),
            ("clock", record.keep_clock),
            ("company", lambda: company.run(state, self._observed, record.made)),
            ("admission", self._keep_admitted),
            *rooms,
        ]
        if settings.telemetry.prometheus_port:
            exporter = Exporter(lambda: sampler.latest, settings.telemetry.prometheus_port)
            loops.append(("prometheus", exporter.run))
        if self._keeper is not None:
            keeper = self._keeper
            loops.append(("nats-server", lambda: keeper.keep(self._stopping)))
        if self._parent is not None:
            loops.append(("parent", lambda: keep_parent(record, paths.home, self._stopping)))
        tasks = [asyncio.create_task(_named(name, loop), name=name) for name, loop in loops]
        placing = asyncio.create_task(_named("placer", placer.run), name="placer")
        tasks.append(placing)
        leasing = asyncio.create_task(_named("lease", lease.run), name="lease")
        tasks.append(leasing)
        try:
            await lease.joined()
            await self._wait_ready(zygotes.ready("", "python"))
            self._events.emit("host:joined", self.name, data={"version": __version__})
            stopping = asyncio.create_task(self._stopping.wait())
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            for task in done:
                if task is not stopping:
                    task.result()
            # Nobody places on a node that is going down, least of all itself.
            await end(placing)
            await self._take_down(supervisor)
            await end(leasing)
            await lease.release()
        finally:
            await end(*tasks)
            await local_models.close()
            await services.close()
            await supervisor.leave()
            await zygotes.stop()

    async def _wait_ready(self, warm: Awaitable[None]) -> None:
        """Ready means that an agent would be taken: the zygote is warm, the record written."""
        await warm
        # What was loaded stays: it is not gone through again for what can be let go of.
        gc.freeze()
        gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
        self._record.enter(NodeState.READY)

    async def _take_down(self, supervisor: Supervisor) -> None:
        log.info("going down")
        self._record.enter(NodeState.STOPPING)
        await supervisor.stop_all()
        self._events.emit("host:left", self.name)
        self._record.enter(NodeState.STOPPED)
        await self._events.drain(_CLOSE_DEADLINE_S)
        await self._observed.flush()

    def _agent_environment(self) -> dict[str, str]:
        """What agents get beside the scrubbed environment: the model keys that settings name."""
        llm = self._settings.llm
        names = {llm.api_key_env, *(model.api_key_env for model in llm.models.values())}
        # CrewAI writes keys and settings of its own when it is imported.
        crews = {"CREWAI_STORAGE_DIR": str(self._paths.cache / "crewai")}
        return crews | {name: os.environ[name] for name in names if name and os.environ.get(name)}

    async def _publish_sample(self, body: bytes) -> None:
        if not self._bus.connected:
            return
        try:
            await self._bus.nc.publish(subjects.telemetry(self.name), body)
        except nats.errors.Error as error:
            log.debug("sample not published: %s", error)

    def _own_processes(self) -> set[int]:
        """This daemon, its parent and the mesh's server."""
        server = self._keeper.server.process if self._keeper is not None else None
        pids = (os.getpid(), self._record.parent, server.pid if server is not None else None)
        return {pid for pid in pids if pid}

    def _server_down(self) -> bool:
        process = self._keeper.server.process if self._keeper is not None else None
        return process is None or not process.alive()

    def _say_standing(self, standing: Standing, supervisor: Supervisor) -> None:
        """Act on the lease's standing, and write it down for who looks on this host."""
        if standing >= Standing.ENDING:
            supervisor.stop_movable()
        if standing is Standing.OVER:
            supervisor.kill_movable()
        if standing is Standing.HELD:
            log.info("the mesh is reached again")
            supervisor.lease_held()
            self._record.write_info(self._record.state)
            return
        if standing is Standing.CUT_OFF:
            log.warning("cut off from the mesh since %s", self._lease.cut_off)
        self._record.say_cut_off()

    async def _keep_admitted(self) -> None:
        """Raise RefusedError once the server will not have this node any more."""
        await self._bus.shut_out.wait()
        raise RefusedError(
            f"the NATS server at {self._bus.shown_url} shut this node out",
            hint="was it expelled? `sparkplug mesh leave` goes back to a mesh of its own",
        )


def _configured_creds(settings: Settings) -> Credentials | None:
    creds = settings.nats.creds
    return read_creds(Path(creds).expanduser()) if creds else None


def _file(name: str) -> Path:
    return Path(name).expanduser()


async def _named(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run one of the daemon's loops; its failure is logged and ends the daemon."""
    try:
        await loop()
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("%s failed; the daemon ends and is started again", name)
        raise


def _log_tasks() -> None:
    """What every task waits for, into the log: `kill -USR1` asks a daemon that seems stuck."""
    for task in asyncio.all_tasks():
        frames = []
        waiting: Any = task.get_coro()
        while waiting is not None and hasattr(waiting, "cr_frame"):
            frame = waiting.cr_frame
            if frame is not None:
                frames.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
            waiting = waiting.cr_await
        log.info("task %s waits in %s", task.get_name(), " > ".join(frames))


async def run_daemon(paths: Paths, settings: Settings, parent: int | None) -> None:
    """Run this host's node until SIGTERM. Raises SparkplugError when it cannot start."""
    held = run_files.lock(paths.run / run_files.NODE_LOCK)
    if held is None:
        raise ConflictError(
            "a node runs already on this state directory",
            where=str(paths.home),
            hint="`sparkplug status` shows it; SPARKPLUG_HOME names another directory",
        )
    daemon = Daemon(paths, settings, parent)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    loop.add_signal_handler(signal.SIGUSR1, _log_tasks)
    await daemon.run()
