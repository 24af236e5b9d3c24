"""What the driver's XID numbers mean, in words.

Source: NVIDIA, "XID Errors", the XID catalog (https://docs.nvidia.com/deploy/xid-errors/).
"""

from __future__ import annotations

XID_SOURCE = "https://docs.nvidia.com/deploy/xid-errors/"

MEANINGS: dict[int, str] = {
    1: "invalid or corrupted push buffer stream",
    2: "invalid or corrupted push buffer stream",
    3: "invalid or corrupted push buffer stream",
    4: "invalid or corrupted push buffer stream, or a GPU semaphore timeout",
    6: "invalid or corrupted push buffer stream",
    7: "invalid or corrupted push buffer address",
    8: "GPU stopped processing",
    11: "invalid or corrupted push buffer stream",
    12: "driver error handling a GPU exception",
    13: "graphics engine exception, mostly an out-of-bounds access of the application",
    16: "display engine hung",
    18: "bus mastering disabled in PCI configuration space",
    19: "display engine error",
    24: "GPU semaphore timeout",
    25: "invalid or illegal push buffer stream",
    26: "frame buffer timeout",
    27: "video memory interface error",
    31: "GPU memory page fault: the application touched an address that is not mapped",
    32: "invalid or corrupted push buffer stream",
    35: "video memory interface error",
    36: "GPU memory error",
    37: "driver firmware error",
    38: "driver firmware error",
    42: "video processor exception",
    43: "GPU stopped processing: the application's channel was reset",
    44: "graphics engine fault during a context switch",
    45: "preemptive clean-up of the application's channels, due to earlier errors",
    46: "GPU stopped processing",
    47: "video processor exception",
    48: "double-bit ECC error: memory could not be corrected",
    54: "auxiliary power is not connected to the board",
    56: "display engine error",
    57: "error programming the video memory interface",
    58: "unstable video memory interface, or an EDC error",
    60: "video processor exception",
    61: "internal micro-controller breakpoint or warning",
    62: "internal micro-controller halt",
    63: "a memory page was retired or a row remapped",
    64: "recording a page retirement or row remap failed",
    65: "video processor exception",
    66: "illegal access by the driver",
    67: "illegal access by the driver",
    68: "video processor exception",
    69: "graphics engine class error",
    74: "NVLink error",
    78: "vGPU start error",
    79: "GPU has fallen off the bus: it cannot be reached over PCIe any more",
    81: "VGA subsystem error",
    92: "high rate of single-bit ECC errors",
    93: "the inforom's write limit was violated, not fatal",
    94: "contained ECC error: the application that used the memory was ended",
    95: "uncontained ECC error: other applications may be affected, the GPU needs a reset",
    109: "context switch timeout",
    110: "security fault",
    119: "timeout calling the GPU's system processor (GSP)",
    120: "error of the GPU's system processor (GSP)",
    121: "corrected error of the chip-to-chip (C2C) link",
    122: "the board's flash could not be read by the power unit (SPI PMU RPC)",
    123: "the board's flash could not be written by the power unit (SPI PMU RPC)",
    124: "the board's flash could not be erased by the power unit (SPI PMU RPC)",
    125: "file system failure in the inforom",
    137: "NVLink remote access denied or faulted",
    140: "unrecovered ECC error",
    143: "GPU failed to initialise",
    144: "NVLink SAW error",
    145: "NVLink receiver error",
    146: "NVLink transmitter error",
    147: "NVLink traffic error",
    148: "NVLink error",
    149: "NVLink network layer error",
    150: "NVLink error",
    154: "the recovery action the GPU asks for has changed",
    155: "NVLink was taken down by software",
    156: "a resource of the GPU was retired",
    157: "retiring a resource of the GPU failed",
}

_RESET = "reset the GPU"
_LINKS = "look at its NVLinks and the fabric manager's log, then reset the GPU"
#: What an operator has to do at once. All others end by themselves, or with the application.
REMEDIES: dict[int, str] = {
    **dict.fromkeys((46, 48, 62, 64, 95, 109, 110, 119, 120, 140, 143), _RESET),
    **dict.fromkeys((74, 137, 144, 145, 146, 147, 148, 149, 150), _LINKS),
    54: "connect the board's power cables",
    79: "restart the host",
    154: "nvidia-smi -q tells the action",
    157: "have the GPU replaced",
}


def xid_remedy(number: int) -> str | None:
    """What an operator has to do about an XID; None where that is nothing, or not known."""
    return REMEDIES.get(number)


def xid_meaning(number: int) -> str:
    """The meaning of an XID number in words; one that is not in the table is said to be so."""
    return MEANINGS.get(number, f"XID {number}, not in the table of common events")
