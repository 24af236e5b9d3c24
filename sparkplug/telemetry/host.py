"""The host's own figures: processor, memory, pressure, disks, network, control groups."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sparkplug.schema.host import ControlGroup, Cpu, Memory, Network, Pressure
from sparkplug.telemetry.control_groups import find_hierarchies, find_limited, read_group
from sparkplug.telemetry.daemon_thread import DaemonThread
from sparkplug.telemetry.disks import DiskTable
from sparkplug.telemetry.hardware import battery, mean_clock, numa_nodes, processor_model, sensors
from sparkplug.telemetry.interfaces import BlockTable, InterfaceTable
from sparkplug.telemetry.paced import Paced
from sparkplug.telemetry.process_states import ProcessCounter
from sparkplug.telemetry.processes import describe_process
from sparkplug.telemetry.rdma import RdmaTable

_PAGE = os.sysconf("SC_PAGE_SIZE")
READ_SECONDS = 2.0
DISKS_EVERY_SECONDS = 10.0
GROUPS_EVERY_SECONDS = 2.0
PROCESSES_EVERY_SECONDS = 3.0
HARDWARE_EVERY_SECONDS = 5.0
#: Of one core, for each value that is read less often where reading it is dear.
SHARE = 0.005
_VMSTAT = ("pswpin", "pswpout", "oom_kill")


@dataclass(frozen=True)
class _Counters:
    """The counters that rates are made of, and when (monotonic seconds) they were read."""

    at: float
    cpu: dict[str, float]
    cores: dict[str, tuple[int, int]]
    received: int
    sent: int
    vmstat: dict[str, int]


class HostSource:
    """Fills every field of HostSample that is not a GPU's. Rates are since the reading before."""

    def __init__(self) -> None:
        self._thread = DaemonThread("reading the host's figures")
        self._cores = psutil.cpu_count() or 1
        self._total_bytes = int(psutil.virtual_memory().total)
        disks = DiskTable()
        self._disks = Paced(disks.read, at_least=DISKS_EVERY_SECONDS, share=SHARE)
        hierarchies = find_hierarchies()
        self._groups = Paced(
            lambda: find_limited(hierarchies, self._total_bytes),
            at_least=GROUPS_EVERY_SECONDS,
            share=SHARE,
        )
        counter = ProcessCounter()
        self._states = Paced(counter.read, at_least=PROCESSES_EVERY_SECONDS, share=SHARE)
        self._interfaces, self._blocks = InterfaceTable(), BlockTable()
        rdma = RdmaTable()
        self._rdma = Paced(rdma.read, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._numa = Paced(numa_nodes, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._sensors = Paced(sensors, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._battery = Paced(battery, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._clock = Paced(mean_clock, at_least=HARDWARE_EVERY_SECONDS, share=SHARE)
        self._model = processor_model()
        self._before = _read_counters()

    async def read(self) -> dict[str, Any]:
        """The fields of HostSample by name. Raises DeadlineError when /proc does not answer."""
        return await self._thread.call(self.read_now, timeout=READ_SECONDS)

    async def close(self) -> None:
        """Nothing runs between readings."""

    def read_now(self) -> dict[str, Any]:
        """The same, blocking."""
        before, now = self._before, _read_counters()
        self._before = now
        seconds = max(now.at - before.at, 1e-3)
        memory = psutil.virtual_memory()
        swap = _swap()
        disks, silent = self._disks.get()
        states = self._states.get()
        return {
            "uptime_seconds": round(time.clock_gettime(time.CLOCK_BOOTTIME), 2),
            "cpu": self._cpu(before, now),
            "memory": Memory(
                total_bytes=memory.total,
                available_bytes=memory.available,
                free_bytes=memory.free,
                cached_bytes=memory.cached,
                buffers_bytes=memory.buffers,
                shared_bytes=memory.shared,
            ),
            "swap_total_bytes": swap[0],
            "swap_used_bytes": swap[1],
            "swap_in_bytes_per_second": _rate(before, now, "pswpin", seconds) * _PAGE,
            "swap_out_bytes_per_second": _rate(before, now, "pswpout", seconds) * _PAGE,
            "pressure": read_pressure(),
            "network": Network(
                receive_bytes_per_second=max(now.received - before.received, 0) / seconds,
                transmit_bytes_per_second=max(now.sent - before.sent, 0) / seconds,
            ),
            "interfaces": self._interfaces.read(),
            "rdma_ports": self._rdma.get(),
            "block_devices": self._blocks.read(),
            "numa": self._numa.get(),
            "sensors": self._sensors.get(),
            "battery_percent": self._battery.get(),
            "disks": disks,
            "mounts_not_answering": silent,
            "control_groups": self._control_groups(),
            "oom_kills_total": now.vmstat.get("oom_kill"),
            "processes_total": states.total,
            "processes_zombie": states.zombie,
            "processes_blocked": states.blocked,
            "top_processes": [
                process
                for pid, share in states.top
                if (process := describe_process(pid, share)) is not None
            ],
        }

    def _cpu(self, before: _Counters, now: _Counters) -> Cpu:
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


def cpu_shares(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """Percent of all cores' time spent busy, in user, in system, waiting for I/O and stolen.

    From two readings of cumulative seconds by kind. `guest` times are within `user` and `nice`
    (proc(5), /proc/stat) and are not counted twice; iowait may go backwards and is then 0.
    """
    kinds = [kind for kind in now if not kind.startswith("guest")]
    spent = {kind: max(now[kind] - before.get(kind, 0.0), 0.0) for kind in kinds}
    total = sum(spent.values())
    if total <= 0:
        spent, total = dict.fromkeys(kinds, 0.0), 1.0
    percent = {kind: 100.0 * value / total for kind, value in spent.items()}
    system = sum(percent.get(kind, 0.0) for kind in ("system", "irq", "softirq"))
    user = percent.get("user", 0.0) + percent.get("nice", 0.0)
    # Stolen time is time this host had work for and was not given: neither busy nor idle.
    shares = {"busy": min(user + system, 100.0), "user": user, "system": system}
    shares |= {kind: percent[kind] for kind in ("iowait", "steal") if kind in percent}
    return {kind: round(value, 2) for kind, value in shares.items()}


def core_shares(before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]]) -> list[float]:
    """Percent busy of each core that is on, in order, from its busy and its whole ticks."""
    shares = []
    for name, (busy, whole) in now.items():
        old_busy, old_whole = before.get(name, (busy, whole))
        spent = whole - old_whole
        share = 100.0 * (busy - old_busy) / spent if spent > 0 else 0.0
        shares.append(round(min(max(share, 0.0), 100.0), 1))
    return shares


def _cores() -> dict[str, tuple[int, int]]:
    """Busy and all ticks of each core (proc(5), /proc/stat); idle is idle and waiting for I/O."""
    found: dict[str, tuple[int, int]] = {}
    with open("/proc/stat", "rb", buffering=0) as file:  # noqa: PTH123 - hot path
        # Interrupts come after the cores, in a line of many kilobytes.
        lines = (file.read(256 << 10) or b"").decode(errors="replace").splitlines()
    for line in lines:
        if not line.startswith("cpu"):
            break
        name, *fields = line.split()
        if name == "cpu":
            continue
        ticks = [int(field) for field in fields[:8]]
        idle = sum(ticks[3:5])
        found[name] = (sum(ticks) - idle, sum(ticks))
    return found


def read_pressure(folder: str = "/proc/pressure") -> dict[str, Pressure]:
    """Pressure by resource (cpu, memory, io); empty where the kernel does not offer it."""
    found: dict[str, Pressure] = {}
    for resource in ("cpu", "memory", "io"):
        try:
            text = Path(folder, resource).read_text()
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


def _swap() -> tuple[int, int]:
    """Total and used bytes of swap (proc(5), /proc/meminfo)."""
    values = {"SwapTotal": 0, "SwapFree": 0}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in values:
            values[name] = int(rest.split()[0]) * 1024
    return values["SwapTotal"], values["SwapTotal"] - values["SwapFree"]


def _rate(before: _Counters, now: _Counters, name: str, seconds: float) -> float:
    return max(now.vmstat.get(name, 0) - before.vmstat.get(name, 0), 0) / seconds


def _read_counters() -> _Counters:
    times: dict[str, float] = psutil.cpu_times()._asdict()
    interfaces = psutil.net_io_counters(pernic=True, nowrap=False)
    outer = [counters for name, counters in interfaces.items() if name != "lo"]
    vmstat: dict[str, int] = {}
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name in _VMSTAT:
            vmstat[name] = int(value)
    return _Counters(
        at=time.monotonic(),
        cpu=times,
        cores=_cores(),
        received=sum(counters.bytes_recv for counters in outer),
        sent=sum(counters.bytes_sent for counters in outer),
        vmstat=vmstat,
    )
