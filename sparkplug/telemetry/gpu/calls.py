"""Calling NVML: what an error means, and since when a call is under way.

Imported by the worker process only: any call here may hang in the driver.
Source: NVIDIA, NVML API Reference Guide (nvmlReturn_t).
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

import pynvml

#: A metric with one of these answers is not there for this device or driver: None, no fault.
_NEVER = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)
_ABSENT = _NEVER | {
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_NO_DATA,
    pynvml.NVML_ERROR_NOT_FOUND,
    pynvml.NVML_ERROR_INVALID_ARGUMENT,
}
#: The call answers so when the library is there and the kernel's module is not.
NO_DRIVER = frozenset(
    {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    }
)
#: What a device does not support is asked again so seldom (seconds): MIG mode may change it.
ABSENT_SECONDS = 60.0
_FAKE_SYMBOL = "sparkplug_fake_nvml"


class GpuLostError(Exception):
    """The driver said that the GPU is lost."""


class Watched(threading.local):
    """Since when (monotonic seconds) this thread waits for a call; 0 while it does not."""

    def __init__(self) -> None:
        self.under_way = [0.0]


WATCHED = Watched()


def optional(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call answers, or None where that is not supported. Raises GpuLostError, NVMLError."""
    under_way = WATCHED.under_way
    under_way[0] = time.monotonic()
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
            raise GpuLostError from error
        if error.value in _ABSENT:
            return None
        raise
    finally:
        under_way[0] = 0.0


class Asker:
    """Asks about one device, and does not ask every second for what it has not."""

    def __init__(self) -> None:
        self._absent: dict[Hashable, float] = {}

    def __call__(self, call: Callable[..., Any], *arguments: Any, key: Hashable = None) -> Any:
        """As `optional`; `key` tells calls of one function with other arguments apart."""
        mark = (call, key)
        until = self._absent.get(mark)
        if until is not None:
            if time.monotonic() < until:
                return None
            del self._absent[mark]
        under_way = WATCHED.under_way
        under_way[0] = time.monotonic()
        try:
            return call(*arguments)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
                raise GpuLostError from error
            if error.value in _NEVER:
                self._absent[mark] = time.monotonic() + ABSENT_SECONDS
            elif error.value not in _ABSENT:
                raise
            return None
        finally:
            under_way[0] = 0.0

    def supports(self, call: Callable[..., Any], key: Hashable = None) -> bool:
        """Whether a call was not answered with "not supported" when it was asked last."""
        return (call, key) not in self._absent


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


def reason_words(error: pynvml.NVMLError) -> str:
    """What an error of the driver as a whole means, and what to do."""
    told = str(error).rstrip(".")
    if error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return f"{told}: the library is newer or older than the loaded module; reboot, or reload it"
    if error.value == pynvml.NVML_ERROR_NO_PERMISSION:
        return f"{told}: this user may not open /dev/nvidiactl"
    return str(error)
