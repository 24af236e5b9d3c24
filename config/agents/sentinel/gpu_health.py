"""Rules about GPUs and their driver. A metric the device does not support fires nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sparkplug.schema.host import DriverState, Gpu, GpuState, HostSample, Process
from sparkplug.schema.node_services import KernelLogReply
from sparkplug.telemetry.gpu.clock_events import THROTTLING

from .findings import MIB, Figures, Finding, gib, mean

SLOWDOWN_MARGIN_CELSIUS = 5.0
TEMPERATURE_SOURCE = (
    "nvmlDeviceGetTemperatureThreshold (NVML API reference), the device's own slowdown "
    "temperature; the margin of 5 °C is SparkPlug's own"
)
THROTTLING_SOURCE = "nvmlClocksEventReasons (NVML API reference): slowdown by heat or power brake"
ECC_SOURCE = (
    "NVIDIA GPU Memory Error Management: an uncorrectable error ends the work it hit and calls "
    "for a look at row remapping"
)
REMAP_SOURCE = "NVIDIA GPU Memory Error Management: a pending row remap takes a reset of the GPU"
XID_SOURCE = "NVIDIA XID errors, the driver's catalogue of what each number means"
LOST_SOURCE = "NVML_ERROR_GPU_IS_LOST (NVML API reference): the GPU has fallen off the bus"
ERROR_SOURCE = "NVML_ERROR_RESET_REQUIRED and its like (NVML API reference), for a single device"
DRIVER_SOURCE = "NVML answers within milliseconds on a healthy driver; SparkPlug waits 2 s"
LEAK_BYTES = 512 * MIB
LEAK_IDLE_PERCENT = 1.0
LEAK_SOURCE = (
    "nvmlDeviceGetProcessUtilization (NVML API reference): memory held through the whole window "
    "with no work; the limit of 0.5 GiB is SparkPlug's own"
)
#: XIDs that the application caused and that say nothing bad of the device.
XID_OF_THE_APPLICATION = frozenset({13, 31, 43, 45, 68})
#: How long an event is worth a finding: the device may be worn, an application was restarted.
XID_COUNTS = timedelta(days=1)
APPLICATION_XID_COUNTS = timedelta(hours=1)


def _label(gpu: Gpu) -> str:
    return f"gpu {gpu.index}"


def _through(samples: list[HostSample]) -> Iterator[tuple[Gpu, list[Gpu]]]:
    """Each GPU of the last sample with its readings through the window, oldest first."""
    for gpu in samples[-1].gpus:
        yield gpu, [g for s in samples for g in s.gpus if g.uuid == gpu.uuid]


def driver_not_answering(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """A driver that is there and does not answer. Having none is no fault."""
    driver = samples[-1].driver
    if driver.state not in (DriverState.NOT_RESPONDING, DriverState.ERROR):
        return []
    figures: Figures = {}
    summary = f"The NVIDIA driver does not answer: {driver.reason or driver.state.value}"
    if driver.age_seconds is not None:
        figures["answer_age_seconds"] = round(driver.age_seconds, 1)
        summary += f"; its last answer is {figures['answer_age_seconds']} s old"
    return [
        Finding(
            rule="gpu.driver",
            severity="critical",
            subject="driver",
            summary=summary + ".",
            figures=figures,
            source=DRIVER_SOURCE,
        )
    ]


def gpu_faults(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """GPUs that fell off the bus, and those that answer with an error while the driver is well."""
    lost = [
        Finding(
            rule="gpu.lost",
            severity="critical",
            subject=_label(gpu),
            summary=f"GPU {gpu.index} ({gpu.name}) is lost: it has fallen off the bus.",
            figures={"gpu_index": gpu.index},
            source=LOST_SOURCE,
        )
        for gpu in samples[-1].gpus
        if gpu.state is GpuState.LOST
    ]
    if samples[-1].driver.state is not DriverState.OK:
        return lost
    return lost + [
        Finding(
            rule="gpu.error",
            severity="critical",
            subject=_label(gpu),
            summary=f"GPU {gpu.index} ({gpu.name}) answers with errors; it may need a reset.",
            figures={"gpu_index": gpu.index},
            source=ERROR_SOURCE,
        )
        for gpu in samples[-1].gpus
        if gpu.state is GpuState.ERROR
    ]


def xid_events(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """What the driver reported as a critical event, once for each GPU and number."""
    counted: dict[tuple[int, int, str], int] = {}
    for event in samples[-1].xids:
        age = samples[-1].time - event.time
        if age > (APPLICATION_XID_COUNTS if event.xid in XID_OF_THE_APPLICATION else XID_COUNTS):
            continue
        key = (event.gpu, event.xid, event.meaning)
        counted[key] = counted.get(key, 0) + 1
    return [
        Finding(
            rule="gpu.xid",
            severity="warning" if xid in XID_OF_THE_APPLICATION else "critical",
            subject=f"gpu {index}",
            summary=f"GPU {index} threw XID {xid} ({meaning}), {_times(times)}.",
            figures={"gpu_index": index, "xid": xid, "xid_events": times},
            source=XID_SOURCE,
        )
        for (index, xid, meaning), times in sorted(counted.items())
    ]


def _times(number: int) -> str:
    return "1 time" if number == 1 else f"{number} times"


def throttling(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Clocks held down by heat or a power brake in at least half of the window."""
    found = []
    for gpu, readings in _through(samples):
        held = [r for r in readings if THROTTLING & set(r.clock_event_reasons)]
        if not held or 2 * len(held) < len(readings):
            continue
        reasons = sorted({reason for r in held for reason in r.clock_event_reasons} & THROTTLING)
        figures: Figures = {
            "gpu_index": gpu.index,
            "reasons": ", ".join(reasons),
            "throttled_samples": len(held),
            "window_samples": len(readings),
        }
        summary = (
            f"GPU {gpu.index} is throttled ({', '.join(reasons)}) in {len(held)} of "
            f"{len(readings)} samples"
        )
        clocks = [float(r.sm_clock_mhz) for r in held if r.sm_clock_mhz is not None]
        if clocks and gpu.sm_clock_max_mhz:
            figures["sm_clock_mean_mhz"] = mean(clocks)
            figures["sm_clock_max_mhz"] = gpu.sm_clock_max_mhz
            summary += f", at {mean(clocks)} MHz of {gpu.sm_clock_max_mhz} MHz"
        found.append(
            Finding(
                rule="gpu.throttled",
                severity="warning",
                subject=_label(gpu),
                summary=summary + ".",
                figures=figures,
                source=THROTTLING_SOURCE,
            )
        )
    return found


def near_slowdown(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Temperatures within a few degrees of where the device lowers its clocks."""
    found = []
    for gpu, readings in _through(samples):
        values = [r.temperature_celsius for r in readings if r.temperature_celsius is not None]
        if not values or gpu.slowdown_celsius is None:
            continue
        hottest = round(max(values), 1)
        if hottest < gpu.slowdown_celsius - SLOWDOWN_MARGIN_CELSIUS:
            continue
        found.append(
            Finding(
                rule="gpu.temperature",
                severity="warning",
                subject=_label(gpu),
                summary=f"GPU {gpu.index} is at {hottest} °C; it slows down at "
                f"{round(gpu.slowdown_celsius, 1)} °C.",
                figures={
                    "gpu_index": gpu.index,
                    "temperature_max_celsius": hottest,
                    "slowdown_celsius": round(gpu.slowdown_celsius, 1),
                },
                source=TEMPERATURE_SOURCE,
            )
        )
    return found


def ecc_errors(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Memory errors that could not be corrected since the driver was loaded."""
    return [
        Finding(
            rule="gpu.ecc",
            severity="critical",
            subject=_label(gpu),
            summary=f"GPU {gpu.index} has {gpu.ecc_uncorrected_volatile} uncorrectable memory "
            "errors since its driver was loaded.",
            figures={
                "gpu_index": gpu.index,
                "ecc_uncorrected": gpu.ecc_uncorrected_volatile,
            },
            source=ECC_SOURCE,
        )
        for gpu in samples[-1].gpus
        if gpu.ecc_uncorrected_volatile
    ]


def remap_pending(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """Rows of memory that wait for a reset to be replaced."""
    return [
        Finding(
            rule="gpu.remap",
            severity="warning",
            subject=_label(gpu),
            summary=f"GPU {gpu.index} waits for a reset to remap rows of its memory.",
            figures={"gpu_index": gpu.index},
            source=REMAP_SOURCE,
        )
        for gpu in samples[-1].gpus
        if gpu.remapped_rows_pending
    ]


def leaked_memory(
    samples: list[HostSample], processes: list[Process], kernel: KernelLogReply
) -> list[Finding]:
    """GPU memory that a process holds without working, or that no process holds at all."""
    found = []
    for gpu, readings in _through(samples):
        for process in gpu.processes:
            if (process.used_bytes or 0) < LEAK_BYTES:
                continue
            shares = [
                p.sm_percent
                for r in readings
                for p in r.processes
                if p.pid == process.pid and p.sm_percent is not None
            ]
            if len(shares) < len(readings) or max(shares) >= LEAK_IDLE_PERCENT:
                continue
            who = f"process {process.pid} ({process.agent or process.name or 'unnamed'})"
            found.append(
                _leak(gpu, process.used_bytes or 0, f"{who}, which does no work", pid=process.pid)
            )
        idle = [r.utilization_percent for r in readings if r.utilization_percent is not None]
        if gpu.memory is None or gpu.processes or not idle or max(idle) >= LEAK_IDLE_PERCENT:
            continue
        # nvmlMemory_v2_t counts the driver's reserve apart from used; a driver that does not
        # tell it counts it as used, and then nothing can be said of who holds what.
        if gpu.memory.reserved_bytes is not None and gpu.memory.used_bytes >= LEAK_BYTES:
            found.append(_leak(gpu, gpu.memory.used_bytes, "no process that the driver names"))
    return found


def _leak(gpu: Gpu, size: int, holder: str, *, pid: int | None = None) -> Finding:
    figures: Figures = {"gpu_index": gpu.index, "held_gib": gib(size)}
    if pid is not None:
        figures["pid"] = pid
    return Finding(
        rule="gpu.leaked-memory",
        severity="warning",
        subject=_label(gpu),
        summary=f"GPU {gpu.index}: {gib(size)} GiB are held by {holder}.",
        figures=figures,
        source=LEAK_SOURCE,
    )
