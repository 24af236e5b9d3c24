"""The plots of Hosts: what fits is shown, one is chosen by key, GPUs alone or all together."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tui_centre import Centre, centre
from tui_mesh import Mesh, gpu, sample

from sparkplug.schema.base import utc_now
from sparkplug.schema.host import Driver, DriverState, HostSample, Network
from sparkplug.tui.widgets.plot.plot import Plot

DRIVER = Driver(state=DriverState.OK, version="580.1")
GPU_PLOTS = ["gpu busy", "gpu memory", "gpu power", "gpu temperature"]


def samples(count: int = 60, gpus: int = 8) -> list[HostSample]:
    """A minute of a host up to now."""
    now = utc_now()
    return [
        sample(
            "gpu-1",
            number,
            time=now - timedelta(seconds=count - number),
            driver=DRIVER,
            gpus=[
                gpu(index, utilization_percent=(7 * number + 11 * index) % 100)
                for index in range(gpus)
            ],
            network=Network(receive_bytes_per_second=1e6, transmit_bytes_per_second=2e3),
        )
        for number in range(1, count + 1)
    ]


def plots(seen: Centre) -> list[str]:
    """The titles of the plots in sight."""
    return [
        plot._titles[0] for plot in seen.app.pane.query(Plot) if plot.display and plot.size.height
    ]


@pytest.mark.parametrize("size", [(160, 50), (200, 60)])
async def test_a_wide_screen_shows_figures_and_plots(mesh: Mesh, size: tuple[int, int]) -> None:
    await mesh.agent("research")
    mesh.samples += samples()
    async with centre(size, pane="hosts") as seen:
        await mesh.tell(mesh.samples.pop())
        await seen.shows("16 cores", "cpu and memory", *GPU_PLOTS, "cap 700W", "┄")
        assert plots(seen)[:5] == ["cpu and memory", *GPU_PLOTS]
        assert sum("\u2801" <= letter <= "\u28ff" for letter in seen.screen) > 300
        await seen.press("v")
        await seen.until(lambda: plots(seen) == ["cpu and memory"])
        await seen.press("v")
        await seen.until(lambda: plots(seen) == ["gpu busy"])
        await seen.press("V", "V")
        await seen.shows("gpu 1", "plots of gpu 1")
        assert [s.name for p in seen.app.pane.query(Plot) if p.display for s in p.series] == [
            "gpu 1"
        ]
        await seen.press("1", "2")
        await seen.until(lambda: plots(seen) == ["gpu busy"])
        for _ in range(4):
            await seen.press("v")
        await seen.until(lambda: plots(seen) == ["network"])
        await seen.press("v")
        await seen.until(lambda: plots(seen) == [])
        await seen.press("v")
        await seen.until(lambda: len(plots(seen)) >= 5)


async def test_on_the_smallest_screen_plots_give_way_to_figures(mesh: Mesh) -> None:
    await mesh.agent("research")
    mesh.samples += samples()
    async with centre((80, 24), pane="hosts") as seen:
        await mesh.tell(mesh.samples.pop())
        await seen.shows("16 cores")
        assert plots(seen) == []
        await seen.press("v", "v")
        await seen.until(lambda: plots(seen) == ["gpu busy"])
        assert "16 cores" not in seen.screen
        await seen.pilot.resize_terminal(20, 5)
        await seen.pilot.resize_terminal(160, 50)
        await seen.shows("16 cores", "gpu busy")
        assert plots(seen) == ["gpu busy"]


async def test_all_plots_are_read_at_one_time_and_show_one_span(mesh: Mesh) -> None:
    await mesh.agent("research")
    mesh.samples += samples()
    async with centre((160, 50), pane="hosts") as seen:
        await mesh.tell(mesh.samples.pop())
        await seen.until(lambda: len(plots(seen)) >= 5)
        shown = [plot for plot in seen.app.pane.query(Plot) if plot.display]
        shown[1].focus()
        await seen.press("left", "left", "left")
        await seen.until(lambda: len({plot.cursor for plot in shown}) == 1)
        assert shown[0].cursor is not None
        await seen.press("minus")
        await seen.until(lambda: {plot.span for plot in shown} == {240.0})
        await seen.press("escape")
        await seen.until(lambda: {plot.cursor for plot in shown} == {None})
        await seen.press("escape")
        await seen.until(lambda: seen.app.focused is seen.app.pane.main)  # type: ignore[union-attr]


async def test_what_a_gpu_does_not_tell_is_said(mesh: Mesh) -> None:
    await mesh.agent("research")
    silent = gpu(0, memory=None, power_watts=None, power_limit_watts=None)
    async with centre((160, 50), pane="hosts") as seen:
        await mesh.tell(sample("gpu-1", 1, driver=DRIVER, gpus=[silent]))
        await seen.shows("0 gpu 0 n/s")


async def test_a_host_without_gpus_has_plots_of_its_own(mesh: Mesh) -> None:
    await mesh.agent("research")
    async with centre((160, 50), pane="hosts") as seen:
        network = Network(receive_bytes_per_second=1e6, transmit_bytes_per_second=2e3)
        await mesh.tell(sample("gpu-1", 1, network=network))
        await seen.until(lambda: plots(seen) == ["cpu and memory", "network"])
        await seen.shows("r received 977K/s", "s sent 2.0K/s")
