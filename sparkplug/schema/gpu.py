"""GPUs and their driver in one sample. Units are in the names; null = not supported."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from sparkplug.schema.base import Record, utc_now


class GpuState(StrEnum):
    """How a GPU, or the driver as a whole, answers."""

    OK = "ok"
    #: A call to it hangs: what it said last is too old to be shown.
    STALE = "stale"
    LOST = "lost"
    ERROR = "error"


class DriverState(StrEnum):
    """Whether NVML can be asked at all on this host. Having no driver is a state, no error."""

    OK = "ok"
    STARTING = "starting"
    NO_DRIVER = "no_driver"
    NOT_RESPONDING = "not_responding"
    ERROR = "error"


class ProcessLink(Record):
    """A process by its id and name, on the way from another to the root."""

    pid: int
    name: str


class GpuProcess(Record):
    """A process that holds memory on a GPU, and whose it is."""

    pid: int
    used_bytes: int | None = None
    name: str | None = None
    command: str | None = None
    user: str | None = None
    kind: str | None = Field(None, description="compute or graphics")
    agent: str | None = Field(None, description="the agent that owns the process, name/replica")
    container: str | None = Field(None, description="runtime and short id, like docker/3f2a…")
    slurm_job: str | None = Field(None, description="its number, with the step where it is known")
    ancestors: list[ProcessLink] = Field(
        default_factory=list, description="its parent, that one's, …; without pid 1"
    )
    gpu_instance: int | None = Field(None, description="the MIG device it runs on")
    sm_percent: float | None = Field(None, description="SM utilisation over the last second")
    memory_bus_percent: float | None = None
    encoder_percent: float | None = None
    decoder_percent: float | None = None


class AccountedProcess(Record):
    """What the driver accounted of a process over its life on a GPU, ended or not."""

    pid: int
    started: datetime | None = None
    seconds: float | None = Field(None, description="its work on the GPU took; null while it runs")
    utilization_percent: float | None = Field(None, description="of its life some kernel ran")
    memory_bus_percent: float | None = Field(None, description="of its life memory was in use")
    max_memory_bytes: int | None = Field(None, description="the most it ever held")
    running: bool = False


class GpuMemory(Record):
    """Memory of a GPU, in bytes."""

    total_bytes: int
    used_bytes: int
    free_bytes: int
    reserved_bytes: int | None = None


class Pcie(Record):
    """The PCIe link of a GPU. Throughput is over 20 ms, read every few seconds."""

    bus_id: str | None = None
    generation: int | None = None
    generation_max: int | None = None
    width: int | None = None
    width_max: int | None = None
    receive_bytes_per_second: float | None = None
    transmit_bytes_per_second: float | None = None
    replays: int | None = Field(None, description="since the driver was loaded")


class NvLinks(Record):
    """The NVLinks of a GPU, added up. Read every few seconds."""

    links: int
    active: int
    version: str | None = None
    speed_bytes_per_second: float | None = Field(None, description="of one link, one way")
    remote: str | None = Field(None, description="what they lead to: gpu, switch or cpu")
    receive_bytes_per_second: float | None = None
    transmit_bytes_per_second: float | None = None
    crc_errors: int | None = None
    replay_errors: int | None = None
    recovery_errors: int | None = None
    inactive: list[int] = Field(default_factory=list, description="the numbers of those down")


class Fabric(Record):
    """The NVLink fabric as the GPU sees it: registered with the fabric manager, and how well."""

    state: str = Field(description="not started, in progress or completed")
    clique: int | None = None
    cluster: str | None = None
    health: str | None = Field(None, description="healthy, unhealthy or limited capacity")


class MigDevice(Record):
    """A slice of a GPU in MIG mode."""

    uuid: str
    name: str
    gpu_instance: int | None = None
    compute_instance: int | None = None
    multiprocessors: int | None = None
    memory: GpuMemory | None = None


class Gpm(Record):
    """GPU performance monitoring, percent of the last second, where the chip has it (Hopper on)."""

    graphics_percent: float | None = None
    sm_percent: float | None = None
    occupancy_percent: float | None = None
    tensor_percent: float | None = None
    dram_percent: float | None = None
    fp64_percent: float | None = None
    fp32_percent: float | None = None
    fp16_percent: float | None = None


class Gpu(Record):
    """One GPU in one sample. A metric the device does not support is None, never 0.

    Where a GPU answers not, or not in time, it keeps its name and loses its metrics.
    """

    index: int
    uuid: str
    name: str
    state: GpuState = GpuState.OK
    age_seconds: float | None = Field(None, description="while it is stale: of its last answer")
    utilization_percent: float | None = Field(None, description="of the time some kernel ran")
    memory_bus_percent: float | None = Field(None, description="of the time memory was in use")
    encoder_percent: float | None = None
    decoder_percent: float | None = None
    jpeg_percent: float | None = None
    optical_flow_percent: float | None = None
    memory: GpuMemory | None = None
    unified_memory: bool = Field(
        False, description="it has no memory of its own and uses the host's (GB10, Jetson)"
    )
    bar1: GpuMemory | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = Field(None, description="the one that is enforced")
    power_limit_default_watts: float | None = None
    power_limit_min_watts: float | None = None
    power_limit_max_watts: float | None = None
    energy_joules: float | None = Field(None, description="since the driver was loaded")
    temperature_celsius: float | None = None
    temperature_memory_celsius: float | None = None
    temperature_margin_celsius: float | None = Field(None, description="to where it slows down")
    slowdown_celsius: float | None = Field(None, description="where the driver lowers clocks")
    shutdown_celsius: float | None = None
    memory_max_celsius: float | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    graphics_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    memory_clock_max_mhz: int | None = None
    video_clock_mhz: int | None = None
    performance_state: str | None = Field(None, description="P0, the fastest, to P15")
    clock_event_reasons: list[str] = Field(default_factory=list)
    ecc_enabled: bool | None = None
    ecc_uncorrected_volatile: int | None = None
    ecc_corrected_volatile: int | None = None
    ecc_uncorrected_aggregate: int | None = Field(None, description="over the life of the board")
    ecc_corrected_aggregate: int | None = None
    remapped_rows_pending: bool | None = None
    remapped_rows_failed: bool | None = None
    remapped_rows_corrected: int | None = None
    remapped_rows_uncorrected: int | None = None
    retired_pages_single_bit: int | None = None
    retired_pages_double_bit: int | None = None
    retired_pages_pending: bool | None = None
    fan_percent: float | None = None
    pcie: Pcie | None = None
    nvlink: NvLinks | None = None
    fabric: Fabric | None = None
    mig_enabled: bool | None = None
    mig_devices: list[MigDevice] = Field(default_factory=list)
    gpm: Gpm | None = None
    compute_mode: str | None = Field(None, description="default, exclusive process or prohibited")
    persistence: bool | None = None
    compute_capability: str | None = None
    cores: int | None = None
    numa_node: int | None = None
    serial: str | None = None
    vbios: str | None = None
    part_number: str | None = Field(None, description="of the board")
    inforom: str | None = Field(None, description="the version of its image")
    display: bool | None = Field(None, description="whether a display is driven by it")
    accounting: bool | None = Field(None, description="whether the driver accounts processes")
    accounting_buffer: int | None = Field(None, description="of how many processes it keeps that")
    accounted: list[AccountedProcess] = Field(
        default_factory=list, max_length=64, description="those that began last, newest first"
    )
    processes: list[GpuProcess] = Field(default_factory=list)


class GpuEvent(Record):
    """A critical event of the driver that is no XID, in the order it came."""

    time: datetime = Field(default_factory=utc_now)
    gpu: int
    uuid: str
    kind: str
    meaning: str
    remedy: str | None = Field(None, description="what an operator has to do; null: nothing")


class Xid(Record):
    """A critical event the driver reported (XID), in the order it came."""

    time: datetime = Field(default_factory=utc_now)
    gpu: int
    uuid: str
    xid: int
    meaning: str
    remedy: str | None = Field(None, description="what an operator has to do; null: nothing")


class Driver(Record):
    """The NVIDIA driver of a host."""

    state: DriverState
    version: str | None = None
    cuda: str | None = None
    nvml: str | None = None
    reason: str | None = None
    age_seconds: float | None = Field(
        None, description="while it does not respond: the age of its last answer"
    )
    simulated: bool = Field(False, description="the numbers come from a scripted stand-in library")
