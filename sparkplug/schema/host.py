"""Telemetry of a host: what one sample holds. Units are in the names; null = not supported."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.gpu import Driver as Driver
from sparkplug.schema.gpu import DriverState as DriverState
from sparkplug.schema.gpu import Gpu as Gpu
from sparkplug.schema.gpu import GpuEvent as GpuEvent
from sparkplug.schema.gpu import GpuMemory as GpuMemory
from sparkplug.schema.gpu import GpuProcess as GpuProcess
from sparkplug.schema.gpu import GpuState as GpuState
from sparkplug.schema.gpu import Xid as Xid
from sparkplug.schema.inference import InferenceServer


class Memory(Record):
    """Memory of a host, in bytes. `available` is the kernel's MemAvailable, not free."""

    total_bytes: int
    available_bytes: int
    free_bytes: int | None = None
    cached_bytes: int | None = None
    buffers_bytes: int | None = None
    shared_bytes: int | None = None


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


class Interface(Record):
    """A network interface of the host; counts are since it came up."""

    name: str
    up: bool | None = None
    speed_bits_per_second: float | None = None
    receive_bytes_per_second: float
    transmit_bytes_per_second: float
    errors: int = 0
    drops: int = 0


class BlockDevice(Record):
    """A whole disk, with what goes to it and how much of the time it is at work."""

    name: str
    read_bytes_per_second: float
    write_bytes_per_second: float
    busy_percent: float


class NumaNode(Record):
    """A node of memory and the processors that are near it."""

    node: int
    cpus: str
    total_bytes: int
    free_bytes: int


class Sensor(Record):
    """A temperature or a fan that the host's chips tell of (hwmon)."""

    chip: str
    label: str
    celsius: float | None = None
    high_celsius: float | None = None
    critical_celsius: float | None = None
    rpm: int | None = None


class RdmaPort(Record):
    """A port of an InfiniBand or RoCE adapter; rates and errors as the adapter counts them."""

    device: str
    port: int
    link: str = Field(description="InfiniBand or Ethernet (RoCE)")
    state: str = Field(description="active, init, armed, down, …")
    physical_state: str | None = None
    rate: str | None = Field(None, description="as the kernel writes it: 400 Gb/sec (4X NDR)")
    interface: str | None = Field(None, description="its network interface, where it has one")
    numa_node: int | None = None
    receive_bytes_per_second: float | None = None
    transmit_bytes_per_second: float | None = None
    errors: int | None = Field(None, description="symbol, receive and link errors, added up")
    link_downed: int | None = None


class Cpu(Record):
    """Shares of all cores together, in percent over the time since the sample before."""

    percent: float
    user_percent: float
    system_percent: float
    iowait_percent: float | None = None
    steal_percent: float | None = None
    cores: int
    per_core_percent: list[float] = Field(default_factory=list, description="of each, in order")
    model: str | None = None
    clock_mhz: float | None = Field(None, description="the mean of all cores, where it is told")
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


class Process(Record):
    """A row of the process table."""

    pid: int
    ppid: int
    name: str
    state: str = Field(description="the kernel's letter: R S D Z T I")
    user: str | None = None
    cpu_percent: float = 0.0
    rss_bytes: int = 0
    nice: int | None = Field(None, description="-20, the most urgent, to 19")
    started: datetime | None = None
    command: str = ""
    control_group: str | None = Field(None, description="path of its memory control group")
    agent: str | None = None


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
    interfaces: list[Interface] = Field(default_factory=list)
    rdma_ports: list[RdmaPort] = Field(default_factory=list)
    block_devices: list[BlockDevice] = Field(default_factory=list)
    numa: list[NumaNode] = Field(default_factory=list)
    sensors: list[Sensor] = Field(default_factory=list)
    battery_percent: float | None = Field(None, description="of a host that has one")
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
    top_processes: list[Process] = Field(
        default_factory=list, description="the busiest now, by processor time"
    )
    driver: Driver
    gpus: list[Gpu] = Field(default_factory=list)
    xids: list[Xid] = Field(default_factory=list, description="the last events, newest last")
    gpu_events: list[GpuEvent] = Field(
        default_factory=list, description="other critical events of the driver, newest last"
    )
    inference: list[InferenceServer] = Field(
        default_factory=list, description="inference servers found on this host"
    )

    @property
    def simulated(self) -> bool:
        """True when the GPU numbers come from a scripted stand-in, and must be marked so."""
        return self.driver.simulated
