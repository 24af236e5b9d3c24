"""Why a GPU's clocks are below what was asked, in words.

Source: nvmlClocksEventReasons in NVIDIA's NVML API reference (nvml.h).
"""

from __future__ import annotations

REASONS: dict[int, str] = {
    0x001: "idle",
    0x002: "application clocks setting",
    0x004: "software power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "hardware power brake",
    0x100: "display clock setting",
}


def clock_event_words(mask: int) -> list[str]:
    """The reasons in a bit mask of NVML in words, lowest bit first; unknown bits by their value."""
    words = [word for bit, word in REASONS.items() if mask & bit]
    rest = mask & ~sum(REASONS)
    return [*words, f"reason {rest:#x}"] if rest else words


#: Reasons that cost speed and are not the operator's own choice or a cap on power.
THROTTLING: frozenset[str] = frozenset(REASONS[bit] for bit in (0x008, 0x020, 0x040, 0x080))
