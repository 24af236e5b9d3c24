"""Reading every GPU of a host though a call to one of them may hang.

One thread reads them in turn. Where a call does not return, that thread is left with it, that
GPU is left out, and another thread goes on with the rest; should the call return one day, what
it brought counts and the GPU is read again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from sparkplug.telemetry.gpu.calls import WATCHED

#: A call slower than this holds up the other GPUs no longer (seconds).
LATE_SECONDS = 0.25
#: Where one hangs others may hang behind it, each then waited for so long.
NEXT_SECONDS = 0.05
_STACK_BYTES = 256 << 10

Read = Callable[[], dict[str, Any]]


class Beat:
    """Reads in rounds. `reads` gives for each GPU what reads it; they never raise."""

    def __init__(self, name: str, reads: Sequence[Read], *, late: float = LATE_SECONDS) -> None:
        self._name = name
        self._reads = list(reads)
        self._late = late
        self._changed = threading.Condition()
        self._runner: _Runner | None = None
        self._stuck: set[int] = set()
        #: By GPU: when (monotonic seconds) it was read, and what came.
        self.results: dict[int, tuple[float, dict[str, Any]]] = {}

    @property
    def stuck(self) -> frozenset[int]:
        """The GPUs that a call hangs for."""
        return frozenset(self._stuck)

    @property
    def busy(self) -> bool:
        """Whether a round is under way."""
        return self._runner is not None and bool(self._runner.left)

    def begin(self) -> None:
        """Begin a round over all GPUs that no call hangs for."""
        with self._changed:
            self._hand_out([i for i in range(len(self._reads)) if i not in self._stuck])

    def finish(self) -> None:
        """Wait until the round is over, giving up on calls that are late."""
        late = self._late
        with self._changed:
            while self.busy:
                self._changed.wait(0.02)
                if self._leave_late(late):
                    late = min(late, NEXT_SECONDS)

    def tend(self) -> None:
        """Give up on a call that is late, without waiting."""
        with self._changed:
            self._leave_late(self._late)

    def _leave_late(self, late: float) -> bool:
        runner = self._runner
        if runner is None or not runner.left:
            return False
        began = runner.under_way[0]
        if not began or time.monotonic() - began < late:
            return False
        self._stuck.add(runner.left[0])
        rest, runner.left = runner.left[1:], runner.left[:1]
        runner.left_alone = True
        self._runner = None
        self._hand_out(rest)
        return True

    def _hand_out(self, gpus: list[int]) -> None:
        if not gpus:
            return
        if self._runner is None:
            self._runner = _Runner(self._read, f"{self._name} gpus")
        self._runner.take(gpus)

    def _read(self, runner: _Runner, gpu: int) -> None:
        result = self._reads[gpu]()
        with self._changed:
            self.results[gpu] = (time.monotonic(), result)
            self._stuck.discard(gpu)
            runner.left.pop(0)
            self._changed.notify_all()


class _Runner:
    """A thread that reads the GPUs it is given, one after the other."""

    def __init__(self, read: Callable[[_Runner, int], None], name: str) -> None:
        self._read = read
        self._work = threading.Event()
        self.left: list[int] = []
        self.left_alone = False
        #: Since when a call of this thread is under way; the list is shared with it.
        self.under_way = [0.0]
        before = threading.stack_size(_STACK_BYTES)
        threading.Thread(target=self._run, name=name, daemon=True).start()
        threading.stack_size(before)

    def take(self, gpus: list[int]) -> None:
        """Read these, when those in hand are read."""
        self.left = [*self.left, *gpus] if self.left else list(gpus)
        self._work.set()

    def _run(self) -> None:
        WATCHED.under_way = self.under_way
        while not self.left_alone:
            self._work.wait()
            self._work.clear()
            while self.left:
                self._read(self, self.left[0])
