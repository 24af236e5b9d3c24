"""History of a host: which figures are kept, and how they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from pydantic import Field

from sparkplug.schema.base import Record
from sparkplug.schema.gpu import Gpu
from sparkplug.schema.host import HostSample
from sparkplug.schema.inference import InferenceServer
from sparkplug.schema.shares import gpu_memory_percent, memory_percent

#: As far back as anything is kept: 30 days.
LONGEST_SECONDS = 30 * 86400.0
POINTS_MOST = 5000


def _pressure(resource: str) -> Callable[[HostSample], float | None]:
    def found(sample: HostSample) -> float | None:
        value = sample.pressure.get(resource)
        return value.some_avg10 if value is not None else None

    return found


def _swap(sample: HostSample) -> float | None:
    if not sample.swap_total_bytes:
        return None
    return 100.0 * sample.swap_used_bytes / sample.swap_total_bytes


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _served(name: str) -> Callable[[HostSample], float | None]:
    def figure(server: InferenceServer) -> float | None:
        value: float | None = getattr(server, name)
        return value

    return lambda sample: _sum(map(figure, sample.inference))


#: Figures of a host by name: the unit, and what they are of a sample.
HOST_SERIES: dict[str, tuple[str, Callable[[HostSample], float | None]]] = {
    "cpu": ("%", lambda s: s.cpu.percent),
    "memory": ("%", memory_percent),
    "swap": ("%", _swap),
    "pressure.cpu": ("%", _pressure("cpu")),
    "pressure.memory": ("%", _pressure("memory")),
    "pressure.io": ("%", _pressure("io")),
    "network.received": (
        "B/s",
        lambda s: s.network.receive_bytes_per_second if s.network else None,
    ),
    "network.sent": ("B/s", lambda s: s.network.transmit_bytes_per_second if s.network else None),
    "disk.read": ("B/s", lambda s: _sum(d.read_bytes_per_second for d in s.block_devices)),
    "disk.written": ("B/s", lambda s: _sum(d.write_bytes_per_second for d in s.block_devices)),
    "inference.prompt": ("tokens/s", _served("prompt_tokens_per_second")),
    "inference.generated": ("tokens/s", _served("generated_tokens_per_second")),
    "inference.waiting": ("requests", _served("requests_waiting")),
}
#: Figures of each GPU, kept as gpu/UUID/NAME.
GPU_SERIES: dict[str, tuple[str, Callable[[Gpu], float | None]]] = {
    "busy": ("%", lambda g: g.utilization_percent),
    "memory": ("%", gpu_memory_percent),
    "power": ("W", lambda g: g.power_watts),
    "temperature": ("°C", lambda g: g.temperature_celsius),
    "memory-temperature": ("°C", lambda g: g.temperature_memory_celsius),
    "clock": ("MHz", lambda g: g.sm_clock_mhz),
    "tensor": ("%", lambda g: g.gpm.tensor_percent if g.gpm else None),
    "nvlink.received": ("B/s", lambda g: g.nvlink.receive_bytes_per_second if g.nvlink else None),
    "nvlink.sent": ("B/s", lambda g: g.nvlink.transmit_bytes_per_second if g.nvlink else None),
    "pcie.received": ("B/s", lambda g: g.pcie.receive_bytes_per_second if g.pcie else None),
    "pcie.sent": ("B/s", lambda g: g.pcie.transmit_bytes_per_second if g.pcie else None),
}
#: Watts over the time since the sample before, from the energy counter where the GPU has one.
DRAWN = "drawn"


def values_of(sample: HostSample) -> dict[str, float | None]:
    """All figures of a sample that are kept, by name, but what each GPU has drawn."""
    found = {name: take(sample) for name, (_, take) in HOST_SERIES.items()}
    for gpu in sample.gpus:
        if gpu.uuid:
            for name, (_, read) in GPU_SERIES.items():
                found[f"gpu/{gpu.uuid}/{name}"] = read(gpu)
    return found


def unit_of(series: str) -> str:
    """The unit of a figure by its name."""
    if series.startswith("gpu/"):
        name = series.rpartition("/")[2]
        return "W" if name == DRAWN else GPU_SERIES[name][0] if name in GPU_SERIES else ""
    return HOST_SERIES[series][0] if series in HOST_SERIES else ""


class HistoryRequest(Record):
    """Ask a node how its figures went, over a window, in about `points` points at most."""

    seconds: float = Field(3600.0, gt=0, le=LONGEST_SECONDS, description="of the window")
    until: datetime | None = Field(None, description="the end of the window; null: now")
    series: list[str] = Field(
        default_factory=list, description="names, with * for any: gpu/*/power; empty: all"
    )
    points: int = Field(300, ge=1, le=POINTS_MOST)


class Series(Record):
    """One figure over a window. Where nothing was measured there is null."""

    name: str
    unit: str = ""
    means: list[float | None]
    maxima: list[float | None]
    mean: float | None = None
    maximum: float | None = None
    minimum: float | None = Field(None, description="of the means of the points")


class GpuEnergy(Record):
    """What one GPU took over a window."""

    uuid: str
    index: int | None = None
    name: str | None = None
    kilowatt_hours: float | None = None
    mean_watts: float | None = None
    measured_seconds: float = Field(0.0, description="of the window, those that were measured")


class HistoryReply(Record):
    """A window of figures, in steps of the same length; each point is of the step before it."""

    host: str
    since: datetime
    until: datetime
    step_seconds: float
    kept_seconds: float = Field(description="the resolution it was read from: 1, 10 or 60")
    times: list[float] = Field(description="seconds since 1970 UTC")
    series: list[Series]
    energy: list[GpuEnergy] = Field(default_factory=list)
    kilowatt_hours: float | None = Field(None, description="of all GPUs together")
    simulated: bool = False
