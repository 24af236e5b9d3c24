"""A node's telemetry as services: a window of samples, the process table, the kernel log."""

from __future__ import annotations

from sparkplug.bus import subjects
from sparkplug.bus.service import Services
from sparkplug.schema.history import HistoryReply, HistoryRequest
from sparkplug.schema.node import Nothing
from sparkplug.schema.node_services import (
    KernelLogReply,
    ProcessesReply,
    WindowReply,
    WindowRequest,
)
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

    await services.serve(subjects.node_service(node, "window"), WindowRequest, window)
    await services.serve(subjects.node_service(node, "history"), HistoryRequest, history)
    await services.serve(subjects.node_service(node, "processes"), Nothing, processes)
    await services.serve(subjects.node_service(node, "kernel-log"), Nothing, kernel_log)
