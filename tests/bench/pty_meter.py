"""A meter for programs on a terminal: the first paint, CPU, bytes, memory, and from key to paint.

The terminal is a pty that is read as fast as it is written to, of 160x50 cells; one core is 100 %.
"""

from __future__ import annotations

import contextlib
import os
import pty
import random
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fcntl import ioctl

import psutil

SIZE = (160, 50)
#: Characters that are a first paint of substance.
_PAINTED = 200
_DEADLINE_S = 20.0
#: A key that shows nothing in this time is counted as having taken it.
_NOT_SEEN_S = 2.0
#: Control sequences and strings (ECMA-48), which draw nothing.
_ESCAPES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[PX^_\]][^\x07\x1b]*(?:\x07|\x1b\\\\)|[ -/]*[0-~])"
)
_TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Usage:
    """What a program took while it was looked at, its children with it."""

    cpu_percent: float
    bytes_per_second: float
    resident_mib: float


@dataclass(frozen=True)
class Keys:
    """Keys to press in turn, each with what it shows; an empty text is anything at all."""

    keys: Sequence[tuple[bytes, bytes]]

    def __bool__(self) -> bool:
        return bool(self.keys)


class Meter:
    """A program on a pty, from its start to its end."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = SIZE
    ) -> None:
        columns, rows = size
        environ = {k: v for k, v in env.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.began = time.perf_counter()
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), {**environ, **_TERMINAL})
        ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = psutil.Process(self.pid)
        self._name = command[0]
        #: Is given what is read, for whoever looks at the screen.
        self.feed: Callable[[bytes], object] = len

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def painted(self) -> float:
        """Seconds from its start until it has drawn something of substance."""
        seen = 0
        while time.perf_counter() - self.began < _DEADLINE_S:
            piece = self._piece(_DEADLINE_S)
            seen += sum(1 for byte in _ESCAPES.sub(b"", piece) if byte > 32)
            if seen >= _PAINTED:
                return time.perf_counter() - self.began
            if not piece:
                break
        raise AssertionError(f"{self._name} painted {seen} characters and no more")

    def read(self, seconds: float) -> int:
        """Read for some seconds; how many bytes came."""
        until = time.monotonic() + seconds
        size = 0
        while (left := until - time.monotonic()) > 0:
            size += len(self._piece(left))
        return size

    def watch(self, seconds: float) -> Usage:
        """What it takes while it is looked at for so long."""
        before, began = self._seconds(), time.monotonic()
        size = self.read(seconds)
        cpu, took = self._seconds() - before, time.monotonic() - began
        resident = sum(process.memory_info().rss for process in self._family())
        return Usage(100 * cpu / took, size / took, resident / 2**20)

    def key_times(self, keys: Keys, times: int, pause: float = 0.15, seed: int = 1) -> list[float]:
        """Seconds from pressing a key until what it shows has come, so many times.

        The pauses differ, so that the keys do not fall in step with what is drawn anyhow.
        """
        chance = random.Random(seed)
        found = []
        for number in range(times):
            self.read(pause * chance.uniform(0.5, 1.5))
            key, wanted = keys.keys[number % len(keys.keys)]
            found.append(self.key_time(key, wanted))
        return found

    def key_time(self, key: bytes, wanted: bytes = b"") -> float:
        """Seconds from pressing a key until what it shows has come."""
        return self.time_of(lambda: self.press(key), wanted)

    def time_of(self, happens: Callable[[], object], wanted: bytes = b"") -> float:
        """Seconds from something that happens until what is wanted is shown."""
        began = time.perf_counter()
        happens()
        seen = b""
        while (left := _NOT_SEEN_S - (time.perf_counter() - began)) > 0:
            piece = self._piece(left)
            # What is looked for may come in two pieces.
            seen = seen[-len(wanted) :] + piece if wanted else piece
            if piece and wanted in seen:
                break
        return time.perf_counter() - began

    def press(self, key: bytes) -> None:
        """Press a key, without waiting for what it does."""
        os.write(self._descriptor, key)

    def until(self, wanted: bytes, deadline: float = _DEADLINE_S) -> None:
        """Read until these bytes have come."""
        seen, until = b"", time.monotonic() + deadline
        while wanted not in seen:
            if (left := until - time.monotonic()) <= 0:
                raise AssertionError(f"{self._name} did not show {wanted!r}")
            seen = seen[-len(wanted) :] + self._piece(left)

    def close(self) -> None:
        """End it, and what it started."""
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._descriptor)

    def _piece(self, seconds: float) -> bytes:
        """What can be read within some seconds; nothing when that is nothing, or it has ended."""
        if not select.select([self._descriptor], [], [], max(0.0, seconds))[0]:
            return b""
        try:
            piece = os.read(self._descriptor, 1 << 16)
        except OSError as error:
            raise AssertionError(f"{self._name} has ended") from error
        self.feed(piece)
        return piece

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [self._process, *self._process.children(recursive=True)]
        return []

    def _seconds(self) -> float:
        total = 0.0
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def first_paint(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds until a program has drawn something of substance."""
    with Meter(command, env) as meter:
        return meter.painted()
