"""The daemon: one per host; starts, composes and ends everything a node does."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import nats.errors

from sparkplug import __version__
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus, connect
from sparkplug.bus.events import EventLog
from sparkplug.bus.jwt import Credentials, Permissions
from sparkplug.bus.keys import MeshKeys, ensure_keys, read_creds
from sparkplug.bus.server import PrivateServer, ServerSettings
from sparkplug.bus.service import Services
from sparkplug.bus.streams import ensure_streams
from sparkplug.config import Settings
from sparkplug.node import run_files
from sparkplug.node.desired import DesiredState
from sparkplug.node.directory import Directory
from sparkplug.node.foreign import ForeignAgents
from sparkplug.node.gpu_events import GpuEvents
from sparkplug.node.observed import ObservedState, node_key
from sparkplug.node.observer import Observer
from sparkplug.node.placer import Placer
from sparkplug.node.supervisor import Supervisor
from sparkplug.node.telemetry_services import serve_telemetry
from sparkplug.node.zygotes import ZygotePool
from sparkplug.paths import Paths
from sparkplug.plans.planner import Planner
from sparkplug.processes import start_time, wait_process
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import ConflictError, SparkplugError
from sparkplug.schema.host import GpuState, HostSample
from sparkplug.schema.node import NodeInfo, NodeState, ObservedNode
from sparkplug.schema.node_services import LogsReply, LogsRequest
from sparkplug.shipped import shipped
from sparkplug.telemetry.sampler import Sampler

log = logging.getLogger(__name__)

_RECORD_EVERY_S = 5.0
_NATS_PAUSE_S = 0.2
_NATS_LONGEST_PAUSE_S = 5.0
_CONNECT_DEADLINE_S = 10.0
_CLOSE_DEADLINE_S = 5.0


#: The node's own user may do all that its account allows.
_EVERYTHING = Permissions()


def owner_name() -> str:
    """The Unix user the node runs as: the owner of its agents."""
    return getpass.getuser()


class Daemon:
    """One node."""

    def __init__(self, paths: Paths, settings: Settings, parent: int | None) -> None:
        self._paths = paths
        self._settings = settings
        self._parent = parent
        self._stopping = asyncio.Event()
        self.name = settings.node.name
        self._server: PrivateServer | None = None
        self._simulated = False
        self._gpus: list[str] = []
        self._started = utc_now()

    def stop(self) -> None:
        """Take the node down: agents finish what they have in hand and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until told to stop. Raises SparkplugError when it cannot start."""
        paths, settings = self._paths, self._settings
        keys: MeshKeys | None = None
        credentials: Credentials | None
        if settings.nats.url:
            url = settings.nats.url
            credentials = await asyncio.to_thread(_configured_creds, settings)
        else:
            keys = await asyncio.to_thread(ensure_keys, paths.keys)
            url = await self._start_server(keys)
            credentials = keys.user(f"node {self.name}", _EVERYTHING)
        wire.use_inbox(subjects.inbox("planner", self.name))
        bus = self._bus = await connect(
            url,
            name=f"node {self.name}",
            inbox_prefix=subjects.inbox("node", self.name),
            credentials=credentials,
            deadline=_CONNECT_DEADLINE_S,
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
        if self._server is not None:
            await self._server.stop()

    async def _start_server(self, keys: MeshKeys) -> str:
        server = self._server = PrivateServer(
            self._paths.nats, self._paths.run, self._paths.logs, keys
        )
        if not server.adopt():
            await server.start(self._server_settings())
        assert server.url is not None
        return server.url

    def _server_settings(self) -> ServerSettings:
        nats_settings = self._settings.nats
        return ServerSettings(
            name=self.name,
            port=nats_settings.port,
            max_memory=nats_settings.max_memory,
            max_store=nats_settings.max_store,
            max_payload=nats_settings.max_payload,
            binary=nats_settings.server,
        )

    async def _compose(
        self, bus: Bus, keys: MeshKeys | None, credentials: Credentials | None
    ) -> None:
        settings, paths = self._settings, self._paths
        self._observed = ObservedState(bus)
        self._events = EventLog(bus, self.name, f"node {self.name}")
        services = Services(bus)
        zygotes = ZygotePool(paths.logs, self._agent_environment())
        supervisor = Supervisor(
            bus=bus,
            node=self.name,
            owner=owner_name(),
            settings=settings,
            paths=paths,
            keys=keys,
            credentials=credentials,
            zygotes=zygotes,
            observed=self._observed,
            events=self._events,
            modules=[str(shipped("plugins"))],
        )
        await supervisor.find_left()
        state = DesiredState(bus)
        directory = Directory(bus)
        placer = Placer(bus, self.name, owner_name(), state, self._observed, self._events)
        observer = Observer(bus, owner_name())
        planner = Planner(bus, self.name, self._events, known_agents=directory.names)
        sampler = Sampler(
            self.name,
            period=settings.telemetry.period,
            owner_of=supervisor.owner_of,
            history_seconds=settings.telemetry.history,
        )
        gpu_events = GpuEvents(self._events)
        state.on_change(lambda: supervisor.reconcile(state.specs, state.by_replica()))

        async def publish(sample: HostSample) -> None:
            gpu_events.take(sample)
            self._note(sample)
            await self._publish_sample(sample)

        async def logs(request: LogsRequest) -> LogsReply:
            return await asyncio.to_thread(supervisor.logs.read, request)

        await services.serve(subjects.node_service(self.name, "logs"), LogsRequest, logs)
        await serve_telemetry(services, self.name, sampler)
        await supervisor.start()
        python = await zygotes.warm("", "python")
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("observed state", self._observed.run),
            ("events", self._events.run),
            ("desired state", state.run),
            ("directory", lambda: directory.run(services)),
            ("observer", lambda: observer.run(services)),
            ("foreign agents", ForeignAgents(bus, self._observed).run),
            ("planner", planner.run),
            ("telemetry", lambda: sampler.run(publish)),
            ("agent health", supervisor.watch_health),
            ("zygotes", zygotes.keep_alive),
            ("node record", self._keep_record),
        ]
        if self._server is not None:
            loops.append(("nats-server", self._keep_server))
        if self._parent is not None:
            loops.append(("parent", self._keep_parent))
        tasks = [asyncio.create_task(_named(name, loop), name=name) for name, loop in loops]
        placing = asyncio.create_task(_named("placer", placer.run), name="placer")
        tasks.append(placing)
        try:
            await self._wait_ready(python.ready())
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
        finally:
            await end(*tasks)
            await services.close()
            await supervisor.leave()
            await zygotes.stop()

    async def _wait_ready(self, warm: Awaitable[None]) -> None:
        """Ready means that an agent would be taken: the zygote is warm, the record written."""
        await warm
        self._write_info(NodeState.READY)
        self._observed.set(node_key(self.name), self._record(NodeState.READY))

    async def _take_down(self, supervisor: Supervisor) -> None:
        log.info("going down")
        self._write_info(NodeState.STOPPING)
        self._observed.set(node_key(self.name), self._record(NodeState.STOPPING))
        await supervisor.stop_all()
        self._events.emit("host:left", self.name)
        self._observed.set(node_key(self.name), self._record(NodeState.STOPPED))
        await self._events.drain(_CLOSE_DEADLINE_S)
        await self._observed.flush()

    def _agent_environment(self) -> dict[str, str]:
        """What agents get beside the scrubbed environment: the model key that settings name."""
        name = self._settings.llm.api_key_env
        value = os.environ.get(name, "") if name else ""
        return {name: value} if value else {}

    def _note(self, sample: HostSample) -> None:
        self._simulated = sample.driver.simulated
        gpus = [gpu.uuid for gpu in sample.gpus if gpu.state is GpuState.OK]
        if gpus != self._gpus:
            self._gpus = gpus
            self._observed.set(node_key(self.name), self._record(NodeState.READY))

    async def _publish_sample(self, sample: HostSample) -> None:
        if not self._bus.connected:
            return
        try:
            await self._bus.nc.publish(
                subjects.telemetry(self.name), sample.model_dump_json().encode()
            )
        except nats.errors.Error as error:
            log.debug("sample not published: %s", error)

    def _record(self, state: NodeState) -> ObservedNode:
        return ObservedNode(
            name=self.name,
            host=self.name,
            state=state,
            version=__version__,
            pid=os.getpid(),
            started=self._started,
            cores=os.cpu_count() or 0,
            labels=self._settings.node.labels,
            gpus=self._gpus,
            simulated=self._simulated,
        )

    async def _keep_record(self) -> None:
        while True:
            await asyncio.sleep(_RECORD_EVERY_S)
            self._observed.set(node_key(self.name), self._record(NodeState.READY))

    def _write_info(self, state: NodeState) -> None:
        info = NodeInfo(
            name=self.name,
            pid=os.getpid(),
            started=start_time(os.getpid()) or 0.0,
            parent_pid=self._parent,
            state=state,
            url=self._bus.shown_url,
            version=__version__,
        )
        run_files.write(self._paths.run / run_files.NODE, info.model_dump(mode="json"))

    async def _keep_server(self) -> None:
        """Start nats-server again when it ends; connections come back by themselves."""
        server = self._server
        assert server is not None
        pause = _NATS_PAUSE_S
        while True:
            began = time.monotonic()
            await server.wait_ended()
            if self._stopping.is_set():
                return
            log.warning("nats-server ended; it is started again")
            settled = time.monotonic() - began > _NATS_LONGEST_PAUSE_S
            pause = _NATS_PAUSE_S if settled else min(_NATS_LONGEST_PAUSE_S, pause * 1.5)
            while True:
                try:
                    await server.start(self._server_settings())
                    break
                except SparkplugError as error:
                    log.error("nats-server does not start: %s", error)
                    await asyncio.sleep(pause)

    async def _keep_parent(self) -> None:
        """Start another parent when ours is killed; it takes this daemon over."""
        while True:
            parent = self._parent
            assert parent is not None
            await wait_process(parent, partial(_is_parent, parent))
            if self._stopping.is_set():
                return
            log.warning("the parent process ended; it is started again")
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sparkplug.node.parent",
                "--home",
                str(self._paths.home),
                "--adopt",
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
            self._parent = process.pid
            self._write_info(NodeState.READY)


def _configured_creds(settings: Settings) -> Credentials | None:
    creds = settings.nats.creds
    return read_creds(Path(creds).expanduser()) if creds else None


def _is_parent(pid: int) -> bool:
    return os.getppid() == pid


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
