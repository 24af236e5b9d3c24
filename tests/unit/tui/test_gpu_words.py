"""What of a GPU is told where there is little room."""

from __future__ import annotations

import pytest

from sparkplug.schema.gpu import Gpu, GpuMemory
from sparkplug.schema.host import Cpu, Driver, DriverState, HostSample, Memory
from sparkplug.schema.node import NodeState, ObservedNode
from sparkplug.schema.node_services import HostView
from sparkplug.tui.cells import Line, length
from sparkplug.tui.panes.gpu_lines import gpu_lines, small_gpu, throttle, throttle_brief
from sparkplug.tui.panes.overview_lines import strip_lines


def gpu(index: int = 0, **changes: object) -> Gpu:
    memory = GpuMemory(total_bytes=80 << 30, used_bytes=71 << 30, free_bytes=9 << 30)
    told = {"utilization_percent": 97.0, "memory": memory, "temperature_celsius": 91.0}
    return Gpu.model_validate(
        {"index": index, "uuid": f"GPU-{index}", "name": "NVIDIA H100", **told, **changes}
    )


def text(line: Line) -> str:
    return "".join(part for _, part in line)


def strip(width: int, height: int, *gpus: Gpu) -> list[str]:
    cpu = Cpu(percent=1, user_percent=1, system_percent=0, cores=2, load1=0, load5=0, load15=0)
    sample = HostSample(
        host="h",
        sequence=1,
        uptime_seconds=1,
        cpu=cpu,
        memory=Memory(total_bytes=2, available_bytes=1),
        driver=Driver(state=DriverState.OK),
        gpus=list(gpus),
    )
    node = ObservedNode(name="h", host="h", state=NodeState.READY, version="1", pid=1)
    view = HostView(name="h", state=NodeState.READY, age_seconds=0, node=node, sample=sample)
    lines = strip_lines([view], {}, width, height)
    assert all(length(line) <= width for line in lines[2:])
    return [text(line) for line in lines]


@pytest.mark.parametrize(
    ("reasons", "whole", "brief"),
    [
        (
            ["hardware slowdown", "hardware thermal slowdown"],
            "hardware thermal slowdown, hardware slowdown",
            "heat",
        ),
        (["software power cap"], "software power cap", "power cap"),
        (["software power cap", "software thermal slowdown"], None, "heat"),
        (["hardware slowdown", "hardware power brake"], None, "power brake"),
        (["sync boost"], "sync boost", "sync boost"),
        (["idle"], "", ""),
    ],
)
def test_why_clocks_are_low_begins_with_what_tells_most(
    reasons: list[str], whole: str | None, brief: str
) -> None:
    slow = gpu(clock_event_reasons=reasons)
    assert throttle_brief(slow) == brief
    if whole is not None:
        assert throttle(slow) == whole


def test_the_strip_says_why_in_a_word_where_there_is_no_room_for_more() -> None:
    hot = gpu(clock_event_reasons=["hardware slowdown", "hardware thermal slowdown"])
    assert strip(36, 9, hot)[2].endswith("91°▲ heat")
    assert strip(200, 9, hot)[2].endswith("hardware thermal slowdown, hardware slowdown")


def test_two_gpus_in_a_line_do_not_touch() -> None:
    pair = strip(36, 9, *[gpu(index) for index in range(16)])[7]
    assert "91° 11 " in pair


def test_a_pending_repair_comes_before_the_counts() -> None:
    worn = gpu(remapped_rows_pending=True, ecc_uncorrected_volatile=2, ecc_corrected_aggregate=428)
    ecc = next(text(line) for line in small_gpu(worn) if text(line).startswith("ecc"))
    assert ecc.split()[1:4] == ["row", "remap", "pending"]
    assert "(428 ever)" in ecc


def test_of_a_gpu_that_is_well_all_that_is_told_has_room_beside_plots() -> None:
    links = {"links": 18, "active": 18, "version": "4.0", "crc_errors": 0}
    rates = {"receive_bytes_per_second": 175e9, "transmit_bytes_per_second": 176e9}
    gpm = {"sm_percent": 89, "tensor_percent": 63, "occupancy_percent": 41, "dram_percent": 53}
    precisions = {"fp64_percent": 0, "fp32_percent": 10, "fp16_percent": 12}
    well = gpu(
        memory_bus_percent=55.0,
        sm_clock_mhz=1923,
        sm_clock_max_mhz=1980,
        memory_clock_mhz=2619,
        performance_state="P0",
        ecc_uncorrected_volatile=0,
        ecc_corrected_volatile=0,
        ecc_corrected_aggregate=3,
        nvlink={**links, **rates},
        fabric={"state": "completed", "health": "healthy"},
        gpm={**gpm, **precisions},
    )
    lines = small_gpu(well)
    assert max(map(length, lines)) <= 78
    told = "\n".join(map(text, lines))
    assert "bus 55%" in told
    assert "fabric healthy" in told
    assert "fp16 12%" in told


def test_a_process_is_told_with_who_owns_it_and_as_what_it_was_started() -> None:
    told = {
        "pid": 77,
        "used_bytes": 60 << 30,
        "name": "python",
        "command": "python train.py --epochs 3",
        "user": "ana",
        "agent": "research/0",
        "container": "docker/3f2a",
        "sm_percent": 90,
        "memory_bus_percent": 41,
        "encoder_percent": 12,
    }
    one = gpu(processes=[told], pcie={"generation": 5, "bus_id": "00000000:1B:00.0"})
    [whole] = [text(line) for line in gpu_lines(one, [], 10, 0) if "research/0" in text(line)]
    assert "bus  41%" in whole
    assert whole.endswith(
        "python · docker/3f2a · user ana · encoder 12% · python train.py --epochs 3"
    )
    [brief] = [text(line) for line in small_gpu(one) if "research/0" in text(line)]
    assert "bus" not in brief
    assert any("bus 00000000:1B:00.0" in text(line) for line in gpu_lines(one, [], 10, 0))


def test_all_of_its_links_and_clocks_is_told_where_figures_have_the_room_alone() -> None:
    links = {"links": 18, "active": 17, "inactive": [4], "speed_bytes_per_second": 25e9}
    one = gpu(
        graphics_clock_mhz=1950,
        video_clock_mhz=1545,
        nvlink={**links, "remote": "switch"},
        fabric={"state": "completed", "health": "healthy", "clique": 0},
    )
    told = [text(line) for line in gpu_lines(one, [], 10, 0)]
    assert any("graphics 1950 MHz · video 1545 MHz" in line for line in told)
    assert any("/s a link · to switch · down: 4 · clique 0" in line for line in told)
