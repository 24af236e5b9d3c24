"""The sampler: one host's telemetry at 1 Hz."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from sparkplug.schema.errors import DeadlineError, NotFoundError, SparkplugError
from sparkplug.schema.history import HistoryReply, HistoryRequest
from sparkplug.schema.host import Driver, DriverState, Gpu, HostSample, Process
from sparkplug.schema.host_orders import PowerLimitReply, PowerLimitRequest
from sparkplug.schema.host_topology import HostTopology
from sparkplug.schema.node_services import KernelLogReply
from sparkplug.telemetry.adapters import add_adapters
from sparkplug.telemetry.daemon_thread import DaemonThread
from sparkplug.telemetry.gpu.client import GpuSource
from sparkplug.telemetry.gpu.reading import GpuReading
from sparkplug.telemetry.history.store import History
from sparkplug.telemetry.host import HostSource
from sparkplug.telemetry.inference.source import InferenceSource
from sparkplug.telemetry.kernel_log import read_kernel_log
from sparkplug.telemetry.processes import ProcessTable
from sparkplug.telemetry.source import Source

LOG = logging.getLogger(__name__)

#: Rates need two readings; the first sample comes this long after the start (seconds).
FIRST_SAMPLE_SECONDS = 0.2
#: The share of a period a sample waits for the GPUs; later ones go into the next sample.
GPU_SHARE = 0.5
PROCESSES_SECONDS = 5.0
KERNEL_LOG_SECONDS = 5.0


class Sampler:
    """Reads the host and its GPUs every `period` seconds and keeps the history in a folder, in
    at most `history_bytes`; without one, what is at hand in memory alone.

    `owner_of` names the agent (name/replica) that owns a pid. A driver that hangs delays no
    sample: its GPUs are shown as not responding. Nothing here blocks the event loop.
    """

    def __init__(
        self,
        host: str,
        *,
        period: float = 1.0,
        owner_of: Callable[[int], str | None] = lambda pid: None,
        history: Path | None = None,
        history_bytes: int = 64 << 20,
        gpus: Source[GpuReading] | None = None,
        inference: bool = True,
        inference_urls: Iterable[str] = (),
    ) -> None:
        self._host = host
        self._period = period
        self._owner_of = owner_of
        self._history = History(host, history, period=period, most_bytes=history_bytes)
        self._gpus: Source[GpuReading] = gpus if gpus is not None else GpuSource()
        self._gpu_read: asyncio.Task[GpuReading] | None = None
        self._gpu_reading = GpuReading(driver=Driver(state=DriverState.STARTING))
        self._inference: InferenceSource | None = None
        if inference:
            self._inference = InferenceSource(self._on_gpu, urls=inference_urls, owner_of=owner_of)
        self._table = ProcessTable(owner_of)
        self._table_thread = DaemonThread("reading the process table")
        self._log_thread = DaemonThread("reading the kernel log")
        self._sequence = 0
        self._latest: HostSample | None = None

    @property
    def latest(self) -> HostSample | None:
        """The last sample; None before the first."""
        return self._latest

    async def window(self, seconds: float) -> list[HostSample]:
        """The samples of the last `seconds`, oldest first. Raises DeadlineError."""
        return await self._history.window(seconds)

    async def history(self, request: HistoryRequest) -> HistoryReply:
        """How figures went. Raises DeadlineError, InvalidError, SparkplugError."""
        return await self._history.query(request)

    async def topology(self) -> HostTopology:
        """How GPUs and adapters hang together. Raises RefusedError, DeadlineError."""
        told: dict[str, object] = {}
        if self._gpu_reading.driver.state is DriverState.OK and isinstance(self._gpus, GpuSource):
            told = await self._gpus.order("topology")
        found = HostTopology.model_validate(
            {"host": self._host, "simulated": self._gpu_reading.driver.simulated, **told}
        )
        if not found.simulated:
            # A scripted GPU lies on no bus of this host.
            found = await self._table_thread.call(
                partial(add_adapters, found), timeout=PROCESSES_SECONDS
            )
        return found

    async def set_power_limit(self, request: PowerLimitRequest) -> PowerLimitReply:
        """Set a GPU's power limit. Raises NotFoundError, RefusedError, DeadlineError."""
        gpu = next((g for g in self._gpu_reading.gpus if g.index == request.gpu and g.uuid), None)
        if gpu is None or not isinstance(self._gpus, GpuSource):
            raise NotFoundError(f"no GPU {request.gpu} on {self._host}")
        done = await self._gpus.order("power_limit", uuid=gpu.uuid, watts=request.watts)
        return PowerLimitReply.model_validate({"gpu": request.gpu, **done})

    async def processes(self) -> list[Process]:
        """The process table now. Raises DeadlineError when /proc hangs behind a stuck process."""
        return await self._table_thread.call(self._table.read, timeout=PROCESSES_SECONDS)

    async def kernel_log(self) -> KernelLogReply:
        """The kernel's OOM and Xid lines, or why they cannot be read."""
        try:
            return await self._log_thread.call(read_kernel_log, timeout=KERNEL_LOG_SECONDS)
        except DeadlineError as error:
            return KernelLogReply(readable=False, reason=error.message)

    async def run(self, publish: Callable[[HostSample, bytes], Awaitable[None]]) -> None:
        """Sample until cancelled, and hand each sample to `publish`, with the same as JSON.

        Ticks lie on a fixed schedule, so no drift adds up: after the first, at multiples of the
        period, when all else of this process wakes that is done every second. Ticks that were
        missed (a suspended host, a slow publish) are skipped. A publish that fails or takes
        longer than two periods is logged and its sample kept in the history all the same.
        """
        loop = asyncio.get_running_loop()
        host = HostSource()
        asking = asyncio.create_task(self._inference.run()) if self._inference else None
        try:
            due = loop.time() + FIRST_SAMPLE_SECONDS
            while True:
                await asyncio.sleep(max(due - loop.time(), 0))
                await self._tick(host, publish)
                due = _next_tick(loop.time(), due, self._period)
        finally:
            if asking is not None:
                asking.cancel()
            if self._gpu_read is not None:
                self._gpu_read.cancel()
                self._gpu_read = None
            await self._gpus.close()
            await host.close()
            self._history.close()

    async def _tick(
        self, host: HostSource, publish: Callable[[HostSample, bytes], Awaitable[None]]
    ) -> None:
        if self._gpu_read is None:
            self._gpu_read = asyncio.create_task(self._gpus.read())
        try:
            figures = await host.read()
        except (DeadlineError, OSError) as error:
            # A file of /proc or a control group may vanish while it is read: the next tick reads.
            LOG.warning("no sample: %s", error)
            return
        reading = await self._gpus_now()
        self._sequence += 1
        sample = HostSample(
            host=self._host,
            sequence=self._sequence,
            driver=reading.driver,
            gpus=[self._owned(gpu) for gpu in reading.gpus],
            xids=reading.xids,
            gpu_events=reading.events,
            inference=self._inference.servers() if self._inference else [],
            **figures,
        )
        for process in sample.top_processes:
            process.agent = self._owner_of(process.pid)
        self._latest = sample
        # What is null is left out: a reader takes what is missing for null.
        body = sample.model_dump_json(exclude_none=True).encode()
        self._history.add(sample, body)
        try:
            async with asyncio.timeout(2 * self._period):
                await publish(sample, body)
        except (TimeoutError, SparkplugError, OSError) as error:
            LOG.warning("sample %d was not published: %s", sample.sequence, error or "too slow")

    async def _gpus_now(self) -> GpuReading:
        """This tick's reading when it comes in time, else the last one; the question stays open.

        The source itself answers within its deadline, so the last one is at most that old.
        """
        task = self._gpu_read
        if task is not None:
            done, _ = await asyncio.wait({task}, timeout=self._period * GPU_SHARE)
            if done:
                self._gpu_read = None
                self._gpu_reading = task.result()
        return self._gpu_reading

    def _on_gpu(self) -> dict[int, list[str]]:
        """The processes that hold GPU memory, and on which GPUs."""
        found: dict[int, list[str]] = {}
        for gpu in self._gpu_reading.gpus:
            for process in gpu.processes:
                found.setdefault(process.pid, []).append(gpu.uuid)
        return found

    def _owned(self, gpu: Gpu) -> Gpu:
        for process in gpu.processes:
            # What an agent starts is the agent's: its trainer, its server, their workers.
            family = (process.pid, *(link.pid for link in process.ancestors))
            owner = next(filter(None, map(self._owner_of, family)), None)
            process.agent = owner or process.agent
        return gpu


def _next_tick(now: float, before: float, period: float) -> float:
    """The first multiple of the period that lies ahead, half a period after the tick before."""
    return math.ceil(max(now, before + period / 2) / period) * period
