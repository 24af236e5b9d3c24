"""The panes, drawn from a real bus."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
from tui_centre import centre
from tui_mesh import GIB, Mesh, gpu, plan, sample

from sparkplug.schema.base import utc_now
from sparkplug.schema.host import Driver, DriverState, GpuMemory, Xid
from sparkplug.schema.topology import Topology, TopologyEdge

SIZES = [(80, 24), (160, 50)]
DRIVER = Driver(state=DriverState.OK, version="580.1")


@pytest.mark.parametrize("size", SIZES)
async def test_overview_shows_the_mesh_live(mesh: Mesh, size: tuple[int, int]) -> None:
    await mesh.agent("research", "thinking", state_since=utc_now() - timedelta(seconds=125))
    async with centre(size) as seen:
        await seen.shows("research", "thinking", "2m")
        await mesh.tell(sample("gpu-1"))
        await seen.shows("cpu", "38%", "50%", "no NVIDIA driver")
        await mesh.event("agent:ready", "research/0")
        await seen.shows("agent:ready", "research/0", "nothing needs you")
        edge = TopologyEdge(from_="research", to="writer", messages=9, rate_per_second=4.5)
        await mesh.topology(Topology(edges=[edge], messages_per_second=4.5))
        await seen.shows("4.5 msg/s", "writer", "4.5/s")
        await mesh.agent("research", "error", reason="out of memory")
        await seen.shows("✖ research", "needs you 1")
        await mesh.gone("research")
        await seen.until(lambda: "research  " not in seen.screen.replace("research ━", ""))


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_is_drawn_step_by_step_and_read(mesh: Mesh, size: tuple[int, int]) -> None:
    await mesh.agent("echo")
    async with centre(size) as seen:
        await mesh.journal("host-brief-1", "accepted", plan=plan("survey", "write"))
        await seen.shows("run host-brief-1", "survey", "pending")
        await mesh.journal("host-brief-1", "started", node="gpu-1")
        await mesh.journal("host-brief-1", "step-started", step="survey", attempt=1)
        await seen.shows("◐ running")
        await mesh.journal("host-brief-1", "step-completed", step="survey", output=1)
        await mesh.journal("host-brief-1", "step-failed", step="write", error="no figures")
        text = "# Brief of gpu-1\n\n- memory **fine**\n"
        await mesh.journal("host-brief-1", "completed", output=text)
        await seen.shows("✔ done")
        await seen.press("tab", "enter")
        await seen.shows("Brief of gpu-1", "• memory fine", "no figures")
        await seen.press("o")
        await seen.shows("- memory **fine**")
        await seen.press("escape")
        await seen.shows("agents 1")


@pytest.mark.parametrize("size", SIZES)
async def test_hosts_shows_gpus_and_what_they_cannot_tell(
    mesh: Mesh, size: tuple[int, int]
) -> None:
    await mesh.agent("research")
    mesh.samples.append(sample("gpu-1", 1, driver=DRIVER, gpus=[gpu(0)]))
    async with centre(size) as seen:
        await seen.press("2")
        low = gpu(0, clock_event_reasons=["software thermal slowdown"], temperature_celsius=84.0)
        shared = gpu(1, memory=None, unified_memory=True, fan_percent=None)
        xid = Xid(gpu=0, uuid="GPU-0", xid=79, meaning="GPU has fallen off the bus")
        await mesh.tell(sample("gpu-1", 9, driver=DRIVER, gpus=[low, shared], xids=[xid]))
        await seen.shows("trouble", "! 1", "driver 580.1")
        await seen.press("enter")
        await seen.press("G")
        await seen.shows("shared with the host; its processes hold 60G")
        await seen.press("g")
        await seen.shows("16 cores", "XID 79", "fallen off")
        for _ in range(4):
            if "n/s uncorrected" not in seen.screen:
                await seen.press("pagedown")
        await seen.shows("! software thermal slowdown", "fan n/s", "n/s uncorrected")
        await seen.press("j", "j")
        await seen.shows("research/0")


async def test_history_before_the_start_is_drawn(mesh: Mesh) -> None:
    await mesh.agent("research")
    mesh.samples += [
        sample("gpu-1", number, driver=DRIVER, gpus=[gpu(0, utilization_percent=100.0)])
        for number in range(1, 9)
    ]
    async with centre((110, 50), pane="hosts") as seen:
        await mesh.tell(sample("gpu-1", 9, driver=DRIVER, gpus=[gpu(0)]))
        await seen.shows("████████")


async def test_agents_shows_every_replica(mesh: Mesh) -> None:
    await mesh.agent("research", "running", inflight=3, restarts=2, served=1234, failed=7)
    await mesh.agent("claude", "idle", foreign=True, owner="ana", sdk="claude-code")
    async with centre((120, 36), pane="agents") as seen:
        await seen.shows("research", "● running", "1234", "claude (foreign)", "4242")
        await mesh.agent("writer", "waiting-gpu", reason="needs 2 GPUs")
        await seen.shows("◇ waiting-gpu")
        await seen.press("g", "j")
        await seen.shows("needs 2 GPUs")


async def test_a_silent_host_is_stale_with_its_age(mesh: Mesh) -> None:
    await mesh.agent("research", "running")
    await mesh.node("gpu-1", ago=70)
    async with centre((120, 36)) as seen:
        await seen.shows("~ gpu-1", "stale 1m", "~ gpu-1 1m silent", "~ research")
        await mesh.node("gpu-1")
        await seen.shows("● gpu-1", "● research")


@pytest.mark.parametrize("size", SIZES)
async def test_simulated_numbers_are_marked_on_every_screen(
    mesh: Mesh, size: tuple[int, int]
) -> None:
    await mesh.agent("research")
    await mesh.node("gpu-1", simulated=True)
    mesh.logs["research"] = "hello\n"
    async with centre(size) as seen:
        for keys, words in (("1", "events"), ("2", "gpu-1"), ("3", "rep")):
            await seen.press(keys)
            await seen.shows("SIMULATED", words)
        await seen.press("l")
        await seen.shows("hello")
        assert "SIMULATED" in seen.screen.splitlines()[0], "a dialog lets the header be seen"


async def test_no_mesh_says_what_to_do(home: object) -> None:
    async with centre((80, 24), live=False) as seen:
        await seen.shows("no mesh runs here", "sparkplug up")


async def test_a_lost_connection_is_told_and_heals(mesh: Mesh) -> None:
    await mesh.agent("research")
    async with centre((120, 36)) as seen:
        server = mesh.server.server.process
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        await seen.shows("the connection is lost: what you see is", "research")
        await mesh.server.restart()
        await seen.until(lambda: "the connection is lost" not in seen.screen)
        assert await mesh.bus.wait_connected(10)
        await mesh.agent("research", "thinking")
        await seen.shows("◐ research")


async def test_a_server_that_hangs_or_a_tunnel_that_is_cut_is_told(mesh: Mesh) -> None:
    await mesh.agent("research")
    async with centre((120, 36)) as seen:
        server = mesh.server.server.process
        assert server is not None
        await seen.shows("research")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            told = "the connection is lost: what you see is"
            await seen.until(lambda: told in seen.screen, 30)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await seen.until(lambda: "the connection is lost" not in seen.screen, 30)


async def test_nothing_is_painted_while_nothing_changes(mesh: Mesh) -> None:
    await mesh.agent("research", state_since=utc_now() - timedelta(hours=5))
    async with centre((120, 36)) as seen:
        await mesh.tell(sample("gpu-1"))
        await seen.shows("38%", "5h")
        await seen.pilot.pause()
        painted = []
        boxes = [box for box in seen.app.query("Lines, OneLine") if box.display]
        for _ in range(3):
            seen.app._tick()
            seen.app._changed(frozenset({"agents", "hosts", "telemetry", "runs", "events"}))
            painted += [box for box in boxes if box._repaint_regions]
        assert painted == []
        seen.app._header.set_line(())
        assert seen.app._header._repaint_regions, "what changes is painted"


async def test_memory_of_a_gpu_without_a_figure_is_not_zero(mesh: Mesh) -> None:
    await mesh.agent("research")
    silent = gpu(0, memory=None, utilization_percent=None, temperature_celsius=None)
    async with centre((160, 50)) as seen:
        await mesh.tell(sample("gpu-1", driver=DRIVER, gpus=[silent]))
        await seen.shows(" 0 ········  n/s       n/s n/s")
        assert "0G" not in seen.screen
        known = GpuMemory(total_bytes=80 * GIB, used_bytes=0, free_bytes=80 * GIB)
        await mesh.tell(sample("gpu-1", 2, driver=DRIVER, gpus=[gpu(0, memory=known)]))
        await seen.shows("0B/80G")


async def test_many_gpus_fit_the_smallest_screen(mesh: Mesh) -> None:
    await mesh.agent("research")
    hot = gpu(3, clock_event_reasons=["hardware slowdown"], temperature_celsius=90.0)
    gpus = [hot if index == 3 else gpu(index, utilization_percent=index) for index in range(16)]
    async with centre((80, 24)) as seen:
        await mesh.tell(sample("gpu-1", driver=DRIVER, gpus=gpus[:8]))
        await seen.shows("  7%", "90°▲", "61G/80G")
        await mesh.tell(sample("gpu-1", 2, driver=DRIVER, gpus=gpus))
        await seen.shows(" 15%", "▲90°", "76%")
        await seen.pilot.resize_terminal(160, 50)
        await seen.shows("hardware slowdown", "61G/80G")
