"""What of a host needs a person, and when it does no more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sparkplug.schema.base import utc_now
from sparkplug.schema.host import (
    Cpu,
    Driver,
    DriverState,
    Gpu,
    GpuEvent,
    GpuState,
    HostSample,
    Memory,
    Xid,
)
from sparkplug.schema.host_needs import host_needs
from sparkplug.schema.node import NodeOrder, NodeState, ObservedNode
from sparkplug.schema.node_services import HostView
from sparkplug.telemetry.xid import xid_remedy

NOW = utc_now()


def gpu(index: int = 0, **changes: Any) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA H100", **changes)


def xid(number: int, index: int = 0, ago: float = 60.0) -> Xid:
    time = NOW - timedelta(seconds=ago)
    remedy = xid_remedy(number)
    return Xid(gpu=index, uuid=f"GPU-{index}", xid=number, meaning="m", remedy=remedy, time=time)


def view(
    *gpus: Gpu,
    state: NodeState = NodeState.READY,
    driver: DriverState = DriverState.OK,
    acknowledged: float | None = None,
    **sample: Any,
) -> HostView:
    cpu = Cpu(percent=1, user_percent=1, system_percent=0, cores=2, load1=0, load5=0, load15=0)
    found = HostSample(
        host="gpu-1",
        sequence=1,
        uptime_seconds=1,
        cpu=cpu,
        memory=Memory(total_bytes=2, available_bytes=1),
        driver=Driver(state=driver, reason="driver/library version mismatch"),
        gpus=list(gpus),
        **sample,
    )
    order = None
    if acknowledged is not None:
        moment = NOW - timedelta(seconds=acknowledged)
        order = NodeOrder(name="gpu-1", acknowledged=moment)
    node = ObservedNode(name="gpu-1", host="gpu-1", state=state, version="1", pid=1)
    return HostView(name="gpu-1", state=state, age_seconds=0, node=node, sample=found, order=order)


def told(view: HostView) -> list[str]:
    return [f"{need.place}: {need.what} → {need.remedy}" for need in host_needs(view)]


def test_what_is_well_needs_nobody() -> None:
    assert told(view(gpu(0), gpu(1, clock_event_reasons=["power cap"]))) == []
    assert told(view(driver=DriverState.NO_DRIVER)) == []
    assert told(view(state=NodeState.STOPPED, mounts_not_answering=["/data"])) == []


def test_a_gpu_that_is_lost_needs_one_and_its_xid_says_why() -> None:
    lost = gpu(1, state=GpuState.LOST)
    assert told(view(gpu(0), lost)) == ["gpu 1: lost → restart the host"]
    with_xid = view(gpu(0), lost, xids=[xid(79, 1)])
    assert told(with_xid) == ["gpu 1: lost · XID 79 → restart the host"]
    # It was seen to, and is lost still.
    seen = view(gpu(0), lost, xids=[xid(79, 1)], acknowledged=30)
    assert told(seen) == ["gpu 1: lost → restart the host"]


@pytest.mark.parametrize("number", [13, 31, 43, 45, 63, 94, 999])
def test_an_xid_that_ends_with_its_application_needs_nobody(number: int) -> None:
    assert told(view(gpu(), xids=[xid(number)])) == []


def test_a_report_needs_one_until_it_was_acknowledged() -> None:
    reported = {"xids": [xid(74, ago=90), xid(119, ago=60), xid(13, ago=50)]}
    [need] = host_needs(view(gpu(), **reported))
    assert (need.what, need.remedy) == ("XID 119", "reset the GPU")
    assert need.detail == "m"
    assert need.since == reported["xids"][1].time
    assert told(view(gpu(), **reported, acknowledged=75)) == ["gpu 0: XID 119 → reset the GPU"]
    assert told(view(gpu(), **reported, acknowledged=60)) == []


def test_other_events_and_memory_that_waits_for_repair_need_one() -> None:
    event = GpuEvent(gpu=0, uuid="GPU-0", kind="fatal_poison", meaning="p", remedy="reset the GPU")
    harmless = GpuEvent(gpu=1, uuid="GPU-1", kind="mig_config", meaning="c")
    worn = gpu(1, ecc_uncorrected_volatile=2, remapped_rows_pending=True)
    assert told(view(gpu(0), worn, gpu_events=[event, harmless])) == [
        "gpu 0: fatal poison → reset the GPU",
        "gpu 1: rows of its memory wait to be remapped → reset it",
    ]
    # What the board had in its life needs nobody now.
    assert told(view(gpu(0, ecc_uncorrected_aggregate=4))) == []


def test_a_driver_that_does_not_answer_is_told_once_and_not_for_each_gpu() -> None:
    stale = [gpu(index, state=GpuState.STALE) for index in range(8)]
    [hung] = told(view(*stale, driver=DriverState.NOT_RESPONDING))
    assert hung.startswith("driver: NVIDIA driver does not respond")
    [wrong] = host_needs(view(driver=DriverState.ERROR))
    assert wrong.detail == "driver/library version mismatch"
    [one] = told(view(*stale[:1], gpu(1)))
    assert one.startswith("gpu 0: a call to it hangs")


def test_of_a_host_that_is_silent_nothing_else_is_known() -> None:
    lost = gpu(1, state=GpuState.LOST)
    assert [need.what for need in host_needs(view(lost, state=NodeState.STALE))] == ["silent"]


def test_a_mount_that_does_not_answer_needs_one() -> None:
    assert told(view(mounts_not_answering=["/data"])) == ["disk: /data does not answer → "]
