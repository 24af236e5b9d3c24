"""A host and its GPUs in lines: what is measured, how it went, and what is not supported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkplug.schema.shares import memory_percent
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, fit, folded
from sparkplug.tui.figures import (
    UNSUPPORTED,
    age,
    load_pen,
    meter,
    number,
    percent,
    rate,
    size,
    sparkline,
)
from sparkplug.tui.panes.gpu_lines import gpu_lines, small_gpu, state_words
from sparkplug.tui.panes.gpu_process_lines import LABEL, figure_line
from sparkplug.tui.panes.inference_lines import inference_lines
from sparkplug.tui.side_by_side import beside_each_other, columns_in

if TYPE_CHECKING:
    from datetime import datetime

    from sparkplug.schema.host import Driver, Gpu, GpuEvent, HostSample, Xid
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.past import PastGpu, PastSample

#: From so many cells on a GPU's figures stand in few lines.
_COMPACT = 70
_BUSIEST = 5
_INTERFACES = 4
_EVENTS = 6
_CORES = "▁▂▃▄▅▆▇█"


def driver_words(driver: Driver) -> tuple[str, str]:
    """A pen and the state of the NVIDIA driver in words."""
    match str(driver.state):
        case "ok":
            cuda = f", CUDA {driver.cuda}" if driver.cuda else ""
            return "dim", f"driver {driver.version or UNSUPPORTED}{cuda}"
        case "no_driver":
            return "dim", "no NVIDIA driver"
        case "starting":
            return "dim", "asking the NVIDIA driver"
        case "not_responding":
            old = f", last answer {age(driver.age_seconds)} ago" if driver.age_seconds else ""
            return "bad", f"NVIDIA driver does not respond{old}"
    return "bad", f"NVIDIA driver: {one_line(driver.reason or 'error')}"


def has_none(sample: HostSample) -> bool:
    """Whether the driver is well and has no GPU to tell of."""
    return not sample.gpus and str(sample.driver.state) == "ok"


def host_lines(
    view: HostView, history: Sequence[HostSample | PastSample], width: int
) -> list[Line]:
    """All of a host, `width` cells wide; what one comes for, its GPUs, before what it has else."""
    sample = view.sample
    if sample is None:
        return [(("dim", "no telemetry heard from it yet"),)]
    bar, plot = max(6, min(20, width // 6)), max(0, min(60, width - 50))
    lines = [
        part
        for line in _host(sample, history, bar, plot)
        for part in folded(line, width, LABEL + 1)
    ]
    lines += inference_lines(sample)
    pen, text = driver_words(sample.driver)
    marked: Line = (("alarm", " SIMULATED "), ("text", " ")) if sample.simulated else ()
    none: Line = (("dim", ", no GPU"),) if has_none(sample) else ()
    driver: Line = (("dim", f"{'gpus':<{LABEL}}"), *marked, (pen, text), *none, *_unwell(sample))
    lines += [(), *folded(driver, width, LABEL + 1)]
    # Before the GPUs, of which there may be more than the screen has room for.
    lines += [part for line in _events(sample) for part in folded(line, width, LABEL + 1)]
    columns = columns_in(width, len(sample.gpus))
    column = width // columns
    sections = []
    for gpu in sample.gpus:
        if column >= _COMPACT and not history and gpu.memory is not None:
            sections.append(small_gpu(gpu))
        else:
            past = [_gpu_of(old, gpu.uuid) for old in history]
            whole = gpu_lines(gpu, past, bar, max(0, min(60, column - 50)))
            room = column - (columns > 1)
            sections.append([part for line in whole for part in folded(line, room, LABEL + 1)])
    lines += beside_each_other(sections, width)
    parts = (_disks(sample, bar), _ports(sample), _hardware(sample))
    rest = [one for part in parts for line in part for one in folded(line, width, LABEL + 1)]
    rest += _busiest(sample)
    return [*lines, (), *rest] if rest else lines


def _unwell(sample: HostSample) -> Line:
    """The GPUs that are not well, and what they are."""
    found = [gpu for gpu in sample.gpus if str(gpu.state) != "ok"]
    return tuple(("bad", f" · ✖ gpu {gpu.index} {state_words(gpu)}") for gpu in found)


def _events(sample: HostSample) -> list[Line]:
    """The last XID and other critical events of its GPUs."""
    told: list[tuple[datetime, str, GpuEvent | Xid]] = [
        (event.time, event.kind.replace("_", " "), event) for event in sample.gpu_events[-_EVENTS:]
    ]
    told += [(xid.time, f"XID {xid.xid}", xid) for xid in sample.xids[-_EVENTS:]]
    told.sort(key=lambda one: one[0])
    return [
        (
            ("bad", f"{kind:<{LABEL}} "),
            ("text", f"gpu {event.gpu} {one_line(event.meaning)} "),
            ("warn", f"→ {one_line(event.remedy)} " if event.remedy else ""),
            ("dim", f"{time.astimezone():%H:%M:%S}"),
        )
        for time, kind, event in told[-_EVENTS:]
    ]


def _host(
    sample: HostSample, history: Sequence[HostSample | PastSample], bar: int, plot: int
) -> list[Line]:
    cpu, memory, used = sample.cpu, sample.memory, memory_percent(sample)
    cpus = sparkline([old.cpu.percent for old in history], plot)
    memories = sparkline([memory_percent(old) for old in history], plot)
    swap = f"{size(sample.swap_used_bytes)} of {size(sample.swap_total_bytes)}"
    lines: list[Line] = [
        figure_line(
            "cpu",
            *meter(cpu.percent, bar, fills=False),
            ("text", f" {percent(cpu.percent)} "),
            ("past", cpus),
        ),
        *_cores(cpu.per_core_percent),
        figure_line(
            "",
            ("dim", f"{cpu.cores} cores · load {cpu.load1:.1f} {cpu.load5:.1f} {cpu.load15:.1f}"),
            ("dim", f" · iowait {number(cpu.iowait_percent, '%')}"),
            ("dim", f" · steal {number(cpu.steal_percent, '%')}"),
        ),
        figure_line(
            "memory", *meter(used, bar), ("text", f" {percent(used)} "), ("past", memories)
        ),
        figure_line(
            "",
            ("dim", f"{size(memory.available_bytes)} available of {size(memory.total_bytes)}"),
            ("dim", f" · swap {swap}" if sample.swap_total_bytes else " · no swap"),
        ),
        figure_line("pressure", *_pressure(sample)),
    ]
    if sample.network is not None:
        down, up = sample.network.receive_bytes_per_second, sample.network.transmit_bytes_per_second
        lines.append(figure_line("network", ("text", f"↓ {rate(down)}  ↑ {rate(up)}")))
    lines += _interfaces(sample)
    zombie, blocked = sample.processes_zombie, sample.processes_blocked
    lines.append(
        figure_line(
            "process",
            ("text", f"{sample.processes_total}"),
            ("warn" if zombie else "dim", f" · {zombie} zombie"),
            ("warn" if blocked else "dim", f" · {blocked} blocked"),
            ("dim", f" · {number(sample.oom_kills_total)} killed for memory since boot"),
        )
    )
    for group in sample.control_groups[:4]:
        share = 100.0 * group.used_bytes / group.limit_bytes if group.limit_bytes else 0.0
        text = f" {percent(share)} {size(group.used_bytes)} of {size(group.limit_bytes)} "
        lines.append(figure_line("cgroup", *meter(share, bar), ("text", text), ("dim", group.path)))
    return lines


def _cores(percents: Sequence[float]) -> list[Line]:
    """How busy each core is, a cell each, sixteen in a group."""
    if len(percents) < 2:
        return []
    cells = "".join(_CORES[min(7, int(share / 12.5))] for share in percents[:128])
    groups = " ".join(cells[at : at + 16] for at in range(0, len(cells), 16))
    more = f" and {len(percents) - 128} more" if len(percents) > 128 else ""
    return [figure_line("", ("active", groups), ("dim", f"{more} by core"))]


def _interfaces(sample: HostSample) -> list[Line]:
    """Those that carry most, where there are several; their errors."""
    found = [one for one in sample.interfaces if one.up is not False]
    if len(found) < 2 and not any(one.errors for one in found):
        return []
    found.sort(key=lambda one: -(one.receive_bytes_per_second + one.transmit_bytes_per_second))
    lines = []
    for one in found[:_INTERFACES]:
        speed = one.speed_bits_per_second
        lines.append(
            figure_line(
                "",
                ("dim", f"{one_line(one.name):<12} "),
                ("text", f"↓ {rate(one.receive_bytes_per_second)} "),
                ("text", f"↑ {rate(one.transmit_bytes_per_second)}"),
                ("dim", f" · {speed / 1e9:g} Gb/s" if speed else ""),
                ("warn" if one.errors else "dim", f" · {one.errors} errors"),
                ("dim", f" · {one.drops} dropped"),
            )
        )
    return lines


def _ports(sample: HostSample) -> list[Line]:
    """InfiniBand and RoCE."""
    lines = []
    for port in sample.rdma_ports:
        well = port.state == "active"
        down, up = port.receive_bytes_per_second, port.transmit_bytes_per_second
        lines.append(
            figure_line(
                "rdma",
                ("text", f"{one_line(port.device)}/{port.port} "),
                ("ok" if well else "bad", f"{'●' if well else '✖'} {one_line(port.state)} "),
                ("dim", f"{one_line(port.link)} {one_line(port.rate or UNSUPPORTED)} "),
                ("text", f"↓ {rate(down)} ↑ {rate(up)} "),
                ("warn" if port.errors else "dim", f"{number(port.errors)} errors"),
                ("warn" if port.link_downed else "dim", f" · {number(port.link_downed)} downs"),
            )
        )
    return lines


def _hardware(sample: HostSample) -> list[Line]:
    """NUMA nodes where there are several, whole disks at work, and what is hottest."""
    lines = []
    if len(sample.numa) > 1:
        for node in sample.numa:
            free = f"{size(node.free_bytes)} free of {size(node.total_bytes)}"
            cpus = ("dim", f" · cpus {node.cpus}")
            lines.append(figure_line("numa", ("text", f"{node.node}  {free}"), cpus))
    for device in sorted(sample.block_devices, key=lambda d: -d.busy_percent)[:_INTERFACES]:
        read, written = device.read_bytes_per_second, device.write_bytes_per_second
        lines.append(
            figure_line(
                "io",
                ("text", f"{one_line(device.name):<10} {percent(device.busy_percent)} busy"),
                ("dim", f" · reads {rate(read)} · writes {rate(written)}"),
            )
        )
    warm = [s for s in sample.sensors if s.celsius is not None]
    if warm:
        warm.sort(key=lambda s: -(s.celsius or 0))
        hottest = warm[0]
        most = hottest.high_celsius or hottest.critical_celsius
        near = most is not None and (hottest.celsius or 0) >= most - 5
        rest = [f"{one_line(s.label)} {s.celsius:.0f}°" for s in warm[1:4]]
        lines.append(
            figure_line(
                "sensors",
                (
                    "warn" if near else "text",
                    f"{one_line(hottest.chip)} {one_line(hottest.label)} {hottest.celsius:.0f}°",
                ),
                ("dim", f" of {most:.0f}°" if most is not None else ""),
                ("dim", "".join(f" · {text}" for text in rest)),
            )
        )
    if sample.battery_percent is not None:
        low = sample.battery_percent < 20
        full = ("warn" if low else "text", percent(sample.battery_percent))
        lines.append(figure_line("battery", full))
    fans = [s for s in sample.sensors if s.rpm is not None]
    if fans:
        told = " · ".join(f"{one_line(s.label)} {s.rpm} rpm" for s in fans[:4])
        lines.append(figure_line("fans", ("dim", told)))
    return lines


def _busiest(sample: HostSample) -> list[Line]:
    lines = []
    for process in sample.top_processes[:_BUSIEST]:
        owner = process.agent or process.user or ""
        lines.append(
            figure_line(
                f"{process.pid:>7}",
                ("focus" if process.agent else "dim", fit(owner, 18) + " "),
                ("text", f"{process.cpu_percent:5.1f}% {size(process.rss_bytes):>5} "),
                ("text", one_line(process.command or process.name)),
            )
        )
    return lines


def _pressure(sample: HostSample) -> Line:
    if not sample.pressure:
        return (("dim", f"{UNSUPPORTED} (this kernel tells no PSI)"),)
    found = []
    for name, value in sample.pressure.items():
        pen = load_pen(value.some_avg10 * 4) if value.some_avg10 >= 20 else "dim"
        found.append((pen, f"{name} {value.some_avg10:.1f}% "))
    return (*found, ("dim", "of the last 10s"))


def _disks(sample: HostSample, bar: int) -> list[Line]:
    lines = []
    for disk in sample.disks:
        usable = disk.used_bytes + disk.available_bytes
        share = 100.0 * disk.used_bytes / usable if usable else 0.0
        text = f" {percent(share)} {size(disk.available_bytes)} free of {size(disk.total_bytes)} "
        inodes: Line = ()
        if disk.inodes_total and disk.inodes_free is not None:
            full = 100.0 * (1 - disk.inodes_free / disk.inodes_total)
            if full >= 80:
                inodes = (("warn", f" inodes {full:.0f}%"),)
        lines.append(
            figure_line("disk", *meter(share, bar), ("text", text), ("dim", disk.mount), *inodes)
        )
    lines += [
        figure_line("disk", ("bad", f"{mount} does not answer"))
        for mount in sample.mounts_not_answering
    ]
    return lines


def _gpu_of(sample: HostSample | PastSample, uuid: str) -> Gpu | PastGpu | None:
    return next((gpu for gpu in sample.gpus if gpu.uuid == uuid), None)
