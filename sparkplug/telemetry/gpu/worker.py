"""The process that asks NVML: `python -m sparkplug.telemetry.gpu.worker`.

One JSON object a line on stdin, `{"id": n, "events_after": n}`, gets one line on stdout:
`{"id", "driver": {...}, "gpus": [...], "xids": [...], "events": [...]}`, with the fields of schema
Driver, Gpu, Xid and GpuEvent (`sequence` added, counted from the start of this process). A GPU
that a call hangs for has its last figures for a second and a half, and then the state `stale`
and the age of the last. `{"id": n, "do": NAME, ...}` asks for one of the `orders` and gets
`{"id", "done": ...}` or `{"id", "error": "..."}` when it is done, sampling going on meanwhile.
It ends when stdin closes, at once even while a call hangs in the driver, since a thread of its
own watches stdin.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from typing import Any

import pynvml

from sparkplug.telemetry.gpu.beat import Beat
from sparkplug.telemetry.gpu.calls import NO_DRIVER, is_simulated, reason_words
from sparkplug.telemetry.gpu.events import EventListener
from sparkplug.telemetry.gpu.holders import Holders
from sparkplug.telemetry.gpu.nvml import GpuReader, read_driver
from sparkplug.telemetry.gpu.orders import ORDERS, OrderError

#: Figures older than this are not shown as if they were new.
STALE_SECONDS = 1.5
SLOW_EVERY_SECONDS = 5.0
#: A call of the slow beat may take longer before it is given up on.
SLOW_LATE_SECONDS = 2.0


class Nvml:
    """NVML as this process has it loaded: the driver, its GPUs and their events."""

    def __init__(self) -> None:
        self._readers: list[GpuReader] | None = None
        self._fast = Beat("fast", [])
        self._slow = Beat("slow", [])
        self._slow_at = 0.0
        self._loaded = 0.0
        self._events = EventListener()
        self._driver: dict[str, Any] = {}

    def answer(self, events_after: int) -> dict[str, Any]:
        """A sample of the driver and all GPUs; a driver that is not there is in its state."""
        try:
            if self._readers is None:
                self._load()
            # A driver taken away beneath us answers each GPU's question with an error; this
            # question is the one about the driver itself.
            pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            state = "no_driver" if error.value in NO_DRIVER else "error"
            driver = {"state": state, "reason": reason_words(error), "simulated": is_simulated()}
            return {"driver": driver, "gpus": [], "xids": [], "events": []}
        self._fast.begin()
        self._fast.finish()
        self._tend_slow()
        readers = self._readers or []
        for reader in readers:
            self._events.add(reader)
        events = self._events.after(events_after)
        return {
            "driver": self._driver,
            "gpus": [self._gpu(reader) for reader in readers],
            "xids": [event for event in events if "xid" in event],
            "events": [event for event in events if "kind" in event],
        }

    def _load(self) -> None:
        pynvml.nvmlInit()
        holders = Holders()
        readers = [GpuReader(index, holders) for index in range(pynvml.nvmlDeviceGetCount())]
        self._driver = read_driver()
        # Finding a GPU wakes it where no persistence daemon holds it: that takes seconds.
        first = Beat("first", [reader.read for reader in readers], late=10.0)
        first.begin()
        first.finish()
        self._fast = Beat("fast", [reader.read for reader in readers])
        self._fast.results = dict(first.results)
        self._slow = Beat("slow", [reader.read_slow for reader in readers], late=SLOW_LATE_SECONDS)
        self._loaded = time.monotonic()
        self._readers = readers

    def _tend_slow(self) -> None:
        """Begin a round of the slow beat when it is due; nobody waits for it."""
        self._slow.tend()
        now = time.monotonic()
        if not self._slow.busy and now - self._slow_at >= SLOW_EVERY_SECONDS - 0.5:
            self._slow_at = now
            self._slow.begin()

    def _gpu(self, reader: GpuReader) -> dict[str, Any]:
        now = time.monotonic()
        at, figures = self._fast.results.get(reader.index, (self._loaded, None))
        if now - at > STALE_SECONDS or figures is None:
            return {**reader.identity("stale"), "age_seconds": round(now - at, 1)}
        if figures["state"] != "ok":
            return figures
        _, seldom = self._slow.results.get(reader.index, (0.0, {}))
        return {**seldom, **figures}


def _watch_stdin(requests: queue.SimpleQueue[str]) -> None:
    """Hand every line on; when stdin closes the process ends, whatever its other threads do."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


_SAYING = threading.Lock()


def _say(answer: dict[str, Any]) -> None:
    line = json.dumps(answer, separators=(",", ":")) + "\n"
    with _SAYING:
        sys.stdout.write(line)
        sys.stdout.flush()


def _carry_out(request: dict[str, Any]) -> None:
    try:
        _say({"id": request["id"], "done": ORDERS[request["do"]](request)})
    except OrderError as error:
        _say({"id": request["id"], "error": str(error)})
    except pynvml.NVMLError as error:
        _say({"id": request["id"], "error": reason_words(error)})


def main() -> None:
    """Answer requests until stdin closes."""
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_watch_stdin, args=(requests,), name="stdin", daemon=True).start()
    nvml = Nvml()
    while True:
        request = json.loads(requests.get())
        if "do" in request:
            threading.Thread(target=_carry_out, args=(request,), daemon=True).start()
            continue
        _say({"id": request["id"], **nvml.answer(int(request["events_after"]))})


if __name__ == "__main__":
    main()
