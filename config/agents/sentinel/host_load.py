"""Rules about processors, disks and processes."""

from __future__ import annotations

from sparkplug.schema.host import HostSample, Process
from sparkplug.schema.node_services import KernelLogReply

from .findings import Finding, gib, mean

STEAL_PERCENT = 10.0
STEAL_SOURCE = (
    "Netdata's stock alarm 20min_steal_cpu warns above 10 %; held against the window's mean here"
)
LOAD_PER_CORE = 2.0
CPU_PRESSURE_PERCENT = 50.0
SATURATION_SOURCE = (
    "Netdata's stock alarm load_average_15 warns at twice the cores; held against the one-minute "
    "load here, where Linux PSI (psi.rst) must agree: its limit of 50 % is SparkPlug's own"
)
SPACE_WARNING_PERCENT = 10.0
SPACE_CRITICAL_PERCENT = 2.0
INODES_PERCENT = 5.0
DISK_SOURCE = (
    "Kubernetes node-pressure eviction defaults: nodefs.available < 10 %, nodefs.inodesFree < 5 %; "
    "critical below 2 %, as Netdata's disk_space_usage"
)
MOUNT_SOURCE = "statfs(2): a file system that is well answers at once"
ZOMBIES = 10
ZOMBIE_SOURCE = (
    "wait(2), notes: a zombie holds a slot of the process table until its parent waits for it; "
    "the limit of 10 is SparkPlug's own"
)
BLOCKED_SOURCE = (
    "proc(5): state D is uninterruptible sleep; in every sample of the window means stuck, or "
    "disks under heavy load"
)
NAMED = 5


def cpu_steal(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Processor time the hypervisor gave to others."""
    values = [s.cpu.steal_percent for s in samples if s.cpu.steal_percent is not None]
    if not values or mean(values) < STEAL_PERCENT:
        return []
    return [
        Finding(
            rule="cpu.steal",
            severity="warning",
            subject="cpu",
            summary=f"The hypervisor took {mean(values)} % of this host's processor time, "
            f"{round(max(values), 1)} % at the most.",
            figures={
                "steal_mean_percent": mean(values),
                "steal_max_percent": round(max(values), 1),
            },
            source=STEAL_SOURCE,
        )
    ]


def cpu_saturation(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """More work than cores: load per core, and where offered PSI's word that tasks waited."""
    last = samples[-1]
    load = round(last.cpu.load1, 1)
    per_core = round(last.cpu.load1 / max(last.cpu.cores, 1), 1)
    pressure = last.pressure.get("cpu")
    if per_core < LOAD_PER_CORE:
        return []
    figures: dict[str, float | int | str] = {
        "load1": load,
        "cores": last.cpu.cores,
        "load1_per_core": per_core,
    }
    summary = f"The load is {load} on {last.cpu.cores} cores, {per_core} per core"
    if pressure is not None:
        waited = round(pressure.some_avg10, 1)
        if waited < CPU_PRESSURE_PERCENT:
            return []
        figures["cpu_some_avg10_percent"] = waited
        summary += f"; tasks waited for a processor {waited} % of the last ten seconds"
    return [
        Finding(
            rule="cpu.saturation",
            severity="warning",
            subject="cpu",
            summary=summary + ".",
            figures=figures,
            source=SATURATION_SOURCE,
        )
    ]


def disk_space(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """File systems with little space left for users, counted as df(1) does."""
    found = []
    for disk in samples[-1].disks:
        usable = disk.used_bytes + disk.available_bytes
        if usable <= 0:
            continue
        share = round(100 * disk.available_bytes / usable, 1)
        if share >= SPACE_WARNING_PERCENT:
            continue
        left, total = gib(disk.available_bytes), gib(usable)
        found.append(
            Finding(
                rule="disk.space",
                severity="critical" if share < SPACE_CRITICAL_PERCENT else "warning",
                subject=disk.mount,
                summary=f"{disk.mount} ({disk.fstype} on {disk.device}) has {left} GiB of "
                f"{total} GiB left ({share} %).",
                figures={"available_gib": left, "usable_gib": total, "available_percent": share},
                source=DISK_SOURCE,
            )
        )
    return found


def disk_inodes(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """File systems that run out of inodes."""
    found = []
    for disk in samples[-1].disks:
        if disk.inodes_total is None or disk.inodes_free is None or disk.inodes_total <= 0:
            continue
        share = round(100 * disk.inodes_free / disk.inodes_total, 1)
        if share >= INODES_PERCENT:
            continue
        found.append(
            Finding(
                rule="disk.inodes",
                severity="warning" if disk.inodes_free else "critical",
                subject=disk.mount,
                summary=f"{disk.mount} has {disk.inodes_free} of {disk.inodes_total} inodes left "
                f"({share} %).",
                figures={
                    "inodes_free": disk.inodes_free,
                    "inodes_total": disk.inodes_total,
                    "inodes_free_percent": share,
                },
                source=DISK_SOURCE,
            )
        )
    return found


def dead_mounts(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Mounts that did not answer in any sample of the window."""
    silent = set(samples[0].mounts_not_answering)
    for sample in samples:
        silent &= set(sample.mounts_not_answering)
    return [
        Finding(
            rule="disk.not-answering",
            severity="critical",
            subject=mount,
            summary=f"The file system at {mount} does not answer.",
            figures={"mount": mount},
            source=MOUNT_SOURCE,
        )
        for mount in sorted(silent)
    ]


def zombies(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Ended processes that nobody waits for, in every sample of the window."""
    count = min(sample.processes_zombie for sample in samples)
    if count < ZOMBIES:
        return []
    dead = [process for process in processes if process.state == "Z"]
    parents: dict[int, int] = {}
    for process in dead:
        parents[process.ppid] = parents.get(process.ppid, 0) + 1
    figures: dict[str, float | int | str] = {"zombies": count}
    summary = f"{count} zombie processes were there throughout the window"
    if parents:
        worst = max(parents, key=lambda pid: parents[pid])
        name = next((p.name for p in processes if p.pid == worst), "unknown")
        figures |= {"parent_pid": worst, "parent_name": name, "parent_zombies": parents[worst]}
        summary += f"; {name} (pid {worst}) does not wait for {parents[worst]} of them"
    return [
        Finding(
            rule="processes.zombie",
            severity="warning",
            subject="processes",
            summary=summary + ".",
            figures=figures,
            source=ZOMBIE_SOURCE,
        )
    ]


def blocked_processes(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Processes in uninterruptible sleep in every sample of the window, of two at the least."""
    count = min(sample.processes_blocked for sample in samples)
    if len(samples) < 2 or count < 1:
        return []
    stuck = [process for process in processes if process.state == "D"][:NAMED]
    named = ", ".join(f"{process.name} (pid {process.pid})" for process in stuck)
    return [
        Finding(
            rule="processes.blocked",
            severity="warning" if count >= samples[-1].cpu.cores else "info",
            subject="processes",
            summary=f"At least {count} processes were in uninterruptible sleep throughout the "
            f"window{': ' + named if named else ''}.",
            figures={"blocked": count}
            | {f"blocked_{number}_pid": process.pid for number, process in enumerate(stuck, 1)},
            source=BLOCKED_SOURCE,
        )
    ]
