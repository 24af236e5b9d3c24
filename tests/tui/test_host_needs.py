"""On Overview: what of a host needs a person, where it leads, and how it goes away."""

from __future__ import annotations

from tui_centre import centre
from tui_mesh import Mesh, gpu, sample

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket
from sparkplug.schema.host import Driver, DriverState, GpuState, Xid
from sparkplug.schema.node import NodeOrder

DRIVER = Driver(state=DriverState.OK, version="580.1")


async def test_a_lost_gpu_needs_one_until_it_is_back_and_its_xid_until_acknowledged(
    mesh: Mesh,
) -> None:
    await mesh.agent("research")
    await mesh.serve("gpu-1")
    well, lost = gpu(0), gpu(1, state=GpuState.LOST)
    xid = Xid(gpu=1, uuid="GPU-1", xid=79, meaning="off\x1b[2J the bus", remedy="restart the host")
    async with centre((120, 36)) as seen:
        await mesh.tell(sample("gpu-1", 1, driver=DRIVER, gpus=[well, gpu(1)]))
        await seen.shows("nothing needs you", "gpus 2")
        await mesh.tell(sample("gpu-1", 2, driver=DRIVER, gpus=[well, lost]))
        await seen.shows("needs you 1", "✖ gpu-1 gpu 1 lost → restart the host")
        gone = sample("gpu-1", 3, driver=DRIVER, gpus=[well, lost], xids=[xid])
        mesh.samples.append(gone)
        await mesh.tell(gone)
        await seen.shows("needs you 1", "lost · XID 79 → restart the host  off")
        seen.app.pane._needs.focus()
        await seen.press("g", "enter")
        await seen.shows("why gpu-1", "XID 79", "→ restart the host")
        await seen.press("escape")
        # It is back: what the driver said of it stays until somebody has seen to it.
        back = sample("gpu-1", 4, driver=DRIVER, gpus=[well, gpu(1)], xids=[xid])
        mesh.samples.append(back)
        await mesh.tell(back)
        await seen.shows("needs you 1", "gpu 1", "XID 79 → restart the host")
        await seen.until(lambda: "lost ·" not in seen.screen)
        await seen.press("A")
        await seen.shows("nothing needs you")
        order = await Bucket(mesh.bus, subjects.BUCKET_NODES).read_all(NodeOrder)
        assert order["gpu-1"].acknowledged == xid.time
        assert not order["gpu-1"].cordoned


async def test_a_driver_that_hangs_needs_one_as_long_as_it_does(mesh: Mesh) -> None:
    await mesh.agent("research")
    hung = Driver(state=DriverState.NOT_RESPONDING, version="580.1", age_seconds=4)
    async with centre((120, 36)) as seen:
        stale = gpu(0, state=GpuState.STALE)
        await mesh.tell(sample("gpu-1", 1, driver=hung, gpus=[stale]))
        await seen.shows("needs you 1", "✖ gpu-1 NVIDIA driver does not respond")
        await mesh.tell(sample("gpu-1", 2, driver=DRIVER, gpus=[gpu(0)]))
        await seen.shows("nothing needs you")
