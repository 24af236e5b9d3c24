"""How hosts went, in the list of them: a cell a second, a gap where nothing was measured."""

from __future__ import annotations

from sparkplug.schema.gpu import Gpu
from sparkplug.schema.host import Cpu, Driver, DriverState, HostSample, Memory
from sparkplug.schema.node import NodeState, ObservedNode
from sparkplug.schema.node_services import HostView
from sparkplug.tui.panes.host_columns import host_columns


def sample(cpu: float, busy: int | None) -> HostSample:
    return HostSample(
        host="h",
        sequence=1,
        uptime_seconds=1.0,
        cpu=Cpu(percent=cpu, user_percent=0, system_percent=0, cores=2, load1=0, load5=0, load15=0),
        memory=Memory(total_bytes=2, available_bytes=1),
        driver=Driver(state=DriverState.OK),
        gpus=[Gpu(index=0, uuid="GPU-0", name="a GPU", utilization_percent=busy)],
    )


def drawn(name: str, past: list[HostSample]) -> tuple[str, object]:
    """The cell of a column as it is drawn, and what it is sorted by."""
    node = ObservedNode(name="h", host="h", state=NodeState.READY, version="1", pid=1)
    view = HostView(
        name="h",
        state=NodeState.READY,
        age_seconds=0,
        node=node,
        sample=past[-1] if past else None,
    )
    column = next(c for c in host_columns(lambda _: past) if c.name == name)
    value = column.value(view)
    return "".join(text for _, text in column.cell(value, 0.0)), column.sort_value(value)


def test_the_last_seconds_stand_before_the_figure() -> None:
    past = [sample(cpu, None) for cpu in (99, 99, 0, 13, 25, 38, 50, 63, 75, 100)]
    assert drawn("cpu", past) == ("▂▃▄▅▆▇█ 100%", 100.0)


def test_a_gap_where_no_gpu_told() -> None:
    past = [sample(0, busy) for busy in (100, None, 0, 50)]
    assert drawn("util", past) == ("   █ ▁▅  50%", 50.0)


def test_a_host_that_was_not_heard_has_neither_figure_nor_past() -> None:
    assert drawn("cpu", []) == ("         n/s", None)
