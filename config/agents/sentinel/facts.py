"""The measured figures of a window, which the brief is written from. The unit ends each name."""

from __future__ import annotations

from typing import Any

from sparkplug.schema.host import DriverState, Gpu, HostSample, Process

from .findings import MIB, gib, mean

_TOP = 3


def facts(samples: list[HostSample], processes: list[Process]) -> dict[str, Any]:
    """What was measured over `samples` (oldest first, at least one); unsupported = left out."""
    last = samples[-1]
    found: dict[str, Any] = {
        "uptime_hours": round(last.uptime_seconds / 3600, 1),
        "cores": last.cpu.cores,
        "cpu_mean_percent": mean([s.cpu.percent for s in samples]),
        "cpu_max_percent": round(max(s.cpu.percent for s in samples), 1),
        "load1": round(last.cpu.load1, 2),
        "memory_total_gib": gib(last.memory.total_bytes),
        "memory_available_min_gib": gib(min(s.memory.available_bytes for s in samples)),
        "swap_total_gib": gib(last.swap_total_bytes),
        "swap_used_gib": gib(last.swap_used_bytes),
    }
    for resource, pressure in sorted(last.pressure.items()):
        found[f"{resource}_pressure_some_avg10_percent"] = round(pressure.some_avg10, 1)
    if last.network is not None:
        found["network_receive_mib_per_second"] = _mib(last.network.receive_bytes_per_second)
        found["network_transmit_mib_per_second"] = _mib(last.network.transmit_bytes_per_second)
    found["processes"] = last.processes_total
    found["processes_zombie"] = last.processes_zombie
    found["processes_blocked"] = last.processes_blocked
    found["disks"] = [
        {
            "mount": disk.mount,
            "available_gib": gib(disk.available_bytes),
            "available_percent": round(100 * disk.available_bytes / max(disk.total_bytes, 1), 1),
        }
        for disk in last.disks
    ]
    found["largest_processes"] = [
        {"name": p.agent or p.name, "pid": p.pid, "rss_mib": round(p.rss_bytes / MIB)}
        for p in sorted(processes, key=lambda p: -p.rss_bytes)[:_TOP]
    ]
    found["driver"] = {"state": last.driver.state.value}
    if last.driver.state is DriverState.OK:
        found["driver"]["version"] = last.driver.version or "unknown"
    found["gpus"] = [_gpu(gpu, samples) for gpu in last.gpus]
    return found


def _gpu(gpu: Gpu, samples: list[HostSample]) -> dict[str, Any]:
    readings = [g for s in samples for g in s.gpus if g.uuid == gpu.uuid]
    found: dict[str, Any] = {"index": gpu.index, "name": gpu.name, "state": gpu.state.value}
    for name, values in (
        ("utilization_mean_percent", [r.utilization_percent for r in readings]),
        ("power_mean_watts", [r.power_watts for r in readings]),
    ):
        known = [value for value in values if value is not None]
        if known:
            found[name] = mean(known)
    if gpu.memory is not None:
        found["gpu_memory_used_gib"] = gib(gpu.memory.used_bytes)
        found["gpu_memory_total_gib"] = gib(gpu.memory.total_bytes)
    temperatures = [r.temperature_celsius for r in readings if r.temperature_celsius is not None]
    if temperatures:
        found["temperature_max_celsius"] = round(max(temperatures), 1)
    if gpu.clock_event_reasons:
        found["clock_event_reasons"] = ", ".join(gpu.clock_event_reasons)
    return found


def _mib(rate: float) -> float:
    return round(rate / MIB, 2)
