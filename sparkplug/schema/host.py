"""Telemetry of a host: what one sample holds. Units are in the names; null = not supported."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.inference import InferenceServer


class GpuState(StrEnum):
    """How a GPU, or the driver as a whole, answers."""

    OK = "ok"
    LOST = "lost"
    ERROR = "error"


class DriverState(StrEnum):
    """Whether NVML can be asked at all on this host. Having no driver is a state, no error."""

    OK = "ok"
    STARTING = "starting"
    NO_DRIVER = "no_driver"
    NOT_RESPONDING = "not_responding"
    ERROR = "error"


class GpuProcess(Record):
    """A process that holds memory on a GPU."""

    pid: int
    used_bytes: int | None = None
    name: str | None = None
    user: str | None = None
    agent: str | None = Field(None, description="the agent that owns the process, name/replica")
    sm_percent: float | None = Field(None, description="SM utilisation over the last second")


class Memory(Record):
    """Memory of a host, in bytes. `available` is the kernel's MemAvailable, not free."""

    total_bytes: int
    available_bytes: int


class GpuMemory(Record):
    """Memory of a GPU, in bytes."""

    total_bytes: int
    used_bytes: int
    free_bytes: int
    reserved_bytes: int | None = None


class Gpu(Record):
    """One GPU in one sample. A metric the device does not support is None, never 0."""

    index: int
    uuid: str
    name: str
    state: GpuState = GpuState.OK
    utilization_percent: float | None = None
    memory_bus_percent: float | None = None
    memory: GpuMemory | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    temperature_celsius: float | None = None
    slowdown_celsius: float | None = Field(None, description="where the driver lowers clocks")
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    clock_event_reasons: list[str] = Field(default_factory=list)
    ecc_uncorrected_volatile: int | None = None
    ecc_corrected_volatile: int | None = None
    remapped_rows_pending: bool | None = None
    fan_percent: float | None = None
    processes: list[GpuProcess] = Field(default_factory=list)


class Xid(Record):
    """A critical event the driver reported (XID), in the order it came."""

    time: datetime = Field(default_factory=utc_now)
    gpu: int
    uuid: str
    xid: int
    meaning: str


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


class Pressure(Record):
    """Pressure stall information of one resource: shares of time in percent.

    Source: Linux Documentation/accounting/psi.rst.
    """

    some_avg10: float
    some_avg60: float
    full_avg10: float
    full_avg60: float


class Disk(Record):
    """A mounted file system."""

    mount: str
    device: str
    fstype: str
    total_bytes: int
    used_bytes: int
    available_bytes: int
    inodes_total: int | None = None
    inodes_free: int | None = None


class Network(Record):
    """Bytes per second over all interfaces but loopback."""

    receive_bytes_per_second: float
    transmit_bytes_per_second: float


class Cpu(Record):
    """Shares of all cores together, in percent over the time since the sample before."""

    percent: float
    user_percent: float
    system_percent: float
    iowait_percent: float | None = None
    steal_percent: float | None = None
    cores: int
    load1: float
    load5: float
    load15: float


class ControlGroup(Record):
    """The memory limit of a control group and how much of it is used (bytes).

    Used is the working set: usage less the inactive page cache, which the kernel can drop.
    """

    path: str
    limit_bytes: int
    used_bytes: int
    oom_kills: int | None = None


class HostSample(Record):
    """Everything one host knows about itself at one moment; published at 1 Hz."""

    host: str
    sequence: int
    time: datetime = Field(default_factory=utc_now)
    uptime_seconds: float
    cpu: Cpu
    memory: Memory
    swap_total_bytes: int = 0
    swap_used_bytes: int = 0
    swap_in_bytes_per_second: float = 0.0
    swap_out_bytes_per_second: float = 0.0
    pressure: dict[str, Pressure] = Field(
        default_factory=dict, description="by resource: cpu, memory, io; empty where not offered"
    )
    network: Network | None = None
    disks: list[Disk] = Field(default_factory=list)
    mounts_not_answering: list[str] = Field(
        default_factory=list, description="mounts whose size could not be asked in time"
    )
    control_groups: list[ControlGroup] = Field(
        default_factory=list, description="groups with a memory limit"
    )
    oom_kills_total: int | None = Field(None, description="since boot, from /proc/vmstat")
    processes_total: int = 0
    processes_zombie: int = 0
    processes_blocked: int = Field(0, description="in state D")
    driver: Driver
    gpus: list[Gpu] = Field(default_factory=list)
    xids: list[Xid] = Field(default_factory=list, description="the last events, newest last")
    inference: list[InferenceServer] = Field(
        default_factory=list, description="inference servers found on this host"
    )

    @property
    def simulated(self) -> bool:
        """True when the GPU numbers come from a scripted stand-in, and must be marked so."""
        return self.driver.simulated


class Process(Record):
    """A row of the process table."""

    pid: int
    ppid: int
    name: str
    state: str = Field(description="the kernel's letter: R S D Z T I")
    user: str | None = None
    cpu_percent: float = 0.0
    rss_bytes: int = 0
    started: datetime | None = None
    command: str = ""
    control_group: str | None = Field(None, description="path of its memory control group")
    agent: str | None = None
