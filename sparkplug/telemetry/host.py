"""The host's own figures: processor, memory, pressure, disks, network, control groups."""

from __future__ import annotations

import os
import time
from typing import Any

import psutil

from sparkplug.schema.host import ControlGroup, Cpu, Pressure, Process
from sparkplug.telemetry.control_groups import find_hierarchies, find_limited, read_group
from sparkplug.telemetry.counters import (
    Counters,
    core_shares,
    cpu_shares,
    read_counters,
    read_memory,
    read_whole,
)
from sparkplug.telemetry.daemon_thread import DaemonThread
from sparkplug.telemetry.disks import DiskTable
from sparkplug.telemetry.hardware import battery, mean_clock, numa_nodes, processor_model, sensors
from sparkplug.telemetry.interfaces import BlockTable, InterfaceTable
from sparkplug.telemetry.paced import Paced
from sparkplug.telemetry.process_states import ProcessCounter, ProcessStates
from sparkplug.telemetry.processes import Describer
from sparkplug.telemetry.rdma import RdmaTable

_PAGE = os.sysconf("SC_PAGE_SIZE")
READ_SECONDS = 2.0
DISKS_EVERY_SECONDS = 10.0
#: What of control groups is used; which of them have a limit changes seldom.
GROUPS_EVERY_SECONDS = 2.0
LIMITS_EVERY_SECONDS = 10.0
PROCESSES_EVERY_SECONDS = 3.0
HARDWARE_EVERY_SECONDS = 5.0
#: Of one core, for each value that is read less often where reading it is dear.
SHARE = 0.005


class HostSource:
    """Fills every field of HostSample that is not a GPU's. Rates are since the reading before."""

    def __init__(self) -> None:
        self._thread = DaemonThread("reading the host's figures")
        self._cores = psutil.cpu_count() or 1
        self._total_bytes = read_memory()[0].total_bytes
        disks = DiskTable()
        self._disks = Paced(disks.read, at_least=DISKS_EVERY_SECONDS, share=SHARE)
        hierarchies = find_hierarchies()
        self._groups = Paced(
            lambda: find_limited(hierarchies, self._total_bytes),
            at_least=LIMITS_EVERY_SECONDS,
            share=SHARE,
        )
        self._used = Paced(self._control_groups, at_least=GROUPS_EVERY_SECONDS, share=SHARE)
        self._counter, self._describer = ProcessCounter(), Describer()
        self._states = Paced(self._processes, at_least=PROCESSES_EVERY_SECONDS, share=SHARE)
        self._interfaces, self._blocks = InterfaceTable(), BlockTable()
        rdma = RdmaTable()
        self._rdma = Paced(rdma.read, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._numa = Paced(numa_nodes, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._sensors = Paced(sensors, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._battery = Paced(battery, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._clock = Paced(mean_clock, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._model = processor_model()
        self._before = read_counters()

    async def read(self) -> dict[str, Any]:
        """The fields of HostSample by name. Raises DeadlineError when /proc does not answer."""
        return await self._thread.call(self.read_now, timeout=READ_SECONDS)

    async def close(self) -> None:
        """Nothing runs between readings."""

    def read_now(self) -> dict[str, Any]:
        """The same, blocking."""
        before, now = self._before, read_counters()
        self._before = now
        seconds = max(now.at - before.at, 1e-3)
        memory, swap_total, swap_used = read_memory()
        disks, silent = self._disks.get()
        states, busiest = self._states.get()
        interfaces, network = self._interfaces.read()
        return {
            "uptime_seconds": round(time.clock_gettime(time.CLOCK_BOOTTIME), 2),
            "cpu": self._cpu(before, now),
            "memory": memory,
            "swap_total_bytes": swap_total,
            "swap_used_bytes": swap_used,
            "swap_in_bytes_per_second": _rate(before, now, "pswpin", seconds) * _PAGE,
            "swap_out_bytes_per_second": _rate(before, now, "pswpout", seconds) * _PAGE,
            "pressure": read_pressure(),
            "network": network,
            "interfaces": interfaces,
            "rdma_ports": self._rdma.get(),
            "block_devices": self._blocks.read(),
            "numa": self._numa.get(),
            "sensors": self._sensors.get(),
            "battery_percent": self._battery.get(),
            "disks": disks,
            "mounts_not_answering": silent,
            "control_groups": self._used.get(),
            "oom_kills_total": now.vmstat.get("oom_kill"),
            "processes_total": states.total,
            "processes_zombie": states.zombie,
            "processes_blocked": states.blocked,
            "top_processes": list(busiest),
        }

    def _processes(self) -> tuple[ProcessStates, list[Process]]:
        """How many there are in which states, and the busiest."""
        states = self._counter.read()
        return states, self._describer.of(states.top)

    def _cpu(self, before: Counters, now: Counters) -> Cpu:
        shares = cpu_shares(before.cpu, now.cpu)
        load1, load5, load15 = os.getloadavg()
        return Cpu(
            percent=shares["busy"],
            user_percent=shares["user"],
            system_percent=shares["system"],
            iowait_percent=shares.get("iowait"),
            steal_percent=shares.get("steal"),
            cores=self._cores,
            per_core_percent=core_shares(before.cores, now.cores),
            model=self._model,
            clock_mhz=self._clock.get(),
            load1=load1,
            load5=load5,
            load15=load15,
        )

    def _control_groups(self) -> list[ControlGroup]:
        groups = (read_group(hierarchy, folder) for hierarchy, folder in self._groups.get())
        return [group for group in groups if group is not None]


def read_pressure(folder: str = "/proc/pressure") -> dict[str, Pressure]:
    """Pressure by resource (cpu, memory, io); empty where the kernel does not offer it."""
    found: dict[str, Pressure] = {}
    for resource in ("cpu", "memory", "io"):
        try:
            text = read_whole(f"{folder}/{resource}").decode()
        except OSError:
            continue  # a kernel without PSI, or one booted with psi=0
        values: dict[str, float] = {}
        for line in text.splitlines():
            kind, *pairs = line.split()
            values |= {
                f"{kind}_{key}": float(value) for key, value in (p.split("=") for p in pairs)
            }
        found[resource] = Pressure(
            some_avg10=values.get("some_avg10", 0.0),
            some_avg60=values.get("some_avg60", 0.0),
            # Kernels before 5.13 have no full line for the processor: nothing is ever "full".
            full_avg10=values.get("full_avg10", 0.0),
            full_avg60=values.get("full_avg60", 0.0),
        )
    return found


def _rate(before: Counters, now: Counters, name: str, seconds: float) -> float:
    return max(now.vmstat.get(name, 0) - before.vmstat.get(name, 0), 0) / seconds
