"""A GPU in lines: what is measured, how it went, and what is not supported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkplug.schema.shares import gpu_memory_percent
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line
from sparkplug.tui.figures import UNSUPPORTED, age, meter, number, percent, rate, size, sparkline
from sparkplug.tui.panes.gpu_process_lines import accounted_lines, figure_line, process_lines

if TYPE_CHECKING:
    from sparkplug.schema.gpu import Fabric, Gpu, NvLinks
    from sparkplug.schema.past import PastGpu

#: The bars of a GPU whose figures stand in few lines, in cells.
_BAR = 10
_JOULES_IN_KWH = 3.6e6
#: Why clocks are low, in a word or two, what is worse first.
_BRIEF = {"thermal": "heat", "power brake": "power brake", "power cap": "power cap"}
#: This near to where it slows down it is hot (degrees).
_NEAR = 3


def throttle(gpu: Gpu) -> str:
    """Why its clocks are low, in words; empty when nothing but idleness lowers them."""
    return ", ".join(_why_low(gpu))


def throttle_brief(gpu: Gpu) -> str:
    """The same where there is little room: heat or power, which of its reasons tells most."""
    reasons = _why_low(gpu)
    for found, brief in _BRIEF.items():
        if any(found in reason for reason in reasons):
            return brief
    return ", ".join(reasons)


def _why_low(gpu: Gpu) -> list[str]:
    """The reasons, what is true of several last: the driver adds it to what it is due to."""
    reasons = [reason for reason in gpu.clock_event_reasons if reason != "idle"]
    return sorted(reasons, key=lambda reason: reason == "hardware slowdown")


def is_worn(gpu: Gpu) -> bool:
    """Whether its memory had errors that could not be corrected, or waits for repair."""
    return bool(
        gpu.ecc_uncorrected_volatile
        or gpu.ecc_uncorrected_aggregate
        or gpu.remapped_rows_pending
        or gpu.remapped_rows_failed
        or gpu.retired_pages_pending
    )


def state_words(gpu: Gpu) -> str:
    """The state of a GPU that is not well, with the age of its last figures where it is stale."""
    state = str(gpu.state)
    if state == "stale" and gpu.age_seconds is not None:
        return f"stale {age(gpu.age_seconds)}"
    return state


def small_gpu(gpu: Gpu) -> list[Line]:
    """A GPU in few lines, where nothing is plotted beside its figures."""
    if str(gpu.state) != "ok":
        return _head(gpu)
    share = gpu_memory_percent(gpu)
    both = figure_line(
        "busy",
        *meter(gpu.utilization_percent, _BAR, fills=False),
        ("text", f" {percent(gpu.utilization_percent)}"),
        ("dim", "  memory "),
        *meter(share, _BAR),
        ("text", f" {percent(share)} "),
        *_memory(gpu, brief=True),
    )
    clocks = figure_line("clocks", *_clocks(gpu))
    if throttle(gpu) or is_worn(gpu):
        below = [clocks, figure_line("ecc", *_ecc(gpu))]
    else:
        # All of it has no room behind the clocks, and tells nothing of a GPU that is well.
        below = [(*clocks, ("dim", " · ecc "), *_ecc(gpu, brief=True))]
    return [
        *_head(gpu),
        both,
        figure_line("power", *_power(gpu)),
        *below,
        *_activity(gpu, brief=True),
        *_links(gpu, brief=True),
        *_slices(gpu),
        *process_lines(gpu, brief=True),
    ]


def gpu_lines(gpu: Gpu, past: Sequence[Gpu | PastGpu | None], bar: int, plot: int) -> list[Line]:
    """A GPU with how it went; a bar is `bar` cells wide, a small plot `plot`."""
    if str(gpu.state) != "ok":
        return _head(gpu)
    utilizations = sparkline([old.utilization_percent if old else None for old in past], plot)
    memories = sparkline([gpu_memory_percent(old) if old else None for old in past], plot)
    share = gpu_memory_percent(gpu)
    return [
        *_head(gpu),
        figure_line(
            "busy",
            *meter(gpu.utilization_percent, bar, fills=False),
            ("text", f" {percent(gpu.utilization_percent)} "),
            ("past", utilizations),
        ),
        figure_line(
            "memory", *meter(share, bar), ("text", f" {percent(share)} "), ("past", memories)
        ),
        figure_line("", *_memory(gpu)),
        figure_line("power", *_power(gpu)),
        figure_line("clocks", *_clocks(gpu)),
        *_other_clocks(gpu),
        figure_line("ecc", *_ecc(gpu)),
        *_activity(gpu),
        *_links(gpu),
        *_slices(gpu),
        *_board(gpu),
        *process_lines(gpu),
        *accounted_lines(gpu),
    ]


def _head(gpu: Gpu) -> list[Line]:
    name: Line = (("title", f"gpu {gpu.index} "), ("text", gpu.name), ("dim", f"  {gpu.uuid}"))
    state = (
        [] if str(gpu.state) == "ok" else [figure_line("state", ("bad", f"✖ {state_words(gpu)}"))]
    )
    return [(), name, *state]


def _memory(gpu: Gpu, *, brief: bool = False) -> Line:
    bus = f" · bus {number(gpu.memory_bus_percent, '%')}"
    if gpu.memory is None:
        known = [p.used_bytes for p in gpu.processes if p.used_bytes is not None]
        resident = size(sum(known)) if known else UNSUPPORTED
        if gpu.unified_memory:
            return (("dim", f"shared with the host; its processes hold {resident}{bus}"),)
        return (("dim", f"{UNSUPPORTED}; its processes hold {resident}{bus}"),)
    memory = gpu.memory
    held = f"{size(memory.used_bytes)} of {size(memory.total_bytes)}"
    if brief:
        return (("dim", f"{held}{bus}"),)
    kept = f", {size(memory.reserved_bytes)} reserved" if memory.reserved_bytes else ""
    held = held.replace(" of ", " used of ")
    return (("dim", f"{held}{kept} · {size(memory.free_bytes)} free{bus}"),)


def _power(gpu: Gpu) -> Line:
    margin, limit = gpu.temperature_margin_celsius, gpu.slowdown_celsius
    if margin is None and gpu.temperature_celsius is not None and limit is not None:
        margin = limit - gpu.temperature_celsius
    hot = margin is not None and margin <= _NEAR
    memory = gpu.temperature_memory_celsius
    most = gpu.memory_max_celsius
    burning = memory is not None and most is not None and memory >= most - _NEAR
    default = gpu.power_limit_default_watts
    lowered = default is not None and gpu.power_limit_watts not in (None, default)
    return (
        ("text", f"{number(gpu.power_watts, 'W')} of {number(gpu.power_limit_watts, 'W')}"),
        ("warn", f" (default {number(default, 'W')})" if lowered else ""),
        ("text", " · "),
        ("warn" if hot else "text", f"{number(gpu.temperature_celsius, '°')}{'▲' if hot else ''}"),
        ("dim", f" slows at {number(limit, '°')}"),
        (
            "warn" if burning else "dim",
            "" if memory is None else f" · memory {memory:.0f}°{'▲' if burning else ''}",
        ),
        ("dim", f" · fan {number(gpu.fan_percent, '%')}"),
        (
            "dim",
            "" if gpu.energy_joules is None else f" · {_energy(gpu.energy_joules)}",
        ),
    )


def _energy(joules: float) -> str:
    kwh = joules / _JOULES_IN_KWH
    return f"{kwh:.1f} kWh" if kwh >= 1 else f"{kwh * 1000:.1f} Wh"


def _clocks(gpu: Gpu) -> Line:
    why = throttle(gpu)
    words: Line = (
        (("warn", f" ! {why}"),) if why else (("dim", " idle" if gpu.clock_event_reasons else ""),)
    )
    state = f" {gpu.performance_state}" if gpu.performance_state else ""
    memory = "" if gpu.memory_clock_mhz is None else f" · memory {gpu.memory_clock_mhz}"
    return (
        ("text", f"{number(gpu.sm_clock_mhz)} of {number(gpu.sm_clock_max_mhz)} MHz"),
        ("dim", f"{memory}{state}"),
        *words,
    )


def _other_clocks(gpu: Gpu) -> list[Line]:
    """Those that differ from the SMs' only on some chips, and of the video engines."""
    named = (("graphics", gpu.graphics_clock_mhz), ("video", gpu.video_clock_mhz))
    found = [f"{name} {clock} MHz" for name, clock in named if clock is not None]
    return [figure_line("", ("dim", " · ".join(found)))] if found else []


def _ecc(gpu: Gpu, *, brief: bool = False) -> Line:
    bad = gpu.ecc_uncorrected_volatile
    if brief:
        counts = f"{number(bad)} uncorrected · {number(gpu.ecc_corrected_volatile)} corrected"
        return (("text", counts), ("dim", " · off" if gpu.ecc_enabled is False else ""))
    remap = {
        None: f"row remap {UNSUPPORTED}",
        True: "row remap pending",
        False: "no row remap",
    }[gpu.remapped_rows_pending]
    if gpu.remapped_rows_failed:
        remap = "row remap failed"
    ever, corrected = gpu.ecc_uncorrected_aggregate, gpu.ecc_corrected_aggregate
    retired = [gpu.retired_pages_single_bit, gpu.retired_pages_double_bit]
    pages = sum(count for count in retired if count is not None)
    rows = (gpu.remapped_rows_corrected or 0) + (gpu.remapped_rows_uncorrected or 0)
    waits = gpu.remapped_rows_pending or gpu.remapped_rows_failed
    return (
        # What somebody has to act on first, where the end of a line may be cut.
        ("warn", f"{remap} · " if waits else ""),
        ("bad" if bad else "text", f"{number(bad)} uncorrected"),
        ("bad" if ever else "dim", f" ({ever} ever)" if ever else ""),
        ("text", f" · {number(gpu.ecc_corrected_volatile)} corrected"),
        ("dim", f" ({corrected} ever)" if corrected else ""),
        ("dim", "" if waits else f" · {remap}"),
        ("dim", f", {rows} remapped" if rows else ""),
        ("warn", f" · {pages} pages retired" if pages else ""),
        ("dim", " · ecc off" if gpu.ecc_enabled is False else ""),
    )


def _activity(gpu: Gpu, *, brief: bool = False) -> list[Line]:
    """What its units did, where the chip tells, and its video engines; briefly those at work."""
    found: list[str] = []
    if gpu.gpm is not None:
        named = (
            ("sm", gpu.gpm.sm_percent),
            ("tensor", gpu.gpm.tensor_percent),
            ("occupancy", gpu.gpm.occupancy_percent),
            ("dram", gpu.gpm.dram_percent),
            ("fp64", gpu.gpm.fp64_percent),
            ("fp32", gpu.gpm.fp32_percent),
            ("fp16", gpu.gpm.fp16_percent),
        )
        found += [
            f"{name} {value:.0f}%" for name, value in named if value or (value == 0 and not brief)
        ]
    engines = (
        ("encoder", gpu.encoder_percent),
        ("decoder", gpu.decoder_percent),
        ("jpeg", gpu.jpeg_percent),
        ("optical flow", gpu.optical_flow_percent),
    )
    found += [
        f"{name} {value:.0f}%" for name, value in engines if value or (value == 0 and not brief)
    ]
    return [figure_line("active", ("dim", " · ".join(found)))] if found else []


def _links(gpu: Gpu, *, brief: bool = False) -> list[Line]:
    """PCIe, NVLink, fabric."""
    lines: list[Line] = []
    pcie, nvlink, fabric = gpu.pcie, gpu.nvlink, gpu.fabric
    if pcie is not None and pcie.generation is not None:
        narrow = pcie.width is not None and pcie.width_max and pcie.width < pcie.width_max
        width = f" ×{number(pcie.width)}" + (f" of ×{pcie.width_max}" if narrow else "")
        most = (
            "" if pcie.generation == pcie.generation_max else f" of {number(pcie.generation_max)}"
        )
        down, up = pcie.receive_bytes_per_second, pcie.transmit_bytes_per_second
        lines.append(
            figure_line(
                "pcie",
                ("text", f"gen {pcie.generation}{most}"),
                ("warn" if narrow else "text", width),
                ("dim", f" · ↓ {rate(down)} ↑ {rate(up)}"),
                ("warn" if pcie.replays else "dim", f" · {number(pcie.replays)} replays"),
            )
        )
    if nvlink is not None:
        down, up = nvlink.receive_bytes_per_second, nvlink.transmit_bytes_per_second
        counts = (nvlink.crc_errors, nvlink.replay_errors, nvlink.recovery_errors)
        known = [count for count in counts if count is not None]
        whole = nvlink.active == nvlink.links
        lines.append(
            figure_line(
                "nvlink",
                ("text" if whole else "bad", f"{nvlink.active} of {nvlink.links} up"),
                ("dim", f" · {nvlink.version or UNSUPPORTED} · ↓ {rate(down)} ↑ {rate(up)}"),
                (
                    "warn" if any(known) else "dim",
                    f" · {number(sum(known) if known else None)} errors",
                ),
                ("dim", f" · fabric {_fabric_words(fabric)}" if _is_well(fabric) else ""),
            )
        )
        if not brief and (more := _link_words(nvlink, fabric)):
            lines.append(figure_line("", ("dim", more)))
    # By itself, where the end of a line that is cut would not tell it.
    if fabric is not None and not _is_well(fabric):
        lines.append(figure_line("", ("warn", f"fabric {_fabric_words(fabric)}")))
    return lines


def _link_words(nvlink: NvLinks, fabric: Fabric | None) -> str:
    """What a link can carry and where it leads, which are down, and what fabric it is in."""
    speed, down = nvlink.speed_bytes_per_second, nvlink.inactive
    words = (
        f"{rate(speed)} a link" if speed is not None else "",
        f"to {one_line(nvlink.remote)}" if nvlink.remote else "",
        f"down: {', '.join(map(str, down))}" if down else "",
        f"clique {fabric.clique}" if fabric is not None and fabric.clique is not None else "",
        f"cluster {one_line(fabric.cluster)}" if fabric is not None and fabric.cluster else "",
    )
    return " · ".join(filter(None, words))


def _is_well(fabric: Fabric | None) -> bool:
    return fabric is not None and fabric.state == "completed" and fabric.health in ("healthy", None)


def _fabric_words(fabric: Fabric | None) -> str:
    if fabric is None:
        return UNSUPPORTED
    if _is_well(fabric):
        return fabric.health or fabric.state
    return f"{fabric.state}, {fabric.health}" if fabric.health else fabric.state


def _board(gpu: Gpu) -> list[Line]:
    """What it is and how it was set up: what its driver tells of that."""
    least, most, bar1 = gpu.power_limit_min_watts, gpu.power_limit_max_watts, gpu.bar1
    told = (
        ("bus ", gpu.pcie and gpu.pcie.bus_id),
        ("", gpu.serial and f"serial {gpu.serial}"),
        ("", gpu.part_number and f"part {gpu.part_number}"),
        ("", gpu.vbios and f"vbios {gpu.vbios}"),
        ("", gpu.inforom and f"inforom {gpu.inforom}"),
        ("compute ", gpu.compute_capability),
        ("", gpu.cores and f"{gpu.cores} cores"),
    )
    modes = (
        ("compute mode ", gpu.compute_mode),
        ("persistence ", _switch(gpu.persistence)),
        ("display ", _switch(gpu.display)),
        ("accounting ", _switch(gpu.accounting)),
        ("cap ", f"{least:.0f}-{most:.0f}W" if least is not None and most is not None else None),
        ("bar1 ", bar1 and f"{size(bar1.used_bytes)} of {size(bar1.total_bytes)}"),
        ("shuts down at ", gpu.shutdown_celsius and f"{gpu.shutdown_celsius:.0f}°"),
    )
    lines = []
    for label, parts in (("board", told), ("set", modes)):
        words = " · ".join(f"{name}{one_line(str(value))}" for name, value in parts if value)
        if words:
            lines.append(figure_line(label, ("dim", words)))
    return lines


def _switch(on: bool | None) -> str | None:
    return None if on is None else "on" if on else "off"


def _slices(gpu: Gpu) -> list[Line]:
    """MIG devices; what an operator set that is not as it comes."""
    lines: list[Line] = []
    for device in gpu.mig_devices:
        memory = device.memory
        share = 100.0 * memory.used_bytes / memory.total_bytes if memory else None
        held = f"{size(memory.used_bytes)} of {size(memory.total_bytes)}" if memory else UNSUPPORTED
        lines.append(
            figure_line(
                "mig",
                ("text", f"{one_line(device.name):<10} "),
                *meter(share, _BAR),
                ("text", f" {held}"),
                ("dim", f" · {number(device.multiprocessors)} SMs"),
                ("dim", f" · gi {number(device.gpu_instance)}"),
            )
        )
    mode = gpu.compute_mode if gpu.compute_mode not in (None, "default") else None
    if mode:
        lines.append(figure_line("mode", ("warn", f"compute {mode}")))
    return lines
