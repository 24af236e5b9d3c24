"""A node's telemetry as services: samples, history, processes, the kernel log, and orders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sparkplug.bus import subjects
from sparkplug.bus.events import EventLog
from sparkplug.bus.service import Services
from sparkplug.schema.history import HistoryReply, HistoryRequest
from sparkplug.schema.host_orders import (
    PowerLimitReply,
    PowerLimitRequest,
    ProcessOrderReply,
    ReniceRequest,
    SignalRequest,
)
from sparkplug.schema.host_topology import HostTopology
from sparkplug.schema.node import Nothing
from sparkplug.schema.node_services import (
    KernelLogReply,
    ProcessesReply,
    WindowReply,
    WindowRequest,
)
from sparkplug.telemetry.process_orders import renice, send_signal
from sparkplug.telemetry.sampler import Sampler


async def serve_telemetry(services: Services, node: str, sampler: Sampler) -> None:
    """Offer what `sampler` knows on the node's subjects."""

    async def window(request: WindowRequest) -> WindowReply:
        return WindowReply(samples=await sampler.window(request.seconds))

    async def history(request: HistoryRequest) -> HistoryReply:
        return await sampler.history(request)

    async def processes(_: Nothing) -> ProcessesReply:
        return ProcessesReply(host=node, processes=await sampler.processes())

    async def kernel_log(_: Nothing) -> KernelLogReply:
        return await sampler.kernel_log()

    async def topology(_: Nothing) -> HostTopology:
        return await sampler.topology()

    await services.serve(subjects.node_service(node, "window"), WindowRequest, window)
    await services.serve(subjects.node_service(node, "history"), HistoryRequest, history)
    await services.serve(subjects.node_service(node, "processes"), Nothing, processes)
    await services.serve(subjects.node_service(node, "kernel-log"), Nothing, kernel_log)
    await services.serve(subjects.node_service(node, "topology"), Nothing, topology)


async def serve_orders(
    services: Services,
    node: str,
    sampler: Sampler,
    events: EventLog,
    ours: Callable[[], set[int]],
) -> None:
    """Take orders about this host: processes (but not `ours`), power limits. Each is an event."""

    async def on_signal(request: SignalRequest) -> ProcessOrderReply:
        reply = await asyncio.to_thread(send_signal, request, ours)
        data = {"signal": request.signal, "name": reply.name}
        events.emit("host:signalled", f"{node}/{request.pid}", data=data)
        return reply

    async def on_renice(request: ReniceRequest) -> ProcessOrderReply:
        reply = await asyncio.to_thread(renice, request, ours)
        data = {"nice": request.nice, "name": reply.name}
        events.emit("host:reniced", f"{node}/{request.pid}", data=data)
        return reply

    async def on_power_limit(request: PowerLimitRequest) -> PowerLimitReply:
        reply = await sampler.set_power_limit(request)
        data = {"before": reply.before_watts, "watts": reply.now_watts}
        events.emit("gpu:limited", f"{node}/gpu{request.gpu}", data=data)
        return reply

    await services.serve(subjects.node_service(node, "signal"), SignalRequest, on_signal)
    await services.serve(subjects.node_service(node, "renice"), ReniceRequest, on_renice)
    await services.serve(
        subjects.node_service(node, "power-limit"), PowerLimitRequest, on_power_limit
    )
