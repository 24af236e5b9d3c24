"""Listening for XID events in a thread of the worker process."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.nvml import GpuReader, handle_address
from sparkplug.telemetry.xid import xid_meaning

KEPT = 64
WAIT_MILLISECONDS = 1000
#: After an error of the wait itself (it answers so for every lost GPU), to not spin.
PAUSE_SECONDS = 1.0


class XidListener:
    """The last XID events of the GPUs it was given, each with a number that rises by one."""

    def __init__(self, readers: Iterable[GpuReader]) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._gpus = {handle_address(r.handle): r for r in readers if r.handle is not None}
        self._sequence = 0
        self._set: Any = None

    def start(self) -> None:
        """Register for XID events where the driver offers them and begin to listen."""
        registered = False
        try:
            self._set = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError:
            return
        for reader in self._gpus.values():
            try:
                pynvml.nvmlDeviceRegisterEvents(
                    reader.handle, pynvml.nvmlEventTypeXidCriticalError, self._set
                )
                registered = True
            except pynvml.NVMLError:
                continue
        if registered:
            threading.Thread(target=self._listen, name="xid", daemon=True).start()

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
            if data.eventType != pynvml.nvmlEventTypeXidCriticalError or reader is None:
                continue
            self._sequence += 1
            number = int(data.eventData)
            self._events.append(
                {
                    "sequence": self._sequence,
                    "time": datetime.now(UTC).isoformat(),
                    "gpu": reader.index,
                    "uuid": reader.uuid,
                    "xid": number,
                    "meaning": xid_meaning(number),
                }
            )
