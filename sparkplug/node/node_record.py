"""What a node says of itself: its record for the mesh, and the file for who looks on its host."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from sparkplug import __version__
from sparkplug.bus.clock import clock_offset
from sparkplug.bus.connection import Bus
from sparkplug.config import Settings
from sparkplug.node import gpu_room, run_files
from sparkplug.node.company import Company
from sparkplug.node.node_lease import NodeLease
from sparkplug.node.observed import ObservedState, node_key
from sparkplug.processes import start_time
from sparkplug.schema.base import utc_now
from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.host import GpuState, HostSample
from sparkplug.schema.node import PROTOCOL, GpuRoom, NodeInfo, NodeState, ObservedNode

log = logging.getLogger(__name__)

_RECORD_EVERY_S = 5.0
_CLOCK_EVERY_S = 30.0


class NodeRecord:
    """How this node is: told to the mesh as `ObservedNode`, on its host in `node.json`."""

    def __init__(
        self,
        settings: Settings,
        run: Path,
        parent: int | None,
        bus: Bus,
        lease: NodeLease,
        company: Company,
        observed: ObservedState,
        running: Callable[[], list[str]],
    ) -> None:
        self.name = settings.node.name
        self.state = NodeState.JOINING
        #: The process that starts this one again; None: somebody else does.
        self.parent = parent
        #: The room on this host's GPUs, as last sampled.
        self.gpu_room: list[GpuRoom] = []
        self._settings = settings
        self._run = run
        self._bus = bus
        self._lease = lease
        self._company = company
        self._observed = observed
        self._running = running
        self._simulated = False
        self._clock_offset: float | None = None
        self._started = utc_now()

    def enter(self, state: NodeState) -> None:
        """Be in a state, and say so on this host and to the mesh."""
        self.state = state
        if state is not NodeState.STOPPED:
            self.write_info(state)
        self.tell()

    def tell(self) -> None:
        """Say to the mesh how this node is."""
        self._observed.set(node_key(self.name), self.made())

    def made(self) -> ObservedNode:
        """The record as it is now."""
        return ObservedNode(
            name=self.name,
            host=self.name,
            state=self.state,
            version=__version__,
            protocol=PROTOCOL,
            pid=os.getpid(),
            started=self._started,
            cores=os.cpu_count() or 0,
            labels=self._settings.node.labels,
            gpus=[room.uuid for room in self.gpu_room if room.state is GpuState.OK],
            gpu_room=self.gpu_room,
            simulated=self._simulated,
            epoch=self._lease.epoch,
            alone=self._company.alone,
            clock_offset_seconds=self._clock_offset,
        )

    def note(self, sample: HostSample) -> None:
        """Take in what was sampled of this host's GPUs."""
        self._simulated = sample.driver.simulated
        room = gpu_room.rooms(sample)
        told = gpu_room.worth_telling(self.gpu_room, room)
        self.gpu_room = room
        if told:
            self.tell()

    async def keep(self) -> None:
        """Say it again and again, for ever: a record that ages is of a node that is silent."""
        while True:
            await asyncio.sleep(_RECORD_EVERY_S)
            self.tell()
            if self._lease.cut_off is not None:
                self.say_cut_off()

    async def keep_clock(self) -> None:
        """Measure how far this host's clock is off, for ever."""
        while True:
            try:
                if self._bus.connected:
                    self._clock_offset = await clock_offset(self._bus)
            except (TimeoutError, SparkplugError) as error:
                log.debug("clock: %s", error)
            await asyncio.sleep(_CLOCK_EVERY_S)

    def say_cut_off(self) -> None:
        """For who looks on this host: since when, and what runs on."""
        if self.state is NodeState.READY:
            self.write_info(NodeState.CUT_OFF, self._lease.cut_off, self._running())

    def write_info(
        self, state: NodeState, cut_off: datetime | None = None, agents: Sequence[str] = ()
    ) -> None:
        """Write the file by which the processes of this state directory know the node."""
        info = NodeInfo(
            name=self.name,
            pid=os.getpid(),
            started=start_time(os.getpid()) or 0.0,
            parent_pid=self.parent,
            state=state,
            url=self._bus.shown_url,
            version=__version__,
            cut_off=cut_off,
            agents=list(agents),
        )
        run_files.write(self._run / run_files.NODE, info.model_dump(mode="json"))
