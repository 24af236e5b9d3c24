"""How the GPUs of a host hang together, asked of NVML. Imported by the worker process only.

Source: NVIDIA, NVML API Reference Guide (nvmlDeviceGetTopologyCommonAncestor, P2PStatus,
CpuAffinity, NvLinkRemotePciInfo); the words are those of `nvidia-smi topo -m`.
"""

from __future__ import annotations

from typing import Any

import pynvml

from sparkplug.telemetry.gpu.calls import GpuLostError, optional
from sparkplug.telemetry.gpu.links import text_of

_LEVELS = {0: "X", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
_P2P = {"read": 0, "write": 1, "nvlink": 2, "atomics": 3}
_P2P_WORDS = {
    0: "ok",
    1: "chipset not supported",
    2: "GPU not supported",
    3: "topology not supported",
    4: "disabled by regkey",
    5: "not supported",
}
_WORDS = 16  # of 64 processors each


def read_topology() -> dict[str, Any]:
    """The GPUs with what they lie near, and for each pair how they reach each other."""
    handles = {}
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = _ask(pynvml.nvmlDeviceGetHandleByIndex, index)
        except pynvml.NVMLError:
            handle = None
        if handle is not None:
            handles[index] = handle
    buses = {index: _bus(handle) for index, handle in handles.items()}
    linked = {index: _links(handle, buses) for index, handle in handles.items()}
    pairs = [
        _pair(one, other, handles, linked) for one in handles for other in handles if one < other
    ]
    return {
        "gpus": [
            {
                "index": index,
                "uuid": _ask(pynvml.nvmlDeviceGetUUID, handle) or "",
                "name": _ask(pynvml.nvmlDeviceGetName, handle) or f"GPU {index}",
                "bus_id": buses[index],
                "cpus": _cpus(handle),
                "numa_node": _numa(handle),
                "switch_links": linked[index].get("switch", 0),
            }
            for index, handle in handles.items()
        ],
        "pairs": pairs,
    }


def _ask(call: Any, *arguments: Any) -> Any:
    try:
        return optional(call, *arguments)
    except (GpuLostError, pynvml.NVMLError):
        return None


def _pair(
    one: int, other: int, handles: dict[int, Any], linked: dict[int, dict[Any, int]]
) -> dict[str, Any]:
    level = _ask(pynvml.nvmlDeviceGetTopologyCommonAncestor, handles[one], handles[other])
    p2p = {}
    for name, capability in _P2P.items():
        status = _ask(pynvml.nvmlDeviceGetP2PStatus, handles[one], handles[other], capability)
        p2p[name] = _P2P_WORDS.get(status) if status is not None else None
    links = linked[one].get(other, 0)
    switched = min(linked[one].get("switch", 0), linked[other].get("switch", 0))
    return {
        "one": one,
        "other": other,
        "path": _LEVELS.get(level) if level is not None else None,
        "nvlinks": links or switched,
        "p2p": p2p,
    }


def _links(handle: Any, buses: dict[int, str | None]) -> dict[Any, int]:
    """Links that are up, by the GPU they lead to, or by `switch`."""
    by_bus = {bus.lower(): index for index, bus in buses.items() if bus}
    found: dict[Any, int] = {}
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        state = _ask(pynvml.nvmlDeviceGetNvLinkState, handle, link)
        if state is None:
            break
        if not state:
            continue
        kind = _ask(pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, link)
        remote = _ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
        bus = text_of(remote.busId).lower() if remote is not None else ""
        to: Any = by_bus.get(bus)
        if to is None and kind == pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH:
            to = "switch"
        if to is not None:
            found[to] = found.get(to, 0) + 1
    return found


def _bus(handle: Any) -> str | None:
    info = _ask(pynvml.nvmlDeviceGetPciInfo_v3, handle)
    return text_of(info.busId) if info is not None else None


def _cpus(handle: Any) -> str | None:
    """The processors near it, as ranges: 0-47,96-143."""
    words = _ask(pynvml.nvmlDeviceGetCpuAffinity, handle, _WORDS)
    if words is None:
        return None
    near = [n * 64 + bit for n, word in enumerate(words) for bit in range(64) if word >> bit & 1]
    ranges: list[list[int]] = []
    for cpu in near:
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges) or None


def _numa(handle: Any) -> int | None:
    words = _ask(pynvml.nvmlDeviceGetMemoryAffinity, handle, 8, 0)
    for number, word in enumerate(words or ()):
        if word:
            return int(number * 64 + (int(word) & -int(word)).bit_length() - 1)
    return None
