"""What is kept of a sample has the names and values of the sample, and takes little."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from sparkplug.schema.gpu import Gpu, GpuMemory, NvLinks
from sparkplug.schema.host import Cpu, Driver, DriverState, HostSample, Memory, Network
from sparkplug.schema.past import as_past
from sparkplug.schema.shares import gpu_memory_percent, memory_percent
from sparkplug.tui.panes.host_plots import TOPICS, _values
from sparkplug.tui.panes.mesh_plot import _means


def sample(**gpu: Any) -> HostSample:
    return HostSample(
        host="h",
        sequence=1,
        uptime_seconds=1.0,
        cpu=Cpu(percent=7, user_percent=0, system_percent=0, cores=2, load1=0, load5=0, load15=0),
        memory=Memory(total_bytes=4, available_bytes=1),
        network=Network(receive_bytes_per_second=3, transmit_bytes_per_second=4),
        driver=Driver(state=DriverState.OK),
        gpus=[Gpu(index=0, uuid="GPU-0", name="a GPU", **gpu)],
    )


FULL: dict[str, Any] = {
    "utilization_percent": 55,
    "memory": GpuMemory(total_bytes=80, used_bytes=20, free_bytes=60),
    "power_watts": 300.0,
    "power_limit_watts": 700.0,
    "temperature_celsius": 61,
    "nvlink": NvLinks(links=18, active=18, receive_bytes_per_second=9.0),
}


@pytest.mark.parametrize("gpu", [FULL, {}])
def test_all_that_is_plotted_reads_the_same(gpu: dict[str, Any]) -> None:
    now = sample(**gpu)
    past = as_past(now)
    assert _values(past) == _values(now)
    assert len(_values(now)) >= len(TOPICS)
    assert _means([past]) == _means([now])
    assert past.time == now.time
    assert memory_percent(past) == memory_percent(now) == 75.0
    assert gpu_memory_percent(past.gpus[0]) == gpu_memory_percent(now.gpus[0])


def _same_names(past: object, now: object) -> None:
    for field in fields(past):  # type: ignore[arg-type]
        kept, told = getattr(past, field.name), getattr(now, field.name)
        if hasattr(type(kept), "__dataclass_fields__"):
            _same_names(kept, told)
        elif isinstance(kept, list):
            assert len(kept) == len(told)
            for one, other in zip(kept, told, strict=True):
                _same_names(one, other)
        else:
            assert kept == told, field.name


def test_every_name_is_one_of_the_sample() -> None:
    now = sample(**FULL)
    _same_names(as_past(now), now)
