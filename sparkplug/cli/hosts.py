"""`sparkplug hosts`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing, has_labels, select
from sparkplug.schema.host import DriverState, Gpu, HostSample
from sparkplug.schema.host_needs import HostNeed, host_needs
from sparkplug.schema.node_services import HostView
from sparkplug.schema.plain import plain


async def hosts(cli: Cli) -> int:
    """Every host. A plain name that no host has is an error, not an empty listing."""
    from sparkplug.client import hosts as room

    name = cli.args.filter
    async with cli.connect() as client:
        if name.replace("-", "").replace("_", "").isalnum() and not cli.args.watch:
            views = await room.list_hosts(client)
            if not select(views, HOSTS, name):
                await room.describe(client, name)

        async def fetch() -> Iterable[HostView]:
            views = await room.list_hosts(client)
            return [v for v in views if has_labels(v.node.labels, cli.option("label", []))]

        return await show(cli, fetch, HOSTS)


def host_data(view: HostView) -> dict[str, Any]:
    """A host as `hosts --json` has it. What a device does not support is null."""
    sample = view.sample
    return {
        "name": view.name,
        "state": str(view.state),
        "age_seconds": round(view.age_seconds, 1),
        "reason": view.node.reason,
        "clock_offset_seconds": view.node.clock_offset_seconds,
        "labels": view.node.labels,
        "cordoned": bool(view.order and view.order.cordoned),
        "draining": bool(view.order and view.order.draining),
        "order": _order(view),
        "needs": [_need(need) for need in host_needs(view)],
        "simulated": _simulated(view),
        "cpu_percent": sample.cpu.percent if sample else None,
        "memory": plain(sample.memory) if sample else None,
        **_details(sample),
        "driver": plain(sample.driver) if sample else None,
        "gpus": [gpu_data(gpu) for gpu in sample.gpus] if sample else [],
        "inference": [plain(server) for server in sample.inference] if sample else [],
    }


def _need(need: HostNeed) -> dict[str, Any]:
    since = need.since.isoformat().replace("+00:00", "Z") if need.since else None
    return {
        "place": need.place,
        "what": need.what,
        "detail": need.detail or None,
        "remedy": need.remedy or None,
        "since": since,
    }


#: What else a sample holds, under its own names.
_DETAILS = (
    "cpu",
    "pressure",
    "swap_total_bytes",
    "swap_used_bytes",
    "uptime_seconds",
    "network",
    "interfaces",
    "rdma_ports",
    "block_devices",
    "disks",
    "numa",
    "sensors",
    "top_processes",
    "xids",
    "gpu_events",
)


def _details(sample: HostSample | None) -> dict[str, Any]:
    if sample is None:
        return dict.fromkeys(_DETAILS)
    whole = plain(sample)
    return {name: whole[name] for name in _DETAILS}


def _order(view: HostView) -> str:
    """What people want of it, in words; empty when it takes what it is given."""
    return view.order.words() if view.order is not None else ""


def _state(view: HostView) -> str:
    if view.order is None or not view.order.cordoned:
        return view.state
    return f"{view.state}, {'draining' if view.order.draining else 'cordoned'}"


def gpu_data(gpu: Gpu) -> dict[str, Any]:
    """A GPU as `hosts --json` has it: everything measured."""
    return plain(gpu)


def _simulated(view: HostView) -> bool:
    return view.node.simulated or bool(view.sample and view.sample.simulated)


def _gpus(view: HostView) -> str | None:
    """How many GPUs of which kind, and how busy."""
    sample = view.sample
    if sample is None:
        return None
    mark = "SIMULATED " if _simulated(view) else ""
    if not sample.gpus:
        if sample.driver.state is DriverState.NO_DRIVER:
            return f"{mark}no driver"
        return f"{mark}{sample.driver.state}".replace("_", " ")
    busy = [g.utilization_percent for g in sample.gpus if g.utilization_percent is not None]
    names = sorted({gpu.name for gpu in sample.gpus})
    load = f" {sum(busy) / len(busy):.0f}%" if busy else ""
    lost = sum(gpu.state != "ok" for gpu in sample.gpus)
    return f"{mark}{len(sample.gpus)}×{'/'.join(names)}{load}" + (f", {lost} not ok" * bool(lost))


def _clock(view: HostView) -> str | None:
    """How far its clock is ahead of the server's."""
    offset = view.node.clock_offset_seconds
    return f"{offset:+.3f}s" if offset is not None else None


def _used(view: HostView) -> str | None:
    if view.sample is None:
        return None
    memory = view.sample.memory
    used = memory.total_bytes - memory.available_bytes
    return f"{figures.size(used)}/{figures.size(memory.total_bytes)}"


HOSTS: Listing[HostView] = Listing(
    columns=(
        Column("name", lambda v: v.name),
        Column("state", _state),
        Column("heard", lambda v: figures.span(v.age_seconds), right=True),
        Column(
            "cpu", lambda v: figures.percent(v.sample.cpu.percent if v.sample else None), right=True
        ),
        Column("cores", lambda v: v.sample.cpu.cores if v.sample else None, wide=True, right=True),
        Column("load", lambda v: f"{v.sample.cpu.load1:.1f}" if v.sample else None, wide=True),
        Column("memory", _used, right=True),
        Column("gpus", _gpus),
        Column("clock", _clock, wide=True, right=True),
        Column("version", lambda v: v.node.version, wide=True),
        Column("pid", lambda v: v.node.pid, wide=True, right=True),
        Column("reason", lambda v: v.node.reason, wide=True),
        Column("order", _order, wide=True),
    ),
    name=lambda v: v.name,
    data=host_data,
    empty="no host has joined this mesh",
)
