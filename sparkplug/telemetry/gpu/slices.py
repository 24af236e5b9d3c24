"""MIG devices and the window into a GPU's memory (BAR1). Imported by the worker alone.

Source: NVIDIA, NVML API Reference Guide (Multi Instance GPU Management).
"""

from __future__ import annotations

from typing import Any

import pynvml

from sparkplug.telemetry.gpu.calls import Asker


def bar1(ask: Asker, handle: Any) -> dict[str, Any] | None:
    """The memory that the host can reach at once."""
    info = ask(pynvml.nvmlDeviceGetBAR1MemoryInfo, handle)
    if info is None or not info.bar1Total:
        return None
    return {
        "total_bytes": info.bar1Total,
        "used_bytes": info.bar1Used,
        "free_bytes": info.bar1Free,
    }


def mig(ask: Asker, handle: Any) -> dict[str, Any]:
    """Whether it is in MIG mode, and its MIG devices."""
    mode = ask(pynvml.nvmlDeviceGetMigMode, handle)
    if mode is None:
        return {"mig_enabled": None, "mig_devices": []}
    devices = []
    if mode[0]:
        for index in range(ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            device = ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index, key=index)
            if device is not None:
                devices.append(_device(ask, device, index))
    return {"mig_enabled": bool(mode[0]), "mig_devices": devices}


def _device(ask: Asker, handle: Any, index: int) -> dict[str, Any]:
    memory = ask(pynvml.nvmlDeviceGetMemoryInfo, handle, key=("mig", index))
    attributes = ask(pynvml.nvmlDeviceGetAttributes_v2, handle)
    name = ask(pynvml.nvmlDeviceGetName, handle, key=("mig", index)) or f"MIG {index}"
    return {
        "uuid": ask(pynvml.nvmlDeviceGetUUID, handle, key=("mig", index)) or "",
        "name": name.rpartition("MIG ")[2],
        "gpu_instance": ask(pynvml.nvmlDeviceGetGpuInstanceId, handle),
        "compute_instance": ask(pynvml.nvmlDeviceGetComputeInstanceId, handle),
        "multiprocessors": attributes.multiprocessorCount if attributes else None,
        "memory": None
        if memory is None
        else {
            "total_bytes": memory.total,
            "used_bytes": memory.used,
            "free_bytes": memory.free,
        },
    }
