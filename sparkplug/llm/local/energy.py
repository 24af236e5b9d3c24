"""Joules of each answer: the GPU's energy counter, shared among the rows that were written.

Source: NVML, nvmlDeviceGetTotalEnergyConsumption (millijoules since the driver was loaded).
What is used while nobody asks is nobody's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

log = logging.getLogger(__name__)

#: The counter moves in steps of some tens of milliseconds.
_EVERY_S = 0.05


class Counted(Protocol):
    """What is given its share."""

    joules: float


class EnergyMeter:
    """Reads the counter now and then. `read` gives joules; None: there is no counter."""

    def __init__(self, read: Callable[[], float] | None) -> None:
        self._read = read
        self._at = 0.0
        self._joules: float | None = None
        self._tokens: dict[int, tuple[Counted, int]] = {}

    @property
    def counts(self) -> bool:
        """Whether there is a counter."""
        return self._read is not None

    def rest(self) -> None:
        """Nobody asks: the time until the next answer counts for none."""
        self.settle()
        self._joules = None

    def begin(self) -> None:
        """Somebody asks: what is used from now on is shared out."""
        if self._read is not None and self._joules is None:
            self._joules, self._at = self._read(), time.monotonic()

    def share(self, jobs: Sequence[Counted]) -> None:
        """A token was written of each of `jobs`."""
        if self._read is None:
            return
        for job in jobs:
            known = self._tokens.get(id(job))
            self._tokens[id(job)] = (job, (known[1] if known else 0) + 1)
        if time.monotonic() - self._at >= _EVERY_S:
            self.settle()

    def settle(self) -> None:
        """Share out what was used until now."""
        if self._read is None or self._joules is None or not self._tokens:
            return
        now = self._read()
        spent = max(0.0, now - self._joules)
        self._joules, self._at = now, time.monotonic()
        total = sum(count for _, count in self._tokens.values())
        for job, count in self._tokens.values():
            job.joules += spent * count / total
        self._tokens.clear()


def gpu_counter(uuid: str) -> Callable[[], float] | None:
    """The energy counter of a GPU, by its UUID; None where it has none, or NVML is not there."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        log.info("joules are not counted: %s", error)
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
