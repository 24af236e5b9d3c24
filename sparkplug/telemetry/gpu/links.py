"""PCIe, NVLink and the fabric of one GPU, as NVML tells them. Imported by the worker alone.

Source: NVIDIA, NVML API Reference Guide (NvLink Methods, Field Value Queries).
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.calls import Asker

_VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "5.1"}
_REMOTES = {
    pynvml.NVML_NVLINK_DEVICE_TYPE_GPU: "gpu",
    pynvml.NVML_NVLINK_DEVICE_TYPE_IBMNPU: "cpu",
    pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH: "switch",
}
_FABRIC_STATES = {1: "not started", 2: "in progress", 3: "completed"}
_FABRIC_HEALTH = {1: "healthy", 2: "unhealthy", 3: "limited capacity"}
_ALL_LINKS = 0xFFFFFFFF


def pcie(ask: Asker, handle: Any) -> dict[str, Any] | None:
    """The fields of schema Pcie. Each direction's throughput takes the driver 20 ms."""
    info = ask(pynvml.nvmlDeviceGetPciInfo_v3, handle)
    throughput = pynvml.nvmlDeviceGetPcieThroughput
    received = ask(throughput, handle, pynvml.NVML_PCIE_UTIL_RX_BYTES, key="rx")
    sent = ask(throughput, handle, pynvml.NVML_PCIE_UTIL_TX_BYTES, key="tx")
    found = {
        "bus_id": text_of(info.busId) if info else None,
        "generation": ask(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
        "generation_max": ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        "width": ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        "width_max": ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        "receive_bytes_per_second": None if received is None else received * 1024.0,
        "transmit_bytes_per_second": None if sent is None else sent * 1024.0,
        "replays": ask(pynvml.nvmlDeviceGetPcieReplayCounter, handle),
    }
    return found if any(value is not None for value in found.values()) else None


class LinkReader:
    """The NVLinks of one GPU; throughput is over the time since the reading before."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[float, int]] = {}

    def read(self, ask: Asker, handle: Any) -> dict[str, Any] | None:
        """The fields of schema NvLinks; None where there is no NVLink."""
        states: dict[int, bool] = {}
        for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
            state = ask(pynvml.nvmlDeviceGetNvLinkState, handle, link, key=link)
            if state is None:
                if link == 0:
                    return None
                break
            states[link] = bool(state)
        up = [link for link, active in states.items() if active]
        first = up[0] if up else 0
        version = ask(pynvml.nvmlDeviceGetNvLinkVersion, handle, first)
        remote = ask(pynvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, first)
        received, sent, speed = self._rates(ask, handle, first)
        return {
            "links": len(states),
            "active": len(up),
            "inactive": [link for link, active in states.items() if not active],
            "version": _VERSIONS.get(version) if version is not None else None,
            "speed_bytes_per_second": speed,
            "remote": _REMOTES.get(remote) if remote is not None else None,
            "receive_bytes_per_second": received,
            "transmit_bytes_per_second": sent,
            "crc_errors": _errors(ask, handle, up, pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT),
            "replay_errors": _errors(ask, handle, up, pynvml.NVML_NVLINK_ERROR_DL_REPLAY),
            "recovery_errors": _errors(ask, handle, up, pynvml.NVML_NVLINK_ERROR_DL_RECOVERY),
        }

    def _rates(
        self, ask: Asker, handle: Any, first: int
    ) -> tuple[float | None, float | None, float | None]:
        """Received and sent bytes a second over all links, and what one link can do."""
        fields = (
            pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
            pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
            pynvml.NVML_FI_DEV_NVLINK_GET_SPEED,
        )
        asked = [(fields[0], _ALL_LINKS), (fields[1], _ALL_LINKS), (fields[2], first)]
        values = ask(pynvml.nvmlDeviceGetFieldValues, handle, asked) or ()
        now = time.monotonic()
        found: dict[int, float] = {}
        for value in values:
            if value.nvmlReturn != pynvml.NVML_SUCCESS:
                continue
            if value.fieldId == fields[2]:
                found[value.fieldId] = value.value.uiVal * 1e6  # MB/s
                continue
            count = int(value.value.ullVal)  # KiB
            before = self._before.get(value.fieldId)
            self._before[value.fieldId] = (now, count)
            if before is not None and count >= before[1] and now > before[0]:
                found[value.fieldId] = (count - before[1]) * 1024 / (now - before[0])
        return found.get(fields[0]), found.get(fields[1]), found.get(fields[2])


def _errors(ask: Asker, handle: Any, links: list[int], kind: int) -> int | None:
    counts = [
        ask(pynvml.nvmlDeviceGetNvLinkErrorCounter, handle, link, kind, key=kind) for link in links
    ]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def fabric(ask: Asker, handle: Any) -> dict[str, Any] | None:
    """The fields of schema Fabric; None for a GPU that is in none."""
    info = pynvml.c_nvmlGpuFabricInfo_v3_t()
    if ask(pynvml.nvmlDeviceGetGpuFabricInfoV, handle, ctypes.byref(info)) is None:
        return None
    state = _FABRIC_STATES.get(info.state)
    if state is None:
        return None
    cluster = bytes(info.clusterUuid).hex()
    return {
        "state": state,
        "clique": int(info.cliqueId),
        "cluster": cluster if any(info.clusterUuid) else None,
        "health": _FABRIC_HEALTH.get(info.healthSummary),
    }


def text_of(value: bytes | str) -> str:
    """A C string as text; this library gives either, by its version."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
