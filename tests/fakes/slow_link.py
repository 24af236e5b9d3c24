"""A slow link between a program and the terminal it is on, as ssh over a bad line is one.

`python slow_link.py [--latency S] [--rate BYTES] [--buffer BYTES] -- COMMAND...` runs a command on
a pty of its own. What it writes comes out here later, and no faster than the link carries; keys go
to it as late. When as much is under way as the link holds, the command is not read any more, so
its writes block, as on a link that is full. Uses the standard library alone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import selectors
import signal
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Sequence
from pathlib import Path

_PIECE = 1024
#: Seconds each way, bytes a second, and bytes that wait to be sent: those of the design's bar.
LATENCY_S = 0.2
RATE = 50_000
BUFFER = 8192


def over_slow_link(
    command: Sequence[str],
    *,
    latency: float = LATENCY_S,
    rate: int = RATE,
    buffer: int = BUFFER,
) -> list[str]:
    """The command that runs a command behind a link."""
    options = [f"--latency={latency}", f"--rate={rate}", f"--buffer={buffer}"]
    return [sys.executable, str(Path(__file__).resolve()), *options, "--", *command]


class Way:
    """One direction: pieces come out after the latency, one behind the other."""

    def __init__(self, latency: float, rate: float, buffer: int) -> None:
        self._latency = latency
        self._rate = rate
        self._buffer = buffer
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._free = 0.0

    def takes(self, now: float) -> bool:
        """Whether there is room: what waits to be sent is less than the buffer holds."""
        return (self._free - now) * self._rate < self._buffer

    def put(self, piece: bytes, now: float) -> None:
        """Send a piece."""
        self._free = max(now, self._free) + len(piece) / self._rate
        self._pieces.append((self._free + self._latency, piece))

    def come(self, now: float) -> bytes:
        """What has come through by now."""
        found = []
        while self._pieces and self._pieces[0][0] <= now:
            found.append(self._pieces.popleft()[1])
        return b"".join(found)

    def wait(self, now: float) -> float | None:
        """Seconds until something comes out or there is room again; None: nothing is awaited."""
        times = [due - now for due, _ in list(self._pieces)[:1]]
        if not self.takes(now):
            times.append(self._free - now - self._buffer / self._rate)
        return max(0.0, min(times)) + 0.001 if times else None

    @property
    def empty(self) -> bool:
        """Whether nothing is under way."""
        return not self._pieces


def relay(command: Sequence[str], down: Way, up: Way) -> int:
    """Run a command behind the link until it has ended and all it wrote has come; its exit code."""
    pid, inner = pty.fork()
    if pid == 0:
        os.execvp(command[0], list(command))
    _copy_size(inner)
    signal.signal(signal.SIGWINCH, lambda *_: _copy_size(inner))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    outer, out = sys.stdin.fileno(), sys.stdout.fileno()
    before = termios.tcgetattr(outer)
    tty.setraw(outer)
    chosen = selectors.DefaultSelector()
    chosen.register(outer, selectors.EVENT_READ)
    alive = True
    try:
        while alive or not down.empty:
            now = time.monotonic()
            _watch(chosen, inner, alive and down.takes(now))
            waits = [wait for wait in (down.wait(now), up.wait(now)) if wait is not None]
            for key, _ in chosen.select(min(waits, default=None)):
                if key.fd == outer:
                    up.put(os.read(outer, _PIECE), time.monotonic())
                    continue
                try:
                    down.put(os.read(inner, _PIECE), time.monotonic())
                except OSError:
                    alive = False
            now = time.monotonic()
            _write(out, down.come(now))
            with contextlib.suppress(OSError):
                _write(inner, up.come(now))
    finally:
        termios.tcsetattr(outer, termios.TCSADRAIN, before)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _watch(chosen: selectors.BaseSelector, descriptor: int, on: bool) -> None:
    known = descriptor in chosen.get_map()
    if on and not known:
        chosen.register(descriptor, selectors.EVENT_READ)
    elif known and not on:
        chosen.unregister(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _copy_size(inner: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(inner, termios.TIOCSWINSZ, size)


def main() -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=LATENCY_S)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--buffer", type=int, default=BUFFER)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    down = Way(given.latency, given.rate, given.buffer)
    return relay(given.command, down, Way(given.latency, given.rate, given.buffer))


if __name__ == "__main__":
    sys.exit(main())
