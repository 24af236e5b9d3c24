"""The daemon: one per host; starts, runs and ends everything a node does."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from sparkplug import __version__
from sparkplug.bus import subjects
from sparkplug.bus import synadia as wire
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.streams import ensure_streams
from sparkplug.config import Settings
from sparkplug.node import run_files
from sparkplug.node.mesh_entry import MeshEntry
from sparkplug.node.mesh_rooms import Loop
from sparkplug.node.node_lease import Standing
from sparkplug.node.parent_keeper import keep_parent
from sparkplug.node.parts import Parts
from sparkplug.paths import Paths
from sparkplug.schema.errors import ConflictError, RefusedError
from sparkplug.schema.node import NodeState

log = logging.getLogger(__name__)

_CLOSE_DEADLINE_S = 5.0
#: Objects that are new are gone through when there are so many more of them (700 by default).
_YOUNG = 5000


class Daemon:
    """One node."""

    def __init__(self, paths: Paths, settings: Settings, parent: int | None) -> None:
        self._paths = paths
        self._settings = settings
        self._parent = parent
        self._stopping = asyncio.Event()
        self._entry = MeshEntry(paths, settings)
        self.name = settings.node.name

    def stop(self) -> None:
        """Take the node down: agents finish what they have in hand and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until told to stop. Raises SparkplugError when it cannot start."""
        settings, entry = self._settings, self._entry
        wire.use_inbox(subjects.inbox("planner", self.name))
        bus = await entry.enter()
        try:
            await ensure_streams(
                bus,
                max_store=settings.nats.max_store,
                events_max=settings.events.max,
                events_keep=settings.events.keep,
            )
            signer = await entry.signer(bus)
            parts = Parts(bus, self._paths, settings, entry, signer, self._parent)
            await self._run(bus, parts)
        finally:
            await bus.close()
        if entry.keeper is not None:
            await entry.keeper.server.stop()

    async def _run(self, bus: Bus, parts: Parts) -> None:
        parts.lease.on_standing(lambda standing: _stand(standing, parts))
        loops: list[Loop] = [
            *await parts.serve(),
            ("admission", lambda: _keep_admitted(bus)),
        ]
        if self._entry.keeper is not None:
            keeper = self._entry.keeper
            loops.append(("nats-server", lambda: keeper.keep(self._stopping)))
        if self._parent is not None:
            home = self._paths.home
            loops.append(("parent", lambda: keep_parent(parts.record, home, self._stopping)))
        tasks = [asyncio.create_task(_named(name, loop), name=name) for name, loop in loops]
        placing = asyncio.create_task(_named("placer", parts.placer.run), name="placer")
        tasks.append(placing)
        leasing = asyncio.create_task(_named("lease", parts.lease.run), name="lease")
        tasks.append(leasing)
        try:
            await parts.lease.joined()
            await _wait_ready(parts)
            parts.events.emit("host:joined", self.name, data={"version": __version__})
            stopping = asyncio.create_task(self._stopping.wait())
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            for task in done:
                if task is not stopping:
                    task.result()
            # Nobody places on a node that is going down, least of all itself.
            await end(placing)
            await self._take_down(parts)
            await end(leasing)
            await parts.lease.release()
        finally:
            await end(*tasks)
            await parts.close()

    async def _take_down(self, parts: Parts) -> None:
        log.info("going down")
        parts.record.enter(NodeState.STOPPING)
        await parts.supervisor.stop_all()
        parts.events.emit("host:left", self.name)
        parts.record.enter(NodeState.STOPPED)
        await parts.events.drain(_CLOSE_DEADLINE_S)
        await parts.observed.flush()


async def _wait_ready(parts: Parts) -> None:
    """Ready means that an agent would be taken: the zygote is warm, the record written."""
    await parts.zygotes.ready("", "python")
    # What was loaded stays: it is not gone through again for what can be let go of.
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    parts.record.enter(NodeState.READY)


def _stand(standing: Standing, parts: Parts) -> None:
    """Act on the lease's standing, and write it down for who looks on this host."""
    supervisor, record = parts.supervisor, parts.record
    if standing >= Standing.ENDING:
        supervisor.stop_movable()
    if standing is Standing.OVER:
        supervisor.kill_movable()
    if standing is Standing.HELD:
        log.info("the mesh is reached again")
        supervisor.lease_held()
        record.write_info(record.state)
        return
    if standing is Standing.CUT_OFF:
        log.warning("cut off from the mesh since %s", parts.lease.cut_off)
    record.say_cut_off()


async def _keep_admitted(bus: Bus) -> None:
    """Raise RefusedError once the server will not have this node any more."""
    await bus.shut_out.wait()
    raise RefusedError(
        f"the NATS server at {bus.shown_url} shut this node out",
        hint="was it expelled? `sparkplug mesh leave` goes back to a mesh of its own",
    )


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
