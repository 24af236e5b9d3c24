"""What the worker does when it is told to: set a power limit, tell the topology.

Imported by the worker process only. Source: NVIDIA, NVML API Reference Guide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.topology import read_topology


class OrderError(Exception):
    """It cannot be done; says why."""


def set_power_limit(request: dict[str, Any]) -> dict[str, Any]:
    """Set the limit of the GPU `uuid` to `watts`, and tell the one before and the one now."""
    handle = pynvml.nvmlDeviceGetHandleByUUID(str(request["uuid"]))
    watts = float(request["watts"])
    try:
        least, most = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    except pynvml.NVMLError as error:
        raise OrderError(f"this GPU's power limit cannot be set: {error}") from error
    if not least <= watts * 1000 <= most:
        raise OrderError(
            f"{watts:g} W is out of range: this GPU takes {least / 1000:g} to {most / 1000:g} W"
        )
    before = pynvml.nvmlDeviceGetPowerManagementLimit(handle)
    try:
        pynvml.nvmlDeviceSetPowerManagementLimit(handle, round(watts * 1000))
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_NO_PERMISSION:
            raise OrderError("the driver lets only root set a power limit") from error
        raise OrderError(f"the driver did not set it: {error}") from error
    now = pynvml.nvmlDeviceGetPowerManagementLimit(handle)
    return {"before_watts": before / 1000, "now_watts": now / 1000}


def topology(_: dict[str, Any]) -> dict[str, Any]:
    """How the GPUs hang together."""
    return read_topology()


ORDERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "power_limit": set_power_limit,
    "topology": topology,
}
