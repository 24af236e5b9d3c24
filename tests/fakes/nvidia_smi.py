"""What `nvidia-smi -q -x` says of a GPU beside what SparkPlug says, figure by figure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

from sparkplug.schema.gpu import Gpu

MIB = 1 << 20


def figure(element: ET.Element, path: str) -> float | str | None:
    """A figure of nvidia-smi: a number without its unit, words, or None for N/A."""
    found = element.find(path)
    if found is None or found.text is None:
        return None
    text = found.text.strip()
    if text in (
        "N/A",
        "[N/A]",
        "Not Supported",
        "Unknown Error",
        "Requested functionality has been deprecated",
    ):
        return None
    number = re.match(r"-?\d+(\.\d+)?", text)
    return float(number[0]) if number else text


#: A figure of ours, the places where nvidia-smi tells it, by version, and how far apart they may
#: be: what changes by itself is read at two moments.
FIGURES: dict[str, tuple[Callable[[Gpu], float | None], tuple[str, ...], float]] = {
    "memory total": (
        lambda g: g.memory and g.memory.total_bytes / MIB,
        ("fb_memory_usage/total",),
        1,
    ),
    "memory used": (
        lambda g: g.memory and g.memory.used_bytes / MIB,
        ("fb_memory_usage/used",),
        64,
    ),
    "memory reserved": (
        lambda g: (
            None
            if g.memory is None or g.memory.reserved_bytes is None
            else g.memory.reserved_bytes / MIB
        ),
        ("fb_memory_usage/reserved",),
        1,
    ),
    "bar1 total": (lambda g: g.bar1 and g.bar1.total_bytes / MIB, ("bar1_memory_usage/total",), 1),
    "utilisation": (lambda g: g.utilization_percent, ("utilization/gpu_util",), 30),
    "memory bus": (lambda g: g.memory_bus_percent, ("utilization/memory_util",), 30),
    "encoder": (lambda g: g.encoder_percent, ("utilization/encoder_util",), 30),
    "decoder": (lambda g: g.decoder_percent, ("utilization/decoder_util",), 30),
    "temperature": (lambda g: g.temperature_celsius, ("temperature/gpu_temp",), 4),
    "memory temperature": (lambda g: g.temperature_memory_celsius, ("temperature/memory_temp",), 4),
    "power": (
        lambda g: g.power_watts,
        (
            "gpu_power_readings/instant_power_draw",
            "gpu_power_readings/power_draw",
            "power_readings/power_draw",
        ),
        60,
    ),
    "power limit": (
        lambda g: g.power_limit_watts,
        ("gpu_power_readings/current_power_limit", "power_readings/enforced_power_limit"),
        0.5,
    ),
    "default power limit": (
        lambda g: g.power_limit_default_watts,
        ("gpu_power_readings/default_power_limit", "power_readings/default_power_limit"),
        0.5,
    ),
    "least power limit": (
        lambda g: g.power_limit_min_watts,
        ("gpu_power_readings/min_power_limit", "power_readings/min_power_limit"),
        0.5,
    ),
    "greatest power limit": (
        lambda g: g.power_limit_max_watts,
        ("gpu_power_readings/max_power_limit", "power_readings/max_power_limit"),
        0.5,
    ),
    "sm clock": (lambda g: g.sm_clock_mhz, ("clocks/sm_clock",), 400),
    "memory clock": (lambda g: g.memory_clock_mhz, ("clocks/mem_clock",), 400),
    "greatest sm clock": (lambda g: g.sm_clock_max_mhz, ("max_clocks/sm_clock",), 0),
    "greatest memory clock": (lambda g: g.memory_clock_max_mhz, ("max_clocks/mem_clock",), 0),
    "fan": (lambda g: g.fan_percent, ("fan_speed",), 10),
    "pcie generation": (
        lambda g: g.pcie and g.pcie.generation,
        ("pci/pci_gpu_link_info/pcie_gen/current_link_gen",),
        4,
    ),
    "greatest pcie generation": (
        lambda g: g.pcie and g.pcie.generation_max,
        ("pci/pci_gpu_link_info/pcie_gen/max_link_gen",),
        0,
    ),
    "pcie width": (
        lambda g: g.pcie and g.pcie.width,
        ("pci/pci_gpu_link_info/link_widths/current_link_width",),
        0,
    ),
    "pcie replays": (lambda g: g.pcie and g.pcie.replays, ("pci/replay_counter",), 2),
    "remapped rows, corrected": (
        lambda g: g.remapped_rows_corrected,
        ("remapped_rows/remapped_row_corr",),
        0,
    ),
    "remapped rows, uncorrected": (
        lambda g: g.remapped_rows_uncorrected,
        ("remapped_rows/remapped_row_unc",),
        0,
    ),
    "retired pages, one bit": (
        lambda g: g.retired_pages_single_bit,
        ("retired_pages/multiple_single_bit_retirement/retired_count",),
        0,
    ),
    "retired pages, two bits": (
        lambda g: g.retired_pages_double_bit,
        ("retired_pages/double_bit_retirement/retired_count",),
        0,
    ),
}
WORDS: dict[str, tuple[Callable[[Gpu], str | None], str]] = {
    "uuid": (lambda g: g.uuid, "uuid"),
    "name": (lambda g: g.name, "product_name"),
    "serial": (lambda g: g.serial, "serial"),
    "vbios": (lambda g: g.vbios, "vbios_version"),
    "compute mode": (lambda g: g.compute_mode, "compute_mode"),
    "persistence": (lambda g: _enabled(g.persistence), "persistence_mode"),
    "ecc": (lambda g: _enabled(g.ecc_enabled), "ecc_mode/current_ecc"),
    "mig": (lambda g: _enabled(g.mig_enabled), "mig_mode/current_mig"),
    "performance state": (lambda g: g.performance_state, "performance_state"),
    "part number": (lambda g: g.part_number, "board_part_number"),
    "inforom": (lambda g: g.inforom, "inforom_version/img_version"),
    "display": (lambda g: _enabled(g.display), "display_active"),
    "accounting": (lambda g: _enabled(g.accounting), "accounting_mode"),
}


def _enabled(value: bool | None) -> str | None:
    return None if value is None else "Enabled" if value else "Disabled"


def accounts_apart(gpu: Gpu, element: ET.Element) -> list[str]:
    """Where the accounts of processes that ended are apart; nvidia-smi lists all, we the last."""
    theirs = {
        int(info.findtext("pid") or 0): (
            figure(info, "gpu_util"),
            figure(info, "memory_util"),
            figure(info, "max_memory_usage"),
            figure(info, "time"),
        )
        for info in element.findall("accounted_processes/accounted_process_info")
    }
    apart = []
    for one in gpu.accounted:
        most = None if one.max_memory_bytes is None else one.max_memory_bytes // MIB
        time = None if one.seconds is None else one.seconds * 1e3
        ours = (one.utilization_percent, one.memory_bus_percent, most, time)
        if not one.running and ours != theirs.get(one.pid):
            apart.append(
                f"gpu {gpu.index} {one.pid}: ours {ours}, nvidia-smi {theirs.get(one.pid)}"
            )
    return apart


def differences(gpu: Gpu, element: ET.Element) -> tuple[list[str], int]:
    """Where the two are apart, in words, and how many figures were compared."""
    apart: list[str] = []
    compared = 0
    for name, (ours, places, most) in FIGURES.items():
        theirs = next((f for p in places if (f := figure(element, p)) is not None), None)
        mine = ours(gpu)
        if theirs is None and mine is None:
            continue
        compared += 1
        if mine is None or not isinstance(theirs, float) or abs(mine - theirs) > most:
            apart.append(f"gpu {gpu.index} {name}: ours {mine}, nvidia-smi {theirs}")
    for name, (read_words, path) in WORDS.items():
        found = element.findtext(path)
        words = None if found in (None, "N/A", "[N/A]") else str(found)
        mine_words = read_words(gpu)
        same = (words or "").lower().replace("_", " ") == (mine_words or "").lower()
        moves = name == "performance state"
        compared += 1
        if not same and not moves:
            apart.append(f"gpu {gpu.index} {name}: ours {mine_words}, nvidia-smi {words}")
    return apart, compared
