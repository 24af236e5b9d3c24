"""Overview's plot: the means of all hosts, second by second, and its place between the boxes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tui_centre import centre
from tui_mesh import GIB, Mesh, gpu, sample

from sparkplug.schema.base import utc_now
from sparkplug.schema.host import Driver, DriverState, GpuMemory
from sparkplug.tui.panes.mesh_plot import MeshPlot, _means

_OK = Driver(state=DriverState.OK, version="580")


def test_means_are_of_what_is_told_and_shares_of_sums() -> None:
    half = GpuMemory(total_bytes=80 * GIB, used_bytes=40 * GIB, free_bytes=40 * GIB)
    none = GpuMemory(total_bytes=40 * GIB, used_bytes=0, free_bytes=40 * GIB)
    found = _means(
        [
            sample("a", driver=_OK, gpus=[gpu(0, utilization_percent=90.0, memory=half)]),
            sample(
                "b",
                driver=_OK,
                gpus=[
                    gpu(0, utilization_percent=30.0, memory=none, power_watts=None),
                    gpu(1, utilization_percent=None, memory=None, power_limit_watts=None),
                ],
            ),
            sample("c"),
        ]
    )
    assert found["busy"] == pytest.approx(60.0)
    assert found["memory"] == pytest.approx(100 * 40 / 120)
    assert found["power"] == pytest.approx(100 * 612 / 700)
    assert found["cpu"] == pytest.approx(38.0)
    assert _means([])["busy"] is None


async def test_the_plot_stands_where_there_is_room_and_follows(mesh: Mesh) -> None:
    await mesh.agent("research")
    now = utc_now()
    async with centre((160, 50)) as seen:
        for second in range(3):
            told = sample(
                "gpu-1",
                second + 1,
                time=now + timedelta(seconds=second),
                driver=_OK,
                gpus=[gpu(0, utilization_percent=10.0 + 20 * second)],
            )
            await mesh.tell(told)
            await seen.shows(f"busy {10 + 20 * second}%", "power of cap 87%")
        plot = seen.app.query_one(MeshPlot)
        assert len(plot.record) == 3
        await seen.pilot.resize_terminal(80, 16)
        await seen.until(lambda: not plot.display)
        assert "power of cap" not in seen.screen
        await seen.pilot.resize_terminal(160, 50)
        await seen.shows("busy 50%", "power of cap 87%")


async def test_without_gpus_it_is_of_the_hosts(mesh: Mesh) -> None:
    await mesh.agent("research")
    async with centre((160, 50)) as seen:
        await mesh.tell(sample("gpu-1"))
        await seen.shows("cpu 38%", "memory 50%")
