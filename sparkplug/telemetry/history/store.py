"""The history of a host: written by a thread of its own, so no disk holds up a sample."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.gpu import Gpu
from sparkplug.schema.history import DRAWN, HistoryReply, HistoryRequest, values_of
from sparkplug.schema.host import HostSample
from sparkplug.telemetry.daemon_thread import DaemonThread
from sparkplug.telemetry.history.query import answer
from sparkplug.telemetry.history.samples import SampleFiles
from sparkplug.telemetry.history.tiers import Tiers

LOG = logging.getLogger(__name__)

#: Samples that are at hand in memory (seconds): what faces and agents ask for again and again.
AT_HAND_SECONDS = 120.0
_QUEUED = 600
_QUERY_SECONDS = 10.0
#: After the disk refused, it is tried again so much later.
_AGAIN_SECONDS = 60.0
#: Of all room, what whole samples may take.
_SAMPLES_SHARE = 0.25


class History:
    """Takes samples and answers for windows of them. Without a `folder` nothing is written.

    `most_bytes` caps what all files take together. Times are those of the host's clock.
    """

    def __init__(self, host: str, folder: Path | None, *, period: float, most_bytes: int) -> None:
        self._host = host
        self._folder = folder
        self._period = period
        self._most = most_bytes
        self._at_hand: deque[tuple[float, HostSample]] = deque()
        self._queue: queue.SimpleQueue[tuple[float, bytes, dict[str, float | None]] | None]
        self._queue = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._tiers: Tiers | None = None
        self._samples: SampleFiles | None = None
        self._refused_until = 0.0
        self._writer: threading.Thread | None = None
        self._reading = DaemonThread("reading the history")
        self._energy: dict[str, tuple[float, float]] = {}

    def add(self, sample: HostSample, body: bytes) -> None:
        """Keep a sample; `body` is the same as JSON. Costs no waiting for the disk."""
        now = time.monotonic()
        self._at_hand.append((now, sample))
        while self._at_hand[0][0] < now - AT_HAND_SECONDS:
            self._at_hand.popleft()
        if self._folder is None:
            return
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="history", daemon=True)
            self._writer.start()
        values = values_of(sample) | self._drawn(sample, now)
        if self._queue.qsize() < _QUEUED:
            self._queue.put((sample.time.timestamp(), body, values))

    async def window(self, seconds: float) -> list[HostSample]:
        """The samples of the last `seconds`, oldest first; from files beyond those at hand.

        Raises DeadlineError when the disk does not answer.
        """
        since = time.monotonic() - seconds
        at_hand = [sample for came, sample in self._at_hand if came >= since]
        if seconds <= AT_HAND_SECONDS or self._folder is None:
            return at_hand
        first = at_hand[0].time.timestamp() if at_hand else time.time()

        def read() -> list[HostSample]:
            with self._lock:
                self._open()
                assert self._samples is not None
                return self._samples.read(time.time() - seconds, first - 1e-6)

        try:
            return [*await self._reading.call(read, timeout=_QUERY_SECONDS), *at_hand]
        except (OSError, ValueError) as error:
            LOG.warning("earlier samples cannot be read: %s", error)
            return at_hand

    async def query(self, request: HistoryRequest) -> HistoryReply:
        """How figures went. Raises DeadlineError, InvalidError, SparkplugError."""
        if self._folder is None:
            raise InvalidError("this node keeps no history", hint="telemetry.history_max is 0")
        latest = self._at_hand[-1][1] if self._at_hand else None
        gpus: list[Gpu] = latest.gpus if latest is not None else []

        def read() -> HistoryReply:
            with self._lock:
                self._open()
                assert self._tiers is not None
                simulated = latest is not None and latest.simulated
                return answer(self._tiers, self._host, request, gpus, simulated=simulated)

        try:
            return await self._reading.call(read, timeout=_QUERY_SECONDS)
        except OSError as error:
            raise SparkplugError(
                f"the history cannot be read: {error}", where=str(self._folder)
            ) from error

    def close(self) -> None:
        """Write what is in hand, and end the thread that does; it is waited for a second."""
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join(1.0)
            if not self._writer.is_alive():
                self._shut()
            self._writer = None

    def _drawn(self, sample: HostSample, now: float) -> dict[str, float | None]:
        """Watts of each GPU since the sample before, by its energy counter where it has one."""
        found: dict[str, float | None] = {}
        for gpu in sample.gpus:
            if not gpu.uuid:
                continue
            watts, before = gpu.power_watts, self._energy.get(gpu.uuid)
            if gpu.energy_joules is not None:
                self._energy[gpu.uuid] = (now, gpu.energy_joules)
                if before is not None and gpu.energy_joules >= before[1] and now > before[0]:
                    watts = (gpu.energy_joules - before[1]) / (now - before[0])
            found[f"gpu/{gpu.uuid}/{DRAWN}"] = watts
        return found

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            if time.monotonic() < self._refused_until:
                continue
            try:
                with self._lock:
                    self._keep(*item)
            except (OSError, ValueError) as error:
                LOG.warning("the history is not written: %s; tried again in a minute", error)
                self._refused_until = time.monotonic() + _AGAIN_SECONDS
                with self._lock:
                    self._shut()

    def _keep(self, at: float, body: bytes, values: Mapping[str, float | None]) -> None:
        self._open()
        assert self._tiers is not None
        assert self._samples is not None
        self._tiers.add(at, values)
        self._samples.append(at, body)

    def _shut(self) -> None:
        if self._tiers is not None:
            self._tiers.close()
        self._tiers = self._samples = None

    def _open(self) -> None:
        if self._tiers is None:
            assert self._folder is not None
            samples = int(self._most * _SAMPLES_SHARE)
            self._tiers = Tiers(self._folder, period=self._period, most_bytes=self._most - samples)
            self._samples = SampleFiles(self._folder / "samples", most_bytes=samples)
