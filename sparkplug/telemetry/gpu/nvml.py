"""Asking NVML for everything a sample says of the driver and its GPUs.

Imported by the worker process only: any call here may hang in the driver. The answers are plain
dictionaries of the fields of `sparkplug.schema.host`, so the worker needs no pydantic.
Source: NVIDIA, NVML API Reference Guide.
"""

from __future__ import annotations

import ctypes
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.clock_events import clock_event_words

#: A metric with one of these answers is not there for this device or driver: None, no fault.
_ABSENT = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)
#: The call answers so when the library is there and the kernel's module is not.
NO_DRIVER = frozenset(
    {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    }
)
_FAKE_SYMBOL = "sparkplug_fake_nvml"


class GpuLostError(Exception):
    """The driver said that the GPU is lost."""


def is_simulated() -> bool:
    """Whether the library that was loaded is the scripted stand-in, told by its symbol."""
    library = getattr(pynvml, "nvmlLib", None)
    if library is None:
        return False
    try:
        ctypes.c_int.in_dll(library, _FAKE_SYMBOL)
    except ValueError:
        return False
    return True


def handle_address(handle: Any) -> int:
    """The address behind an NVML device handle, which names the device while NVML is loaded."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def read_driver() -> dict[str, Any]:
    """The fields of schema Driver for a driver that answers."""
    cuda = _optional(pynvml.nvmlSystemGetCudaDriverVersion_v2)
    return {
        "state": "ok",
        "version": _optional(pynvml.nvmlSystemGetDriverVersion),
        "nvml": _optional(pynvml.nvmlSystemGetNVMLVersion),
        "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        "simulated": is_simulated(),
    }


def _optional(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call answers, or None where that is not supported. Raises GpuLostError."""
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
            raise GpuLostError from error
        if error.value in _ABSENT:
            return None
        raise


class GpuReader:
    """One GPU: what never changes is asked once, the rest with every `read`."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.handle: Any = None
        self.uuid = ""
        self._fixed: dict[str, Any] = {"name": f"GPU {index}"}
        self._used_since = 0

    def read(self) -> dict[str, Any]:
        """The fields of schema Gpu now. A fault of the device becomes its state; never raises."""
        try:
            if self.handle is None:
                self._identify()
            return {**self._identity("ok"), **self._metrics()}
        except GpuLostError:
            return self._identity("lost")
        except pynvml.NVMLError:
            return self._identity("error")

    def _identity(self, state: str) -> dict[str, Any]:
        return {"index": self.index, "uuid": self.uuid, "state": state, **self._fixed}

    def _identify(self) -> None:
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(self.index)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
                raise GpuLostError from error
            raise
        self.uuid = _optional(pynvml.nvmlDeviceGetUUID, handle) or ""
        threshold = pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        self._fixed = {
            "name": _optional(pynvml.nvmlDeviceGetName, handle) or f"GPU {self.index}",
            "slowdown_celsius": _optional(
                pynvml.nvmlDeviceGetTemperatureThreshold, handle, threshold
            ),
            "sm_clock_max_mhz": _optional(
                pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM
            ),
        }
        self.handle = handle

    def _metrics(self) -> dict[str, Any]:
        handle = self.handle
        rates = _optional(pynvml.nvmlDeviceGetUtilizationRates, handle)
        power = _optional(pynvml.nvmlDeviceGetPowerUsage, handle)
        limit = _optional(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        remapped = _optional(pynvml.nvmlDeviceGetRemappedRows, handle)
        return {
            "utilization_percent": rates.gpu if rates else None,
            "memory_bus_percent": rates.memory if rates else None,
            "memory": self._memory(),
            "power_watts": power / 1000 if power is not None else None,
            "power_limit_watts": limit / 1000 if limit is not None else None,
            "temperature_celsius": self._temperature(),
            "sm_clock_mhz": _optional(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
            "clock_event_reasons": self._clock_events(),
            "ecc_uncorrected_volatile": self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
            "ecc_corrected_volatile": self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
            "remapped_rows_pending": bool(remapped[2]) if remapped else None,
            "fan_percent": _optional(pynvml.nvmlDeviceGetFanSpeed, handle),
            "processes": self._processes(),
        }

    def _memory(self) -> dict[str, Any] | None:
        """The second form of the call tells reserved apart from used; older drivers lack it."""
        info = _optional(pynvml.nvmlDeviceGetMemoryInfo, self.handle, pynvml.nvmlMemory_v2)
        reserved = info.reserved if info else None
        info = info or _optional(pynvml.nvmlDeviceGetMemoryInfo, self.handle)
        if not info or not info.total:
            return None
        return {
            "total_bytes": info.total,
            "used_bytes": info.used,
            "free_bytes": info.free,
            "reserved_bytes": reserved,
        }

    def _temperature(self) -> int | None:
        """The first form of the call is deprecated in newer drivers, the second not in older."""
        sensor = pynvml.NVML_TEMPERATURE_GPU
        for call in (pynvml.nvmlDeviceGetTemperature, pynvml.nvmlDeviceGetTemperatureV):
            value: int | None = _optional(call, self.handle, sensor)
            if value is not None:
                return value
        return None

    def _clock_events(self) -> list[str]:
        """Drivers before 535 know the call by its old name, throttle reasons."""
        mask = _optional(pynvml.nvmlDeviceGetCurrentClocksEventReasons, self.handle)
        if mask is None:
            mask = _optional(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, self.handle)
        return clock_event_words(mask or 0)

    def _ecc(self, kind: int) -> int | None:
        count: int | None = _optional(
            pynvml.nvmlDeviceGetTotalEccErrors, self.handle, kind, pynvml.NVML_VOLATILE_ECC
        )
        return count

    def _processes(self) -> list[dict[str, Any]]:
        used: dict[int, int | None] = {}
        for newer, older in (
            (
                pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
                pynvml.nvmlDeviceGetComputeRunningProcesses_v2,
            ),
            (
                pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
                pynvml.nvmlDeviceGetGraphicsRunningProcesses_v2,
            ),
        ):
            found = _optional(newer, self.handle)
            for process in _optional(older, self.handle) or [] if found is None else found:
                used.setdefault(int(process.pid), process.usedGpuMemory)
        busy = self._busy_percent() if used else None
        return [
            {
                "pid": pid,
                "used_bytes": bytes_used,
                "name": _process_name(pid),
                "user": _process_user(pid),
                "sm_percent": None if busy is None else busy.get(pid, 0.0),
            }
            for pid, bytes_used in sorted(used.items())
        ]

    def _busy_percent(self) -> dict[int, float] | None:
        """SM utilisation by pid since the last call; a pid that is not in it was idle.

        "Not found" is NVML's word for no process having been busy; None means not supported.
        """
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(self.handle, self._used_since)
        except pynvml.NVMLError as error:
            if error.value in (pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND):
                return {}
            if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
                raise GpuLostError from error
            return None
        percent: dict[int, float] = {}
        for sample in samples:
            self._used_since = max(self._used_since, int(sample.timeStamp))
            # Some drivers return shares above the whole for a process that just ended.
            if sample.smUtil <= 100:
                percent[sample.pid] = max(percent.get(sample.pid, 0.0), float(sample.smUtil))
        return percent


def _process_name(pid: int) -> str | None:
    try:
        name = pynvml.nvmlSystemGetProcessName(pid)
    except (pynvml.NVMLError, UnicodeDecodeError):
        name = ""
    if name:
        return Path(name.split(" ", 1)[0]).name or None
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip() or None
    except OSError:
        return None


def _process_user(pid: int) -> str | None:
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)
