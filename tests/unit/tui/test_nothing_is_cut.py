"""Figures that are told whole or not at all, and names that have the room there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sparkplug.schema.agent import AgentState, ObservedAgent
from sparkplug.schema.gpu import Gpu, GpuMemory
from sparkplug.schema.host import (
    BlockDevice,
    Cpu,
    Driver,
    DriverState,
    HostSample,
    Memory,
    Network,
    Pressure,
)
from sparkplug.schema.host_topology import HostTopology, TopologyGpu
from sparkplug.schema.memory import MemoryItem
from sparkplug.schema.node import NodeState, ObservedNode
from sparkplug.schema.node_services import HostView
from sparkplug.schema.task import Attempt, Task
from sparkplug.schema.usage import AgentUsage
from sparkplug.tui.cells import length, plain
from sparkplug.tui.dialogs.host_topology import matrix_lines
from sparkplug.tui.dialogs.task import task_nodes
from sparkplug.tui.panes.agent_columns import SHORT_COLUMNS
from sparkplug.tui.panes.agent_usage import Trace, Usage, usage_line
from sparkplug.tui.panes.host_columns import host_columns
from sparkplug.tui.panes.host_lines import host_lines
from sparkplug.tui.panes.memory_columns import MEMORY_COLUMNS
from sparkplug.tui.panes.overview_lines import strip_lines
from sparkplug.tui.panes.run_lines import plan_line
from sparkplug.tui.panes.talk_marks import RATE_ROOM, rate_words
from sparkplug.tui.panes.task_columns import TASK_COLUMNS
from sparkplug.tui.panes.workflows import _PLAN
from sparkplug.tui.widgets.table import Column
from sparkplug.tui.widgets.table.columns import narrow

_GIB = 1 << 30
#: The widths of a box of Overview and of Agents at 80, 120, 160 and 200 columns.
BOXES = [38, 58, 78, 98]


def host(gpus: int = 4, **changes: Any) -> HostView:
    sample = HostSample(
        host="h",
        sequence=1,
        uptime_seconds=1.0,
        cpu=Cpu(percent=7, user_percent=0, system_percent=0, cores=2, load1=1, load5=1, load15=1),
        memory=Memory(total_bytes=24 * _GIB, available_bytes=22 * _GIB),
        driver=Driver(state=DriverState.OK, version="580.95.05", cuda="13.0", simulated=True),
        block_devices=[
            BlockDevice(
                name="nvme0n1-of-a-long-name",
                read_bytes_per_second=2.3e6,
                write_bytes_per_second=1.5e6,
                busy_percent=4.0,
            )
        ],
        pressure={"cpu": Pressure(some_avg10=11.2, some_avg60=1, full_avg10=0, full_avg60=0)},
        network=Network(receive_bytes_per_second=12e6, transmit_bytes_per_second=3e6),
        gpus=[
            Gpu(
                index=index,
                uuid=f"GPU-{index}",
                name="a GPU",
                utilization_percent=(100, 7, 45, 0)[index % 4],
                memory=GpuMemory(
                    total_bytes=80 * _GIB,
                    used_bytes=(0, 80, 8, 41)[index % 4] * _GIB,
                    free_bytes=0,
                ),
                temperature_celsius=64.0,
            )
            for index in range(gpus)
        ],
        **changes,
    )
    node = ObservedNode(name="h", host="h", state=NodeState.READY, version="1", pid=1)
    return HostView(name="h", state=NodeState.READY, age_seconds=0, node=node, sample=sample)


@pytest.mark.parametrize("box", [20, *BOXES])
def test_the_figures_of_a_host_are_whole_or_left_out(box: int) -> None:
    told = plain(strip_lines([host()], {}, box - 2, 20)[1]).strip()
    assert told.startswith("22G of 24G free")
    assert len(told) + 2 <= box - 2 or told == "22G of 24G free"
    whole = {"22G of 24G free", "pressure 11%", "↓11M/s ↑2.9M/s"}
    assert set(told.split(" · ")) <= whole


@pytest.mark.parametrize("name", ["h", "gpu-node-1", "a-host-of-a-long-name"])
@pytest.mark.parametrize("width", [24, 36, 56, 96])
def test_the_name_and_the_figures_of_a_host_go_before_its_bars(name: str, width: int) -> None:
    view = host().model_copy(update={"name": name})
    assert view.sample is not None
    view.sample.cpu.percent = 100
    told = plain(strip_lines([view], {}, width, 20)[0])
    assert len(told) <= width or width < 30
    assert told.count("%") == 2
    assert "▇100%" not in told
    assert name[: width - 23] in told


def test_a_bar_that_is_full_does_not_touch_its_figure() -> None:
    for width in (40, 60, 100):
        full = plain(strip_lines([host()], {}, width, 20)[2])
        assert "▇ 100%" in full


def test_pressure_that_is_trouble_goes_before_the_network() -> None:
    pressed = {"cpu": Pressure(some_avg10=34, some_avg60=1, full_avg10=0, full_avg60=0)}
    view = host()
    assert view.sample is not None
    view.sample.pressure = pressed
    told = plain(strip_lines([view], {}, 36, 20)[1])
    assert told.strip() == "22G of 24G free · pressure 34%"


@pytest.mark.parametrize("width", [36, 40, 56])
@pytest.mark.parametrize("count", [4, 16])
def test_gpus_in_two_columns_stand_below_each_other(width: int, count: int) -> None:
    lines = [plain(line) for line in strip_lines([host(count)], {}, width, 4)[2:]]
    assert len(lines) == count // 2
    for what in "%°":
        places = {tuple(at for at, c in enumerate(line) if c == what) for line in lines}
        assert len(places) == 1, "\n".join(lines)


@pytest.mark.parametrize("width", [56, 60, 76, 156])
def test_no_figure_of_a_host_ends_in_the_middle(width: int) -> None:
    lines = host_lines(host(0), (), width)
    assert all(length(line) <= width for line in lines)
    words = " ".join(plain(line) for line in lines)
    assert "steal n/s" in words
    assert "killed for memory since boot" in words
    assert "writes 1.4M/s" in words


def test_what_goes_on_in_the_next_line_stands_below_what_it_is_of() -> None:
    lines = [plain(line) for line in host_lines(host(0), (), 56)]
    goes_on = next(line for line in lines if line.strip().startswith("steal"))
    assert goes_on.index("steal") == lines[1].index("2 cores")


def test_the_driver_is_whole_where_the_screen_is_120_wide() -> None:
    columns = host_columns(lambda _: ())
    place = next(
        p for p in narrow(list(enumerate(columns)), 118) if columns[p.index].name == "driver"
    )
    column = columns[place.index]
    told = plain(column.cell(column.value(host()), 0.0))
    assert told == "580.95.05, CUDA 13.0  SIMULATED "
    assert place.width >= len("580.95.05, CUDA 13.0")


def test_the_heads_of_the_matrix_of_links_do_not_touch() -> None:
    gpus = [TopologyGpu(index=0, uuid="GPU-0", name="a GPU")]
    head = plain(matrix_lines(HostTopology(host="h", gpus=gpus))[0])
    assert "cpu affinity  numa" in head


def agent(**changes: Any) -> ObservedAgent:
    given = {"name": "a", "replica": "0", "runtime": "python", "owner": "ana", **changes}
    return ObservedAgent(**{"state": AgentState.RUNNING, **given})


def cells(columns: tuple[Column, ...], value: object, width: int) -> dict[str, tuple[str, int]]:
    """What stands in the columns that fit, and how wide each is."""
    return {
        columns[place.index].name: (
            plain(columns[place.index].cell(columns[place.index].value(value), 0.0)),
            place.width,
        )
        for place in narrow(list(enumerate(columns)), width)
    }


@pytest.mark.parametrize("box", BOXES)
def test_a_box_of_agents_tells_nothing_in_three_letters(box: int) -> None:
    busy = agent(name="long-research", inflight=2, host="gpu-1", runtime="python")
    found = cells(SHORT_COLUMNS, busy, box - 2)
    assert found["name"][0] == "● long-research"
    assert found["state"][0] == "running ×2"
    for name, (text, width) in found.items():
        assert len(text) <= width, name


def test_what_an_agent_works_on_is_counted_where_it_is_more_than_one() -> None:
    assert cells(SHORT_COLUMNS, agent(inflight=1), 76)["state"][0] == "running"
    foreign = agent(name="claude", foreign=True, state=AgentState.IDLE)
    assert cells(SHORT_COLUMNS, foreign, 76)["name"][0] == "○ claude (foreign)"
    failed = agent(state=AgentState.ERROR, reason="out of\nmemory")
    assert cells(SHORT_COLUMNS, failed, 76)["note"][0] == "out of memory"


@pytest.mark.parametrize(("width", "least"), [(78, 36), (90, 36), (130, 48)])
def test_a_memory_is_read_in_its_row(width: int, least: int) -> None:
    columns = tuple(c for c in MEMORY_COLUMNS if c.name not in ("score", "why") and not c.extra)
    now = datetime.now(UTC)
    item = MemoryItem.model_construct(
        text="x", scope="mesh", author="a", created=now, source="person", flags=[], reads=0
    )
    assert cells(columns, item, width)["text"][1] >= least


def test_the_agent_of_a_task_has_the_room_that_is_left() -> None:
    places = {
        TASK_COLUMNS[p.index].name: p.width for p in narrow(list(enumerate(TASK_COLUMNS)), 78)
    }
    assert sum(places.values()) + len(places) == 78
    assert places["agent"] > 12


def test_plans_stand_at_the_left_and_their_figures_at_the_right() -> None:
    line = plan_line("research-write-review", [], _PLAN)
    assert plain(line) == "research-write-review".ljust(_PLAN - 9) + "never run"


def test_what_is_quiet_and_what_speaks_seldom_are_two_things() -> None:
    assert rate_words(0) == "0/s"
    assert rate_words(0.01) == "<0.1/s"
    assert rate_words(0.06) == "0.1/s"
    assert all(len(rate_words(rate)) <= RATE_ROOM for rate in (0, 0.01, 4.5, 99, 990, 9990))


def test_a_latency_stands_behind_its_own_name() -> None:
    taken = AgentUsage(agent="a", replica="0", pid=1, latency_p50_ms=12, latency_p95_ms=3400)
    line = plain(usage_line(Usage(taken, 0.0), Trace(("a", "0")), 100))
    assert "p50 12ms · p95 3.4s" in line


def test_a_try_that_goes_on_tells_nothing_that_is_not_known() -> None:
    now = datetime.now(UTC)
    going = Attempt(number=1, agent="a", replica="0", started=now - timedelta(seconds=3))
    task = Task(
        id="0123456789abcdef",
        capability="c",
        submitted=now,
        by="ana",
        timeout=3000,
        attempts=[going],
    )
    lines = [plain(node.line) for node in every(task_nodes(task))]
    assert any("50m00s each" in line for line in lines)
    assert any("outcome: running" in line for line in lines)
    assert not any(
        line.rstrip().endswith(":") and ("took" in line or "error" in line) for line in lines
    )


def every(nodes: Any) -> list[Any]:
    """Nodes of a tree and all below them."""
    found = []
    for node in nodes:
        below = node.children() if callable(node.children) else node.children
        found += [node, *every(below)]
    return found
