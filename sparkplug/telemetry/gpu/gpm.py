"""GPU performance monitoring: how busy SMs, tensor cores and memory really were.

Two samples of the device are compared, a second apart. Imported by the worker alone.
Source: NVIDIA, NVML API Reference Guide (GPM Functions); Hopper and newer.
"""

from __future__ import annotations

from typing import Any

import pynvml

from sparkplug.telemetry.gpu.calls import optional

_METRICS = {
    pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL: "graphics_percent",
    pynvml.NVML_GPM_METRIC_SM_UTIL: "sm_percent",
    pynvml.NVML_GPM_METRIC_SM_OCCUPANCY: "occupancy_percent",
    pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL: "tensor_percent",
    pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL: "dram_percent",
    pynvml.NVML_GPM_METRIC_FP64_UTIL: "fp64_percent",
    pynvml.NVML_GPM_METRIC_FP32_UTIL: "fp32_percent",
    pynvml.NVML_GPM_METRIC_FP16_UTIL: "fp16_percent",
}


def reader(handle: Any) -> GpmReader | None:
    """A reader for a device that has GPM; None for others and for older drivers."""
    support = optional(pynvml.nvmlGpmQueryDeviceSupport, handle)
    if support is None or not support.isSupportedDevice:
        return None
    samples = [optional(pynvml.nvmlGpmSampleAlloc) for _ in range(2)]
    if any(sample is None for sample in samples):
        return None
    return GpmReader(handle, samples[0], samples[1])


class GpmReader:
    """Takes a sample with every `read` and compares it with the one before."""

    def __init__(self, handle: Any, one: Any, other: Any) -> None:
        self._handle = handle
        self._before, self._now = one, other
        self._taken = False
        self._get = pynvml.c_nvmlGpmMetricsGet_t()
        self._get.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        self._get.numMetrics = len(_METRICS)
        for place, metric in enumerate(_METRICS):
            self._get.metrics[place].metricId = metric

    def read(self) -> dict[str, float | None] | None:
        """The fields of schema Gpm since the reading before; None with the first."""
        self._before, self._now = self._now, self._before
        if optional(pynvml.nvmlGpmSampleGet, self._handle, self._now) is None:
            self._taken = False
            return None
        before, self._taken = self._taken, True
        if not before:
            return None
        self._get.sample1, self._get.sample2 = self._before, self._now
        if optional(pynvml.nvmlGpmMetricsGet, self._get) is None:
            return None
        found: dict[str, float | None] = {}
        for place, name in enumerate(_METRICS.values()):
            metric = self._get.metrics[place]
            known = metric.nvmlReturn == pynvml.NVML_SUCCESS and metric.value == metric.value
            found[name] = round(min(max(float(metric.value), 0.0), 100.0), 2) if known else None
        return found
