"""Asking NVML for everything a sample says of the driver and its GPUs.

Imported by the worker process only: any call here may hang in the driver. The answers are plain
dictionaries of the fields of `sparkplug.schema.gpu`, so the worker needs no pydantic.
Source: NVIDIA, NVML API Reference Guide.
"""

from __future__ import annotations

import time
from typing import Any

import pynvml

from sparkplug.telemetry.gpu import accounting, gpm, links, slices
from sparkplug.telemetry.gpu.calls import (
    ABSENT_SECONDS,
    Asker,
    GpuLostError,
    is_simulated,
    optional,
)
from sparkplug.telemetry.gpu.clock_events import clock_event_words
from sparkplug.telemetry.gpu.holders import Holders

_COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
_LINUX_NODES = 8


def read_driver() -> dict[str, Any]:
    """The fields of schema Driver for a driver that answers."""
    cuda = optional(pynvml.nvmlSystemGetCudaDriverVersion_v2)
    return {
        "state": "ok",
        "version": optional(pynvml.nvmlSystemGetDriverVersion),
        "nvml": optional(pynvml.nvmlSystemGetNVMLVersion),
        "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        "simulated": is_simulated(),
    }


class GpuReader:
    """One GPU. What never changes is asked once, what changes fast with every `read`, and what
    changes seldom or takes long with `read_slow`."""

    def __init__(self, index: int, holders: Holders) -> None:
        self.index = index
        self.handle: Any = None
        self.uuid = ""
        self._fixed: dict[str, Any] = {"name": f"GPU {index}"}
        self._ask = Asker()
        self._ask_slowly = Asker()
        self._no_field: dict[int, float] = {}
        self._used_since = 0
        self._holders = holders
        self._gpm: gpm.GpmReader | None = None
        self._links = links.LinkReader()
        self._accounts = accounting.AccountingReader()

    def identity(self, state: str) -> dict[str, Any]:
        """The fields that name it, in a state."""
        return {"index": self.index, "uuid": self.uuid, "state": state, **self._fixed}

    def read(self) -> dict[str, Any]:
        """The fields that change fast. A fault of the device becomes its state; never raises."""
        try:
            if self.handle is None:
                self._identify()
            return {**self.identity("ok"), **self._metrics()}
        except GpuLostError:
            return self.identity("lost")
        except pynvml.NVMLError:
            return self.identity("error")

    def read_slow(self) -> dict[str, Any]:
        """The fields that change seldom, or take 20 ms to ask; none of a GPU that is lost."""
        if self.handle is None:
            return {}
        try:
            return self._slow_metrics()
        except (GpuLostError, pynvml.NVMLError):
            return {}

    def _identify(self) -> None:
        try:
            handle = optional(pynvml.nvmlDeviceGetHandleByIndex, self.index)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
                raise GpuLostError from error
            raise
        if handle is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        ask = self._ask
        self.uuid = ask(pynvml.nvmlDeviceGetUUID, handle) or ""
        threshold = pynvml.nvmlDeviceGetTemperatureThreshold
        capability = ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
        clock = pynvml.nvmlDeviceGetMaxClockInfo
        self._fixed = {
            "name": ask(pynvml.nvmlDeviceGetName, handle) or f"GPU {self.index}",
            "slowdown_celsius": ask(
                threshold, handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN, key=1
            ),
            "shutdown_celsius": ask(
                threshold, handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN, key=0
            ),
            "memory_max_celsius": ask(
                threshold, handle, pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX, key=2
            ),
            "sm_clock_max_mhz": ask(clock, handle, pynvml.NVML_CLOCK_SM, key="sm"),
            "memory_clock_max_mhz": ask(clock, handle, pynvml.NVML_CLOCK_MEM, key="memory"),
            "compute_capability": ".".join(map(str, capability)) if capability else None,
            "cores": ask(pynvml.nvmlDeviceGetNumGpuCores, handle),
            "serial": ask(pynvml.nvmlDeviceGetSerial, handle) or None,
            "vbios": ask(pynvml.nvmlDeviceGetVbiosVersion, handle) or None,
            "part_number": ask(pynvml.nvmlDeviceGetBoardPartNumber, handle) or None,
            "inforom": ask(pynvml.nvmlDeviceGetInforomImageVersion, handle) or None,
            "numa_node": self._numa_node(handle),
        }
        self._gpm = gpm.reader(handle)
        self.handle = handle

    def _numa_node(self, handle: Any) -> int | None:
        scope = getattr(pynvml, "NVML_AFFINITY_SCOPE_NODE", 0)
        words = self._ask(pynvml.nvmlDeviceGetMemoryAffinity, handle, _LINUX_NODES, scope)
        for number, word in enumerate(words or ()):
            if word:
                return int(number * 64 + (int(word) & -int(word)).bit_length() - 1)
        return None

    def _metrics(self) -> dict[str, Any]:
        handle, ask = self.handle, self._ask
        rates = ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
        power = ask(pynvml.nvmlDeviceGetPowerUsage, handle)
        limit = ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        energy = ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        state = ask(pynvml.nvmlDeviceGetPerformanceState, handle)
        clock = pynvml.nvmlDeviceGetClockInfo
        memory, unified = self._memory()
        temperature = self._temperature()
        margin = ask(pynvml.nvmlDeviceGetMarginTemperature, handle)
        slowdown = self._fixed.get("slowdown_celsius")
        if margin is None and temperature is not None and slowdown is not None:
            margin = slowdown - temperature
        return {
            "utilization_percent": rates.gpu if rates else None,
            "memory_bus_percent": rates.memory if rates else None,
            "encoder_percent": self._engine(pynvml.nvmlDeviceGetEncoderUtilization),
            "decoder_percent": self._engine(pynvml.nvmlDeviceGetDecoderUtilization),
            "jpeg_percent": self._engine(pynvml.nvmlDeviceGetJpgUtilization),
            "optical_flow_percent": self._engine(pynvml.nvmlDeviceGetOfaUtilization),
            "memory": memory,
            "unified_memory": unified,
            "power_watts": power / 1000 if power is not None else None,
            "power_limit_watts": limit / 1000 if limit is not None else None,
            "energy_joules": energy / 1000 if energy is not None else None,
            "temperature_celsius": temperature,
            "temperature_memory_celsius": self._field(pynvml.NVML_FI_DEV_MEMORY_TEMP),
            "temperature_margin_celsius": margin,
            "sm_clock_mhz": ask(clock, handle, pynvml.NVML_CLOCK_SM, key="sm"),
            "graphics_clock_mhz": ask(clock, handle, pynvml.NVML_CLOCK_GRAPHICS, key="graphics"),
            "memory_clock_mhz": ask(clock, handle, pynvml.NVML_CLOCK_MEM, key="memory"),
            "video_clock_mhz": ask(clock, handle, pynvml.NVML_CLOCK_VIDEO, key="video"),
            "performance_state": f"P{state}" if state is not None and state < 16 else None,
            "clock_event_reasons": self._clock_events(),
            "ecc_uncorrected_volatile": self._ecc(uncorrected=True, ever=False),
            "ecc_corrected_volatile": self._ecc(uncorrected=False, ever=False),
            "fan_percent": ask(pynvml.nvmlDeviceGetFanSpeed, handle),
            "gpm": self._gpm.read() if self._gpm is not None else None,
            "processes": self._processes(),
        }

    def _slow_metrics(self) -> dict[str, Any]:
        handle, ask = self.handle, self._ask_slowly
        remapped = ask(pynvml.nvmlDeviceGetRemappedRows, handle)
        ecc = ask(pynvml.nvmlDeviceGetEccMode, handle)
        default = ask(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
        limits = ask(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle)
        pending = ask(pynvml.nvmlDeviceGetRetiredPagesPendingStatus, handle)
        mode = ask(pynvml.nvmlDeviceGetComputeMode, handle)
        persistence = ask(pynvml.nvmlDeviceGetPersistenceMode, handle)
        display = ask(pynvml.nvmlDeviceGetDisplayActive, handle)
        return {
            "remapped_rows_corrected": remapped[0] if remapped else None,
            "remapped_rows_uncorrected": remapped[1] if remapped else None,
            "remapped_rows_pending": bool(remapped[2]) if remapped else None,
            "remapped_rows_failed": bool(remapped[3]) if remapped else None,
            "ecc_enabled": bool(ecc[0]) if ecc else None,
            "ecc_uncorrected_aggregate": self._ecc(uncorrected=True, ever=True),
            "ecc_corrected_aggregate": self._ecc(uncorrected=False, ever=True),
            "retired_pages_single_bit": self._retired(0),
            "retired_pages_double_bit": self._retired(1),
            "retired_pages_pending": bool(pending) if pending is not None else None,
            "power_limit_default_watts": default / 1000 if default is not None else None,
            "power_limit_min_watts": limits[0] / 1000 if limits else None,
            "power_limit_max_watts": limits[1] / 1000 if limits else None,
            "compute_mode": _COMPUTE_MODES.get(mode) if mode is not None else None,
            "persistence": bool(persistence) if persistence is not None else None,
            "display": bool(display) if display is not None else None,
            "bar1": slices.bar1(ask, handle),
            "pcie": links.pcie(ask, handle),
            "nvlink": self._links.read(ask, handle),
            "fabric": links.fabric(ask, handle),
            **slices.mig(ask, handle),
            **self._accounts.read(ask, handle),
        }

    def _engine(self, call: Any) -> int | None:
        found = self._ask(call, self.handle)
        return found[0] if found else None

    def _field(self, field: int) -> int | None:
        now = time.monotonic()
        if now < self._no_field.get(field, 0.0):
            return None
        found = self._ask(pynvml.nvmlDeviceGetFieldValues, self.handle, [field])
        if not found or found[0].nvmlReturn != pynvml.NVML_SUCCESS:
            self._no_field[field] = now + ABSENT_SECONDS
            return None
        # A temperature is an unsigned int; a memory sensor that is not there reads 0.
        return int(found[0].value.uiVal) or None

    def _memory(self) -> tuple[dict[str, Any] | None, bool]:
        """Memory, and whether it is the host's: a device that answers has none to tell of.

        A lost GPU raises before this is known, and one we may not ask says so otherwise.
        The second form of the call tells reserved apart from used; older drivers lack it.
        """
        ask, both = self._ask, pynvml.nvmlDeviceGetMemoryInfo
        info = ask(both, self.handle, pynvml.nvmlMemory_v2, key=2)
        reserved = info.reserved if info else None
        info = info or ask(both, self.handle, key=1)
        if not info or not info.total:
            return None, not ask.supports(both, 1) or info is not None
        found = {
            "total_bytes": info.total,
            "used_bytes": info.used,
            "free_bytes": info.free,
            "reserved_bytes": reserved,
        }
        return found, False

    def _temperature(self) -> int | None:
        """The first form of the call is deprecated in newer drivers, the second not in older."""
        sensor = pynvml.NVML_TEMPERATURE_GPU
        for call in (pynvml.nvmlDeviceGetTemperature, pynvml.nvmlDeviceGetTemperatureV):
            value: int | None = self._ask(call, self.handle, sensor)
            if value is not None:
                return value
        return None

    def _clock_events(self) -> list[str]:
        """Drivers before 535 know the call by its old name, throttle reasons."""
        mask = self._ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, self.handle)
        if mask is None:
            mask = self._ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, self.handle)
        return clock_event_words(mask or 0)

    def _ecc(self, *, uncorrected: bool, ever: bool) -> int | None:
        ask = self._ask_slowly if ever else self._ask
        kind = (
            pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
            if uncorrected
            else pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED
        )
        counter = pynvml.NVML_AGGREGATE_ECC if ever else pynvml.NVML_VOLATILE_ECC
        call = pynvml.nvmlDeviceGetTotalEccErrors
        count: int | None = ask(call, self.handle, kind, counter, key=(kind, counter))
        return count

    def _retired(self, cause: int) -> int | None:
        found = self._ask_slowly(pynvml.nvmlDeviceGetRetiredPages, self.handle, cause, key=cause)
        return None if found is None else len(found)

    def _processes(self) -> list[dict[str, Any]]:
        used: dict[int, tuple[int | None, str, int | None]] = {}
        for kind, newer, older in (
            (
                "compute",
                pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
                pynvml.nvmlDeviceGetComputeRunningProcesses_v2,
            ),
            (
                "graphics",
                pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
                pynvml.nvmlDeviceGetGraphicsRunningProcesses_v2,
            ),
        ):
            found = self._ask(newer, self.handle)
            if found is None:
                found = self._ask(older, self.handle) or []
            for process in found:
                instance = getattr(process, "gpuInstanceId", None)
                if instance is not None and instance >= 0xFFFFFFFF:
                    instance = None
                used.setdefault(int(process.pid), (process.usedGpuMemory, kind, instance))
        if not used:
            return []
        busy = self._busy_percent()
        return [
            {
                "pid": pid,
                "used_bytes": bytes_used,
                "kind": kind,
                "gpu_instance": instance,
                **self._holders.of(pid),
                **_busy_fields(pid, busy),
            }
            for pid, (bytes_used, kind, instance) in sorted(used.items())
        ]

    def _busy_percent(self) -> dict[int, tuple[float, float, float, float]] | None:
        """SM, memory, encoder and decoder use by pid since the last call; no pid was idle.

        "Not found" is NVML's word for no process having been busy; None means not supported.
        """
        call = pynvml.nvmlDeviceGetProcessUtilization
        try:
            samples = self._ask(call, self.handle, self._used_since)
        except pynvml.NVMLError as error:
            # This form of the call answers "success" as an error when there is nothing to tell.
            return {} if error.value == pynvml.NVML_SUCCESS else None
        if samples is None:
            return {} if self._ask.supports(call) else None
        percent: dict[int, tuple[float, float, float, float]] = {}
        for sample in samples:
            self._used_since = max(self._used_since, int(sample.timeStamp))
            # Some drivers return shares above the whole for a process that just ended.
            if sample.smUtil <= 100:
                now = (sample.smUtil, sample.memUtil, sample.encUtil, sample.decUtil)
                before = percent.get(sample.pid, (0.0, 0.0, 0.0, 0.0))
                most = [max(b, float(n)) for b, n in zip(before, now, strict=True)]
                percent[sample.pid] = (most[0], most[1], most[2], most[3])
        return percent


def _busy_fields(
    pid: int, busy: dict[int, tuple[float, float, float, float]] | None
) -> dict[str, float | None]:
    names = ("sm_percent", "memory_bus_percent", "encoder_percent", "decoder_percent")
    if busy is None:
        return dict.fromkeys(names)
    return dict(zip(names, busy.get(pid, (0.0, 0.0, 0.0, 0.0)), strict=True))
