"""Rules about memory: pressure, what is left, limits of control groups, swap, OOM kills."""

from __future__ import annotations

import re

from sparkplug.schema.host import ControlGroup, HostSample, Process
from sparkplug.schema.node_services import KernelLogReply

from .findings import MIB, Finding, gib, mean

PRESSURE_SOME_PERCENT = 10.0
PRESSURE_FULL_PERCENT = 5.0
PRESSURE_SOURCE = (
    "Linux Documentation/accounting/psi.rst defines the measure; the limits are SparkPlug's own, "
    "a sixth of where systemd-oomd kills (60 %, oomd.conf(5))"
)
AVAILABLE_WARNING_PERCENT = 10.0
AVAILABLE_CRITICAL_PERCENT = 5.0
AVAILABLE_SOURCE = (
    "earlyoom(1), whose defaults are 10 % of memory available (SIGTERM) and 5 % (SIGKILL); it "
    "waits for free swap to be as low, this rule does not"
)
GROUP_WARNING_PERCENT = 90.0
GROUP_CRITICAL_PERCENT = 97.0
GROUP_SOURCE = (
    "Linux Documentation/admin-guide/cgroup-v2.rst: at memory.max the OOM killer acts in the "
    "group; used is the working set, as the kubelet counts it; 90 % is SparkPlug's own margin"
)
SWAP_FREE_PERCENT = 10.0
SWAP_SOURCE = "earlyoom(1), whose default for free swap is 10 %"
SWAPPING_MIB_PER_SECOND = 1.0
SWAPPING_SOURCE = (
    "The USE method (brendangregg.com/usemethod.html): swapping is memory saturation; 1 MiB/s in "
    "the mean of the window is SparkPlug's own limit"
)
RECENT_SECONDS = 3600.0
OOM_SOURCE = "Linux /proc/vmstat oom_kill (proc(5)) and the kernel log (mm/oom_kill.c)"
_KILLED = re.compile(r"[Kk]ill(?:ed)? process (\d+) \(([^)]+)\)")
_SECONDS = re.compile(r"^\[\s*(\d+\.\d+)\]")


def memory_pressure(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Tasks stalled for want of memory: PSI memory, the latest ten-second average."""
    pressure = samples[-1].pressure.get("memory")
    if pressure is None:
        return []
    some, full = round(pressure.some_avg10, 1), round(pressure.full_avg10, 1)
    if some < PRESSURE_SOME_PERCENT and full < PRESSURE_FULL_PERCENT:
        return []
    return [
        Finding(
            rule="memory.pressure",
            severity="critical" if full >= PRESSURE_FULL_PERCENT else "warning",
            subject="memory",
            summary=(
                f"Some tasks waited for memory {some} % of the last ten seconds, "
                f"all of them at once {full} %."
            ),
            figures={"some_avg10_percent": some, "full_avg10_percent": full},
            source=PRESSURE_SOURCE,
        )
    ]


def memory_available(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Little memory available (MemAvailable), at the lowest of the window."""
    low = min(samples, key=lambda sample: sample.memory.available_bytes).memory
    if low.total_bytes <= 0:
        return []
    share = round(100 * low.available_bytes / low.total_bytes, 1)
    if share >= AVAILABLE_WARNING_PERCENT:
        return []
    left, total = gib(low.available_bytes), gib(low.total_bytes)
    return [
        Finding(
            rule="memory.available",
            severity="critical" if share < AVAILABLE_CRITICAL_PERCENT else "warning",
            subject="memory",
            summary=f"Only {left} GiB of {total} GiB of memory is available ({share} %)"
            f"{_biggest(processes)}.",
            figures={"available_gib": left, "total_gib": total, "available_percent": share}
            | _biggest_figures(processes),
            source=AVAILABLE_SOURCE,
        )
    ]


def control_group_limits(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """A control group whose working set is near its memory limit, or that was OOM-killed in."""
    first = {group.path: group for group in samples[0].control_groups}
    found = []
    for group in samples[-1].control_groups:
        if group.limit_bytes <= 0:
            continue
        share = round(100 * group.used_bytes / group.limit_bytes, 1)
        kills = _kills_between(first.get(group.path), group)
        if share < GROUP_WARNING_PERCENT and not kills:
            continue
        used, limit = round(group.used_bytes / MIB, 1), round(group.limit_bytes / MIB, 1)
        within = [p for p in processes if _is_in(p, group)]
        killed = f"; the kernel killed {kills} in it during the window" if kills else ""
        found.append(
            Finding(
                rule="memory.control-group",
                severity="critical" if kills or share >= GROUP_CRITICAL_PERCENT else "warning",
                subject=group.path,
                summary=f"Control group {group.path} uses {used} MiB of its limit of {limit} MiB "
                f"({share} %){killed}{_biggest(within)}.",
                figures={"used_mib": used, "limit_mib": limit, "used_percent": share}
                | ({"oom_kills": kills} if kills else {})
                | _biggest_figures(within),
                source=GROUP_SOURCE,
            )
        )
    return found


def swap_use(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Swap nearly used up."""
    last = samples[-1]
    if last.swap_total_bytes <= 0:
        return []
    used, total = gib(last.swap_used_bytes), gib(last.swap_total_bytes)
    share = round(100 - 100 * last.swap_used_bytes / last.swap_total_bytes, 1)
    if share >= SWAP_FREE_PERCENT:
        return []
    return [
        Finding(
            rule="swap.use",
            severity="warning",
            subject="swap",
            summary=f"Swap is nearly full: {used} GiB of {total} GiB used, {share} % free.",
            figures={"used_gib": used, "total_gib": total, "free_percent": share},
            source=SWAP_SOURCE,
        )
    ]


def swap_activity(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Pages moving in and out of swap throughout the window."""
    into = mean([sample.swap_in_bytes_per_second / MIB for sample in samples])
    out = mean([sample.swap_out_bytes_per_second / MIB for sample in samples])
    if max(into, out) < SWAPPING_MIB_PER_SECOND:
        return []
    return [
        Finding(
            rule="swap.activity",
            severity="warning",
            subject="swap",
            summary=f"The host is swapping: {into} MiB/s in and {out} MiB/s out.",
            figures={"swap_in_mib_per_second": into, "swap_out_mib_per_second": out},
            source=SWAPPING_SOURCE,
        )
    ]


def oom_kills(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Processes killed for want of memory, in the window or by the kernel log within the hour."""
    first, last = samples[0].oom_kills_total, samples[-1].oom_kills_total
    now = samples[-1].uptime_seconds
    in_window = max(last - first, 0) if first is not None and last is not None else 0
    logged = [(line, _KILLED.search(line)) for line in kernel.lines]
    recent = [
        (now - _stamp(line), match)
        for line, match in logged
        if match is not None and 0 <= now - _stamp(line) <= RECENT_SECONDS
    ]
    if not in_window and not recent:
        return []
    figures: dict[str, float | int | str] = {"kills_in_window": in_window}
    summary = f"The kernel killed {in_window} processes for want of memory during the window"
    if recent:
        age, match = recent[-1]
        figures |= {
            "kills_last_hour": len(recent),
            "last_pid": int(match[1]),
            "last_name": match[2],
            "last_age_seconds": round(age),
        }
        summary += (
            f" and {len(recent)} within the hour, the last {match[2]} (pid {match[1]}) "
            f"{round(age)} s ago"
        )
    return [
        Finding(
            rule="memory.oom-kill",
            severity="critical" if in_window else "warning",
            subject="memory",
            summary=summary + ".",
            figures=figures,
            source=OOM_SOURCE,
        )
    ]


def _stamp(line: str) -> float:
    """The seconds since boot a kernel line begins with; a line without is as old as can be."""
    match = _SECONDS.match(line)
    return float(match[1]) if match else float("-inf")


def _kills_between(first: ControlGroup | None, last: ControlGroup) -> int:
    if first is None or first.oom_kills is None or last.oom_kills is None:
        return 0
    return max(last.oom_kills - first.oom_kills, 0)


def _is_in(process: Process, group: ControlGroup) -> bool:
    """Whether the group's limit binds the process: in cgroup v2 it sits in a leaf below it."""
    path = process.control_group
    if path is None:
        return False
    return path == group.path or path.startswith(group.path.rstrip("/") + "/")


def _biggest(processes: list[Process]) -> str:
    if not processes:
        return ""
    big = max(processes, key=lambda process: process.rss_bytes)
    return f"; the biggest process is {big.name} (pid {big.pid}) with {_mib(big)} MiB"


def _biggest_figures(processes: list[Process]) -> dict[str, float | int | str]:
    if not processes:
        return {}
    big = max(processes, key=lambda process: process.rss_bytes)
    return {"biggest_pid": big.pid, "biggest_name": big.name, "biggest_mib": _mib(big)}


def _mib(process: Process) -> float:
    return round(process.rss_bytes / MIB, 1)
