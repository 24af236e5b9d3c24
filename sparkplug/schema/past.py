"""What is kept of a sample that is not the newest any more: what is plotted of it, and no more.

A sample of eight GPUs takes 40 KiB as models; two minutes of eight such hosts are a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkplug.schema.gpu import Gpu
    from sparkplug.schema.host import HostSample, Network, Pressure
    from sparkplug.schema.inference import InferenceServer


@dataclass(frozen=True, slots=True)
class PastGpuMemory:
    """As `GpuMemory`."""

    total_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class PastNvLinks:
    """As `NvLinks`."""

    receive_bytes_per_second: float | None


@dataclass(frozen=True, slots=True)
class PastGpu:
    """As `Gpu`."""

    uuid: str
    utilization_percent: float | None
    memory: PastGpuMemory | None
    power_watts: float | None
    power_limit_watts: float | None
    temperature_celsius: float | None
    nvlink: PastNvLinks | None


@dataclass(frozen=True, slots=True)
class PastCpu:
    """As `Cpu`."""

    percent: float


@dataclass(frozen=True, slots=True)
class PastMemory:
    """As `Memory`."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class PastSample:
    """As `HostSample`, under the same names."""

    time: datetime
    cpu: PastCpu
    memory: PastMemory
    network: Network | None
    pressure: dict[str, Pressure]
    inference: list[InferenceServer]
    gpus: list[PastGpu]


def as_past(sample: HostSample) -> PastSample:
    """What is kept of a sample."""
    memory = sample.memory
    return PastSample(
        sample.time,
        PastCpu(sample.cpu.percent),
        PastMemory(memory.total_bytes, memory.available_bytes),
        sample.network,
        sample.pressure,
        sample.inference,
        [_gpu(gpu) for gpu in sample.gpus],
    )


def _gpu(gpu: Gpu) -> PastGpu:
    memory, nvlink = gpu.memory, gpu.nvlink
    return PastGpu(
        gpu.uuid,
        gpu.utilization_percent,
        PastGpuMemory(memory.total_bytes, memory.used_bytes) if memory is not None else None,
        gpu.power_watts,
        gpu.power_limit_watts,
        gpu.temperature_celsius,
        PastNvLinks(nvlink.receive_bytes_per_second) if nvlink is not None else None,
    )
