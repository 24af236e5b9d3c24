"""A host and its GPUs in lines: what is measured, how it went, and what is not supported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, Span, fit
from sparkplug.tui.figures import (
    UNSUPPORTED,
    age,
    load_pen,
    meter,
    number,
    percent,
    size,
    sparkline,
)
from sparkplug.tui.side_by_side import beside_each_other, columns_in

if TYPE_CHECKING:
    from sparkplug.schema.host import Driver, Gpu, HostSample
    from sparkplug.schema.node_services import HostView

_LABEL = 8
_PROCESSES = 12
#: From so many cells on a GPU's figures stand in few lines, with bars of `_BAR` cells.
_COMPACT = 68
_BAR = 10


def memory_percent(sample: HostSample) -> float:
    """The share of the host's memory that is not available."""
    memory = sample.memory
    if not memory.total_bytes:
        return 0.0
    return 100.0 * (memory.total_bytes - memory.available_bytes) / memory.total_bytes


def gpu_memory_percent(gpu: Gpu) -> float | None:
    """The share of a GPU's memory that is used; None where it is not told."""
    if gpu.memory is None or not gpu.memory.total_bytes:
        return None
    return 100.0 * gpu.memory.used_bytes / gpu.memory.total_bytes


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


def throttle(gpu: Gpu) -> str:
    """Why its clocks are low, in words; empty when nothing but idleness lowers them."""
    return ", ".join(reason for reason in gpu.clock_event_reasons if reason != "idle")


def host_lines(view: HostView, history: Sequence[HostSample], width: int) -> list[Line]:
    """All of a host, `width` cells wide."""
    sample = view.sample
    if sample is None:
        return [(("dim", "no telemetry heard from it yet"),)]
    bar, plot = max(6, min(20, width // 6)), max(0, min(60, width - 50))
    lines = _host(sample, history, bar, plot)
    lines += _disks(sample, bar)
    pen, text = driver_words(sample.driver)
    marked: Line = (("alarm", " SIMULATED "), ("text", " ")) if sample.simulated else ()
    lines += [(), (("dim", f"{'gpus':<{_LABEL}}"), *marked, (pen, text))]
    column = width // columns_in(width, len(sample.gpus))
    sections = []
    for gpu in sample.gpus:
        if column >= _COMPACT and not history and gpu.memory is not None:
            sections.append(_small_gpu(gpu))
        else:
            past = [_gpu_of(old, gpu.uuid) for old in history]
            sections.append(_gpu(gpu, past, bar, max(0, min(60, column - 50))))
    lines += beside_each_other(sections, width)
    if sample.xids:
        lines.append(())
        for xid in sample.xids[-8:]:
            lines.append(
                (
                    ("bad", f"XID {xid.xid} "),
                    ("text", f"gpu {xid.gpu} {one_line(xid.meaning)} "),
                    ("dim", f"{xid.time.astimezone():%H:%M:%S}"),
                )
            )
    return lines


def _host(sample: HostSample, history: Sequence[HostSample], bar: int, plot: int) -> list[Line]:
    cpu, memory, used = sample.cpu, sample.memory, memory_percent(sample)
    cpus = sparkline([old.cpu.percent for old in history], plot)
    memories = sparkline([memory_percent(old) for old in history], plot)
    swap = f"{size(sample.swap_used_bytes)} of {size(sample.swap_total_bytes)}"
    lines: list[Line] = [
        _line(
            "cpu",
            *meter(cpu.percent, bar, fills=False),
            ("text", f"{percent(cpu.percent)} "),
            ("past", cpus),
        ),
        _line(
            "",
            ("dim", f"{cpu.cores} cores · load {cpu.load1:.1f} {cpu.load5:.1f} {cpu.load15:.1f}"),
            ("dim", f" · iowait {number(cpu.iowait_percent, '%')}"),
            ("dim", f" · steal {number(cpu.steal_percent, '%')}"),
        ),
        _line("memory", *meter(used, bar), ("text", f"{percent(used)} "), ("past", memories)),
        _line(
            "",
            ("dim", f"{size(memory.available_bytes)} available of {size(memory.total_bytes)}"),
            ("dim", f" · swap {swap}" if sample.swap_total_bytes else " · no swap"),
        ),
        _line("pressure", *_pressure(sample)),
    ]
    if sample.network is not None:
        down, up = sample.network.receive_bytes_per_second, sample.network.transmit_bytes_per_second
        lines.append(_line("network", ("text", f"↓ {size(down)}/s  ↑ {size(up)}/s")))
    zombie, blocked = sample.processes_zombie, sample.processes_blocked
    lines.append(
        _line(
            "process",
            ("text", f"{sample.processes_total}"),
            ("warn" if zombie else "dim", f" · {zombie} zombie"),
            ("warn" if blocked else "dim", f" · {blocked} blocked"),
            ("dim", f" · {number(sample.oom_kills_total)} killed for memory since boot"),
        )
    )
    for group in sample.control_groups[:4]:
        share = 100.0 * group.used_bytes / group.limit_bytes if group.limit_bytes else 0.0
        text = f"{percent(share)} {size(group.used_bytes)} of {size(group.limit_bytes)} "
        lines.append(_line("cgroup", *meter(share, bar), ("text", text), ("dim", group.path)))
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
        text = f"{percent(share)} {size(disk.available_bytes)} free of {size(disk.total_bytes)} "
        inodes: Line = ()
        if disk.inodes_total and disk.inodes_free is not None:
            full = 100.0 * (1 - disk.inodes_free / disk.inodes_total)
            if full >= 80:
                inodes = (("warn", f" inodes {full:.0f}%"),)
        lines.append(
            _line("disk", *meter(share, bar), ("text", text), ("dim", disk.mount), *inodes)
        )
    lines += [
        _line("disk", ("bad", f"{mount} does not answer")) for mount in sample.mounts_not_answering
    ]
    return lines


def _small_gpu(gpu: Gpu) -> list[Line]:
    """A GPU in few lines, where nothing is plotted beside its figures."""
    share = gpu_memory_percent(gpu)
    both = _line(
        "busy",
        *meter(gpu.utilization_percent, _BAR, fills=False),
        ("text", percent(gpu.utilization_percent)),
        ("dim", "  memory "),
        *meter(share, _BAR),
        ("text", f"{percent(share)} "),
        *_gpu_memory(gpu),
    )
    clocks, ecc = _line("clocks", *_clocks(gpu)), _ecc(gpu)
    apart = [clocks, _line("ecc", *ecc)]
    below = apart if throttle(gpu) else [(*clocks, ("dim", " · ecc "), *ecc)]
    return [*_gpu_head(gpu), both, _line("power", *_power(gpu)), *below, *_gpu_processes(gpu)]


def _gpu(gpu: Gpu, past: Sequence[Gpu | None], bar: int, plot: int) -> list[Line]:
    utilizations = sparkline([old.utilization_percent if old else None for old in past], plot)
    memories = sparkline([gpu_memory_percent(old) if old else None for old in past], plot)
    share = gpu_memory_percent(gpu)
    return [
        *_gpu_head(gpu),
        _line(
            "busy",
            *meter(gpu.utilization_percent, bar, fills=False),
            ("text", f"{percent(gpu.utilization_percent)} "),
            ("past", utilizations),
        ),
        _line("memory", *meter(share, bar), ("text", f"{percent(share)} "), ("past", memories)),
        _line("", *_gpu_memory(gpu)),
        _line("power", *_power(gpu)),
        _line("clocks", *_clocks(gpu)),
        _line("ecc", *_ecc(gpu)),
        *_gpu_processes(gpu),
    ]


def _gpu_head(gpu: Gpu) -> list[Line]:
    name: Line = (("title", f"gpu {gpu.index} "), ("text", gpu.name), ("dim", f"  {gpu.uuid}"))
    state = [] if str(gpu.state) == "ok" else [_line("state", ("bad", f"✖ {gpu.state}"))]
    return [(), name, *state]


def _gpu_processes(gpu: Gpu) -> list[Line]:
    lines = []
    for process in gpu.processes[:_PROCESSES]:
        owner = process.agent or process.user or ""
        lines.append(
            _line(
                f"{process.pid:>7}",
                ("focus" if process.agent else "dim", fit(owner, 18) + " "),
                ("text", f"{size(process.used_bytes):>5} "),
                ("dim", f"sm {number(process.sm_percent, '%'):>4} "),
                ("text", one_line(process.name or "")),
            )
        )
    if len(gpu.processes) > _PROCESSES:
        lines.append(_line("", ("dim", f"and {len(gpu.processes) - _PROCESSES} more processes")))
    return lines


def _gpu_memory(gpu: Gpu) -> Line:
    bus = f" · bus {number(gpu.memory_bus_percent, '%')}"
    if gpu.memory is None:
        known = [p.used_bytes for p in gpu.processes if p.used_bytes is not None]
        resident = size(sum(known)) if known else UNSUPPORTED
        return (("dim", f"shared with the host; its processes hold {resident}{bus}"),)
    memory = gpu.memory
    return (("dim", f"{size(memory.used_bytes)} used of {size(memory.total_bytes)}{bus}"),)


def _power(gpu: Gpu) -> Line:
    hot = (
        gpu.temperature_celsius is not None
        and gpu.slowdown_celsius is not None
        and gpu.temperature_celsius >= gpu.slowdown_celsius - 3
    )
    limit = number(gpu.slowdown_celsius, "°")
    return (
        ("text", f"{number(gpu.power_watts, 'W')} of {number(gpu.power_limit_watts, 'W')} · "),
        ("warn" if hot else "text", f"{number(gpu.temperature_celsius, '°')}{'▲' if hot else ''}"),
        ("dim", f" slows at {limit} · fan {number(gpu.fan_percent, '%')}"),
    )


def _clocks(gpu: Gpu) -> Line:
    why = throttle(gpu)
    words: Line = (
        (("warn", f" ! {why}"),) if why else (("dim", " idle" if gpu.clock_event_reasons else ""),)
    )
    return (
        ("text", f"{number(gpu.sm_clock_mhz)} of {number(gpu.sm_clock_max_mhz)} MHz"),
        *words,
    )


def _ecc(gpu: Gpu) -> Line:
    bad = gpu.ecc_uncorrected_volatile
    remap = {
        None: f"row remap {UNSUPPORTED}",
        True: "row remap pending",
        False: "no row remap",
    }[gpu.remapped_rows_pending]
    return (
        ("bad" if bad else "text", f"{number(bad)} uncorrected"),
        ("text", f" · {number(gpu.ecc_corrected_volatile)} corrected"),
        ("warn" if gpu.remapped_rows_pending else "dim", f" · {remap}"),
    )


def _gpu_of(sample: HostSample, uuid: str) -> Gpu | None:
    return next((gpu for gpu in sample.gpus if gpu.uuid == uuid), None)


def _line(label: str, *spans: Span) -> Line:
    return (("dim", f"{label:<{_LABEL}} "), *spans)
