"""Sentinel's rules: each fires on what it is about, and a healthy host fires none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fakes.shipped import shipped_module
from sparkplug.schema.host import (
    ControlGroup,
    Cpu,
    Disk,
    Driver,
    DriverState,
    Gpu,
    GpuMemory,
    GpuProcess,
    GpuState,
    HostSample,
    Memory,
    Pressure,
    Process,
    Xid,
)
from sparkplug.schema.node_services import KernelLogReply

GIB = 1 << 30
sentinel = shipped_module("sentinel.rules")
gpu_health = shipped_module("sentinel.gpu_health")
facts_of = shipped_module("sentinel.facts").facts


def healthy_gpu(index: int = 0) -> Gpu:
    """A GPU at honest work."""
    return Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name="NVIDIA H100 80GB HBM3",
        utilization_percent=90.0,
        memory=GpuMemory(total_bytes=80 * GIB, used_bytes=60 * GIB, free_bytes=20 * GIB),
        power_watts=600.0,
        power_limit_watts=700.0,
        temperature_celsius=60.0,
        slowdown_celsius=92.0,
        sm_clock_mhz=1980,
        sm_clock_max_mhz=1980,
        ecc_uncorrected_volatile=0,
        ecc_corrected_volatile=0,
        remapped_rows_pending=False,
        processes=[GpuProcess(pid=7, used_bytes=59 * GIB, name="train", sm_percent=90.0)],
    )


def healthy(sequence: int = 1) -> HostSample:
    """A host where nothing is wrong."""
    calm = Pressure(some_avg10=0.5, some_avg60=0.5, full_avg10=0.0, full_avg60=0.0)
    return HostSample(
        host="h",
        sequence=sequence,
        uptime_seconds=3600.0,
        cpu=Cpu(
            percent=20.0,
            user_percent=15.0,
            system_percent=5.0,
            iowait_percent=0.0,
            steal_percent=0.0,
            cores=8,
            load1=1.0,
            load5=1.0,
            load15=1.0,
        ),
        memory=Memory(total_bytes=64 * GIB, available_bytes=48 * GIB),
        swap_total_bytes=8 * GIB,
        pressure={"cpu": calm, "memory": calm, "io": calm},
        disks=[
            Disk(
                mount="/",
                device="/dev/sda1",
                fstype="ext4",
                total_bytes=500 * GIB,
                used_bytes=200 * GIB,
                available_bytes=300 * GIB,
                inodes_total=1000,
                inodes_free=900,
            )
        ],
        oom_kills_total=0,
        processes_total=200,
        driver=Driver(state=DriverState.OK, version="580"),
        gpus=[healthy_gpu(0), healthy_gpu(1)],
    )


def window(change: Callable[[HostSample], None] | None = None, count: int = 3) -> list[HostSample]:
    """Some samples, each changed alike."""
    samples = [healthy(n + 1) for n in range(count)]
    for sample in samples:
        if change is not None:
            change(sample)
    return samples


def found(samples: list[HostSample], processes: list[Process] | None = None) -> dict[str, Any]:
    """The findings by rule."""
    quiet = KernelLogReply(readable=True)
    return {f.rule: f for f in sentinel.find(samples, processes or [], quiet)}


def test_a_healthy_host_has_no_findings() -> None:
    assert found(window()) == {}
    assert sentinel.find([], [], KernelLogReply(readable=False)) == []


def test_metrics_that_are_not_offered_fire_nothing() -> None:
    def strip(sample: HostSample) -> None:
        sample.cpu.steal_percent = sample.cpu.iowait_percent = None
        sample.pressure = {}
        sample.oom_kills_total = None
        sample.disks[0].inodes_total = sample.disks[0].inodes_free = None
        sample.gpus = [Gpu(index=g.index, uuid=g.uuid, name=g.name) for g in sample.gpus]

    assert found(window(strip)) == {}
    assert found(window(lambda s: setattr(s, "driver", Driver(state=DriverState.NO_DRIVER)))) == {}


def pressed(sample: HostSample) -> None:
    """The memory pressure of a host that thrashes."""
    sample.pressure["memory"] = Pressure(
        some_avg10=60.0, some_avg60=50.0, full_avg10=40.0, full_avg60=30.0
    )


def throttle(sample: HostSample) -> None:
    """A GPU held down by heat."""
    sample.gpus[1].clock_event_reasons = ["hardware thermal slowdown"]
    sample.gpus[1].sm_clock_mhz = 990


def leak(sample: HostSample) -> None:
    """A process that holds memory and does nothing."""
    sample.gpus[0].processes[0].sm_percent = 0.0
    sample.gpus[0].utilization_percent = 0.0


CASES: dict[str, Callable[[HostSample], None]] = {
    "memory.pressure": pressed,
    "memory.available": lambda s: setattr(s.memory, "available_bytes", GIB),
    "memory.control-group": lambda s: s.control_groups.append(
        ControlGroup(path="/job", limit_bytes=GIB, used_bytes=int(0.95 * GIB))
    ),
    "swap.use": lambda s: setattr(s, "swap_used_bytes", 8 * GIB),
    "swap.activity": lambda s: setattr(s, "swap_in_bytes_per_second", 50e6),
    "cpu.steal": lambda s: setattr(s.cpu, "steal_percent", 25.0),
    "disk.space": lambda s: setattr(s.disks[0], "available_bytes", 5 * GIB),
    "disk.inodes": lambda s: setattr(s.disks[0], "inodes_free", 10),
    "processes.zombie": lambda s: setattr(s, "processes_zombie", 30),
    "gpu.driver": lambda s: setattr(
        s, "driver", Driver(state=DriverState.NOT_RESPONDING, age_seconds=7.0)
    ),
    "gpu.lost": lambda s: setattr(s.gpus[1], "state", GpuState.LOST),
    "gpu.error": lambda s: setattr(s.gpus[1], "state", GpuState.ERROR),
    "gpu.xid": lambda s: s.xids.append(Xid(gpu=1, uuid="GPU-1", xid=79, meaning="off the bus")),
    "gpu.throttled": throttle,
    "gpu.temperature": lambda s: setattr(s.gpus[0], "temperature_celsius", 91.0),
    "gpu.ecc": lambda s: setattr(s.gpus[0], "ecc_uncorrected_volatile", 2),
    "gpu.remap": lambda s: setattr(s.gpus[0], "remapped_rows_pending", True),
    "gpu.leaked-memory": leak,
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_fires_on_what_it_is_about_and_alone(rule: str) -> None:
    findings = found(window(CASES[rule]))
    assert set(findings) == {rule}
    finding = findings[rule]
    assert finding.source
    assert finding.summary.endswith(".")
    assert finding.severity in ("warning", "critical")


def test_saturation_takes_both_load_and_waiting() -> None:
    def loaded(sample: HostSample) -> None:
        sample.cpu.load1 = 40.0

    def waiting(sample: HostSample) -> None:
        loaded(sample)
        sample.pressure["cpu"] = Pressure(
            some_avg10=80.0, some_avg60=80.0, full_avg10=0.0, full_avg60=0.0
        )

    assert "cpu.saturation" not in found(window(loaded))
    assert "cpu.saturation" in found(window(waiting))


def test_an_old_xid_is_no_finding_and_an_application_s_grows_old_sooner() -> None:
    def thrown(xid: int, hours: float) -> list[HostSample]:
        samples = window()
        time = samples[-1].time - timedelta(hours=hours)
        samples[-1].xids.append(Xid(time=time, gpu=0, uuid="GPU-0", xid=xid, meaning="m"))
        return samples

    assert found(thrown(79, 20))["gpu.xid"].severity == "critical"
    assert found(thrown(13, 0.5))["gpu.xid"].severity == "warning"
    assert found(thrown(79, 30)) == {}
    assert found(thrown(13, 2)) == {}


def test_a_full_control_group_names_the_biggest_process_in_it() -> None:
    inside = Process(
        pid=5, ppid=1, name="hog", state="S", rss_bytes=900 << 20, control_group="/job"
    )
    outside = Process(pid=6, ppid=1, name="giant", state="S", rss_bytes=9 * GIB)
    finding = found(window(CASES["memory.control-group"]), [outside, inside])[
        "memory.control-group"
    ]
    assert finding.subject == "/job"
    assert "hog (pid 5)" in finding.summary
    assert "giant" not in finding.summary


def test_a_full_control_group_names_a_process_in_a_group_below_it() -> None:
    below = Process(
        pid=5, ppid=1, name="hog", state="S", rss_bytes=900 << 20, control_group="/job/main"
    )
    beside = Process(
        pid=6, ppid=1, name="giant", state="S", rss_bytes=9 * GIB, control_group="/jobs"
    )
    finding = found(window(CASES["memory.control-group"]), [beside, below])["memory.control-group"]
    assert "hog (pid 5)" in finding.summary


def idle_without_processes(used: int, reserved: int | None) -> Callable[[HostSample], None]:
    """GPU 1 idles, no process is named, and this many bytes of it are in use."""

    def change(sample: HostSample) -> None:
        gpu = sample.gpus[1]
        gpu.utilization_percent = 0.0
        gpu.processes = []
        gpu.memory = GpuMemory(
            total_bytes=80 * GIB,
            used_bytes=used,
            free_bytes=80 * GIB - used - (reserved or 0),
            reserved_bytes=reserved,
        )

    return change


def test_memory_held_by_nobody_does_not_count_what_the_driver_reserved() -> None:
    leaked = found(window(idle_without_processes(600 << 20, 512 << 20)))
    assert leaked["gpu.leaked-memory"].figures["held_gib"] == 0.6
    assert "gpu.leaked-memory" not in found(window(idle_without_processes(4 << 20, 600 << 20)))


def test_memory_held_by_nobody_is_not_judged_where_the_reserve_is_not_told() -> None:
    assert "gpu.leaked-memory" not in found(window(idle_without_processes(600 << 20, None)))


def test_an_oom_kill_inside_the_window_is_found() -> None:
    samples = window()
    samples[-1].oom_kills_total = 1
    assert "memory.oom-kill" in found(samples)


def test_blocked_processes_are_found_when_they_stay_blocked() -> None:
    assert "processes.blocked" in found(window(lambda s: setattr(s, "processes_blocked", 3)))
    once = window()
    once[0].processes_blocked = 3
    assert "processes.blocked" not in found(once)


def test_a_moment_of_throttling_or_idleness_is_no_finding() -> None:
    samples = window(count=5)
    throttle(samples[0])
    leak(samples[1])
    assert found(samples) == {}


def test_harmless_reasons_for_low_clocks_are_not_throttling() -> None:
    def idle(sample: HostSample) -> None:
        sample.gpus[0].clock_event_reasons = ["idle", "software power cap"]

    assert found(window(idle)) == {}


def test_the_worst_comes_first_and_every_number_said_is_a_figure() -> None:
    def bad(sample: HostSample) -> None:
        CASES["gpu.remap"](sample)
        CASES["gpu.lost"](sample)

    findings = sentinel.find(window(bad), [], KernelLogReply(readable=True))
    assert [f.severity for f in findings] == ["critical", "warning"]


def test_facts_leave_out_what_is_not_known() -> None:
    samples = window()
    samples[-1].gpus[0].memory = None
    for sample in samples:
        sample.gpus[0].power_watts = None
    found_facts = facts_of(samples, [])
    first, second = found_facts["gpus"]
    assert "gpu_memory_used_gib" not in first
    assert "power_mean_watts" not in first
    assert second["gpu_memory_used_gib"] == 60.0
    assert found_facts["driver"] == {"state": "ok", "version": "580"}
