"""Every rule of sentinel, and the one function that asks them all. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Callable

from sparkplug.schema.host import HostSample, Process
from sparkplug.schema.node_services import KernelLogReply

from .findings import ORDER, Finding
from .gpu_health import (
    driver_not_answering,
    ecc_errors,
    gpu_faults,
    leaked_memory,
    near_slowdown,
    remap_pending,
    throttling,
    xid_events,
)
from .host_load import (
    blocked_processes,
    cpu_saturation,
    cpu_steal,
    dead_mounts,
    disk_inodes,
    disk_space,
    zombies,
)
from .host_memory import (
    control_group_limits,
    memory_available,
    memory_pressure,
    oom_kills,
    swap_activity,
    swap_use,
)

Rule = Callable[[list[HostSample], list[Process], KernelLogReply], list[Finding]]

RULES: tuple[Rule, ...] = (
    memory_pressure,
    memory_available,
    control_group_limits,
    swap_use,
    swap_activity,
    oom_kills,
    cpu_steal,
    cpu_saturation,
    disk_space,
    disk_inodes,
    dead_mounts,
    zombies,
    blocked_processes,
    driver_not_answering,
    gpu_faults,
    xid_events,
    throttling,
    near_slowdown,
    ecc_errors,
    remap_pending,
    leaked_memory,
)


def find(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """What is wrong in a window of samples (oldest first), worst first; nothing without samples.

    A metric that the host does not offer fires no rule.
    """
    if not samples:
        return []
    found = [finding for rule in RULES for finding in rule(samples, processes, kernel)]
    return sorted(found, key=lambda finding: ORDER[finding.severity])
