"""Listening for XID and other critical events in a thread of the worker process.

Source: NVIDIA, NVML API Reference Guide (Event Types).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.calls import handle_address
from sparkplug.telemetry.gpu.nvml import GpuReader
from sparkplug.telemetry.xid import xid_meaning, xid_remedy

KEPT = 64
WAIT_MILLISECONDS = 1000
#: After an error of the wait itself (it answers so for every lost GPU), to not spin.
PAUSE_SECONDS = 1.0
XID = pynvml.nvmlEventTypeXidCriticalError
#: The other events that tell of trouble, or of a change an operator made; clocks and performance
#: states change all the time and are in every sample. A name, what it means, and what an
#: operator has to do about it, if anything.
KINDS: dict[int, tuple[str, str, str | None]] = {
    pynvml.nvmlEventTypeDoubleBitEccError: (
        "double_bit_ecc",
        "a memory error of two bits, which could not be corrected",
        "reset the GPU",
    ),
    pynvml.nvmlEventTypePowerSourceChange: (
        "power_source",
        "the source of power changed",
        None,
    ),
    pynvml.nvmlEventMigConfigChange: (
        "mig_config",
        "MIG devices were made or removed",
        None,
    ),
    pynvml.nvmlEventTypeSingleBitEccErrorStorm: (
        "single_bit_ecc_storm",
        "many memory errors of one bit in a short time",
        None,
    ),
    pynvml.nvmlEventTypeDramRetirementEvent: (
        "dram_retirement",
        "a page of memory was retired or a row remapped",
        None,
    ),
    pynvml.nvmlEventTypeDramRetirementFailure: (
        "dram_retirement_failure",
        "retiring a page or remapping a row failed",
        "have the GPU replaced",
    ),
    pynvml.nvmlEventTypeNonFatalPoisonError: (
        "non_fatal_poison",
        "poisoned data was used; the application that used it was ended",
        None,
    ),
    pynvml.nvmlEventTypeFatalPoisonError: (
        "fatal_poison",
        "poisoned data was used; the GPU needs a reset",
        "reset the GPU",
    ),
    pynvml.nvmlEventTypeGpuUnavailableError: (
        "gpu_unavailable",
        "the GPU cannot be used and may have fallen off the bus",
        "restart the host",
    ),
    pynvml.nvmlEventTypeGpuRecoveryAction: (
        "recovery_action",
        "the recovery action that the GPU asks for changed",
        "nvidia-smi -q tells the action",
    ),
}


class EventListener:
    """The last critical events of GPUs, each with a number that rises by one."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._gpus: dict[int, GpuReader] = {}
        self._sequence = 0
        self._set: Any = None
        self._refused = False

    def add(self, reader: GpuReader) -> None:
        """Listen for a GPU's events, where the driver offers them and it was not done before."""
        if reader.handle is None or self._refused:
            return
        address = handle_address(reader.handle)
        if address in self._gpus:
            return
        self._gpus[address] = reader
        first = self._set is None
        try:
            if first:
                self._set = pynvml.nvmlEventSetCreate()
            offered = pynvml.nvmlDeviceGetSupportedEventTypes(reader.handle)
            wanted = XID | sum(KINDS)
            pynvml.nvmlDeviceRegisterEvents(reader.handle, int(offered) & wanted, self._set)
        except pynvml.NVMLError as error:
            # A host in a virtual machine offers none: then it is not asked for each GPU anew.
            self._refused = first and error.value == pynvml.NVML_ERROR_NOT_SUPPORTED
            if self._set is None:
                return
        if first:
            threading.Thread(target=self._listen, name="events", daemon=True).start()

    def after(self, sequence: int) -> list[dict[str, Any]]:
        """The events kept whose number is above `sequence`, oldest first."""
        return [event for event in list(self._events) if event["sequence"] > sequence]

    def _listen(self) -> None:
        while True:
            try:
                data = pynvml.nvmlEventSetWait_v2(self._set, WAIT_MILLISECONDS)
            except pynvml.NVMLError as error:
                if error.value != pynvml.NVML_ERROR_TIMEOUT:
                    time.sleep(PAUSE_SECONDS)
                continue
            reader = self._gpus.get(handle_address(data.device))
            if reader is not None:
                self._take(reader, int(data.eventType), int(data.eventData))

    def _take(self, reader: GpuReader, kind: int, number: int) -> None:
        what: dict[str, Any]
        if kind == XID:
            what = {"xid": number, "meaning": xid_meaning(number), "remedy": xid_remedy(number)}
        elif kind in KINDS:
            name, meaning, remedy = KINDS[kind]
            what = {"kind": name, "meaning": meaning, "remedy": remedy}
        else:
            return
        self._sequence += 1
        self._events.append(
            {
                "sequence": self._sequence,
                "time": datetime.now(UTC).isoformat(),
                "gpu": reader.index,
                "uuid": reader.uuid,
                **what,
            }
        )
