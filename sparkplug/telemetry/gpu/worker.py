"""The process that asks NVML: `python -m sparkplug.telemetry.gpu.worker`.

One JSON object a line on stdin, `{"id": n, "xids_after": n}`, gets one line on stdout:
`{"id", "driver": {...}, "gpus": [...], "xids": [...]}`, with the fields of schema Driver, Gpu and
Xid (`sequence` added, counted from the start of this process). It ends when stdin closes, at once
even while a call hangs in the driver, since a thread of its own watches stdin.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.nvml import NO_DRIVER, GpuReader, is_simulated, read_driver
from sparkplug.telemetry.gpu.xid_events import XidListener


class Nvml:
    """NVML as this process has it loaded: the driver, its GPUs and their XID events."""

    def __init__(self) -> None:
        self._readers: list[GpuReader] | None = None
        self._xids = XidListener([])
        self._driver: dict[str, Any] = {}

    def answer(self, xids_after: int) -> dict[str, Any]:
        """A sample of the driver and all GPUs; a driver that is not there is in its state."""
        try:
            if self._readers is None:
                self._load()
            # A driver taken away beneath us answers each GPU's question with an error; this
            # question is the one about the driver itself.
            pynvml.nvmlDeviceGetCount()
            return {
                "driver": self._driver,
                "gpus": [reader.read() for reader in self._readers or []],
                "xids": self._xids.after(xids_after),
            }
        except pynvml.NVMLError as error:
            state = "no_driver" if error.value in NO_DRIVER else "error"
            driver = {"state": state, "reason": str(error), "simulated": is_simulated()}
            return {"driver": driver, "gpus": [], "xids": []}

    def _load(self) -> None:
        pynvml.nvmlInit()
        readers = [GpuReader(index) for index in range(pynvml.nvmlDeviceGetCount())]
        self._driver = read_driver()
        for reader in readers:
            reader.read()
        self._readers = readers
        self._xids = XidListener(readers)
        self._xids.start()


def _watch_stdin(requests: queue.SimpleQueue[str]) -> None:
    """Hand every line on; when stdin closes the process ends, whatever its other threads do."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def main() -> None:
    """Answer requests until stdin closes."""
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_watch_stdin, args=(requests,), name="stdin", daemon=True).start()
    nvml = Nvml()
    while True:
        request = json.loads(requests.get())
        answer = {"id": request["id"], **nvml.answer(int(request["xids_after"]))}
        sys.stdout.write(json.dumps(answer, separators=(",", ":")) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
