"""What the list of hosts shows of a host that takes nothing new."""

from __future__ import annotations

from typing import Any

import pytest

from sparkplug.actions.action import Subject
from sparkplug.actions.registry import ACTIONS
from sparkplug.schema.gpu import Gpu, GpuProcess, GpuState
from sparkplug.schema.host import Cpu, Driver, DriverState, HostSample, Memory
from sparkplug.schema.node import NodeOrder, NodeState, ObservedNode
from sparkplug.schema.node_services import HostView
from sparkplug.tui.panes.host_columns import host_columns, is_failing
from sparkplug.tui.panes.overview_lines import _gpu


def view(state: NodeState, order: NodeOrder | None) -> HostView:
    node = ObservedNode(name="h", host="h", state=state, version="1", pid=1)
    return HostView(name="h", state=state, age_seconds=1.0, node=node, order=order)


def drawn(name: str, host: HostView) -> str:
    column = next(column for column in host_columns(lambda _: ()) if column.name == name)
    value = column.value(host)
    return str(column.draw(value)[1]) if column.draw is not None else str(value)


CORDONED = NodeOrder(name="h", cordoned=True, changed_by="ana", reason="new disk")
DRAINING = CORDONED.model_copy(update={"draining": True})


@pytest.mark.parametrize(
    ("state", "order", "shown"),
    [
        (NodeState.READY, None, "● ready"),
        (NodeState.READY, NodeOrder(name="h"), "● ready"),
        (NodeState.READY, CORDONED, "⊘ cordoned"),
        (NodeState.READY, DRAINING, "◐ draining"),
        # What it is comes before what is wanted of it.
        (NodeState.DEGRADED, CORDONED, "! degraded"),
    ],
)
def test_a_host_is_marked(state: NodeState, order: NodeOrder | None, shown: str) -> None:
    assert drawn("state", view(state, order)) == shown


def test_who_and_why_is_told() -> None:
    assert drawn("order", view(NodeState.READY, CORDONED)) == "cordoned by ana: new disk"


def test_what_can_be_done_with_a_host_depends_on_what_is_wanted_of_it() -> None:
    def fits(action: str, order: NodeOrder | None) -> bool:
        subject = Subject("host", "h", view(NodeState.READY, order))
        return ACTIONS[action].applies(subject) is None

    actions = ("hosts.cordon", "hosts.uncordon", "hosts.drain")
    assert [fits(action, None) for action in actions] == [True, False, True]
    assert [fits(action, CORDONED) for action in actions] == [False, True, True]
    assert [fits(action, DRAINING) for action in actions] == [True, True, False]


def with_gpus(*gpus: Gpu) -> HostView:
    sample = HostSample(
        host="h",
        sequence=1,
        uptime_seconds=1.0,
        cpu=Cpu(percent=0, user_percent=0, system_percent=0, cores=2, load1=0, load5=0, load15=0),
        memory=Memory(total_bytes=2, available_bytes=1),
        driver=Driver(state=DriverState.OK),
        gpus=list(gpus),
    )
    return view(NodeState.READY, None).model_copy(update={"sample": sample})


def gpu(index: int, **fields: Any) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="a GPU", **fields)


SLOW = {"clock_event_reasons": ["software power cap"]}


@pytest.mark.parametrize(
    ("gpus", "shown"),
    [
        ([gpu(0), gpu(1)], "0"),
        ([gpu(0, **SLOW), gpu(1, **SLOW)], "! 2 slow"),
        # Memory with errors goes before clocks that are low, a GPU that is gone before both.
        ([gpu(0, **SLOW), gpu(1, remapped_rows_pending=True)], "✖ 1 ecc"),
        ([gpu(0, ecc_uncorrected_volatile=3)], "✖ 1 ecc"),
        ([gpu(0, ecc_uncorrected_aggregate=3)], "0"),
        ([gpu(0, state=GpuState.LOST), gpu(1, retired_pages_pending=True)], "✖ 1 lost"),
    ],
)
def test_the_worst_trouble_of_its_gpus_is_told(gpus: list[Gpu], shown: str) -> None:
    host = with_gpus(*gpus)
    assert drawn("throttled", host) == shown
    assert is_failing(host) is (shown != "0")


def test_a_driver_that_fails_is_told_though_it_tells_of_no_gpu() -> None:
    host = with_gpus()
    assert drawn("throttled", host) == ""
    assert host.sample is not None
    host.sample.driver = Driver(state=DriverState.ERROR, reason="mismatch")
    assert drawn("throttled", host) == "✖ driver"
    assert is_failing(host)
    host.sample.driver = Driver(state=DriverState.NO_DRIVER)
    assert drawn("throttled", host) == ""
    assert not is_failing(host)


def test_hosts_in_worse_trouble_come_first() -> None:
    column = next(column for column in host_columns(lambda _: ()) if column.name == "throttled")
    hosts = [
        with_gpus(gpu(0)),
        with_gpus(*(gpu(index, **SLOW) for index in range(8))),
        with_gpus(gpu(0, ecc_uncorrected_volatile=1)),
        with_gpus(gpu(0, state=GpuState.STALE)),
    ]
    keys = [column.sort_value(column.value(host)) for host in hosts]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_of_memory_that_is_the_hosts_what_processes_hold_is_told() -> None:
    def told(one: Gpu) -> str:
        return "".join(text for _, text in _gpu(one, 0, (), 60))

    held = [GpuProcess(pid=1, used_bytes=20 << 30), GpuProcess(pid=2, used_bytes=4 << 30)]
    assert "24G held" in told(gpu(0, unified_memory=True, processes=held))
    assert "n/s" in told(gpu(0, unified_memory=True))
    # One that tells nothing of its memory is not taken for one of those.
    assert "held" not in told(gpu(0, processes=held))
