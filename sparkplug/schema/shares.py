"""Shares that are reckoned from a sample. Without the models themselves: faces import it early."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkplug.schema.gpu import Gpu
    from sparkplug.schema.host import HostSample
    from sparkplug.schema.past import PastGpu, PastSample


def memory_percent(sample: HostSample | PastSample) -> float:
    """The share of the host's memory that is not available."""
    memory = sample.memory
    if not memory.total_bytes:
        return 0.0
    return 100.0 * (memory.total_bytes - memory.available_bytes) / memory.total_bytes


def gpu_memory_percent(gpu: Gpu | PastGpu) -> float | None:
    """The share of a GPU's memory that is used; None where it has none of its own."""
    if gpu.memory is None or not gpu.memory.total_bytes:
        return None
    return 100.0 * gpu.memory.used_bytes / gpu.memory.total_bytes
