"""The parent: a tiny process that starts the daemon again when it dies, and reaps orphans.

It imports next to nothing and holds no connection, so nothing in it can fail with the
daemon. When it is killed itself, the daemon starts another, which takes the daemon over.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from sparkplug.agents.exits import record_status
from sparkplug.node import run_files

_PR_SET_CHILD_SUBREAPER = 36
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_CLOSE_DEADLINE_S = 40.0
_LOOK_EVERY_MS = 500
#: So often in a row may a daemon that never was ready end by itself before it is given up.
_TRIES = 3
_TOLD_BYTES = 4096


class Parent:
    """Keeps one daemon alive until it ends on purpose or the parent is told to end."""

    def __init__(self, home: Path, until: int | None) -> None:
        self._home = home
        self._run = home / "run"
        self._until = os.pidfd_open(until) if until else None
        self._daemon = 0
        self._daemon_fd = -1
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._was_ready = False
        self._is_ready = False
        self._broken = 0
        self._stop_deadline = 0.0
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(self._wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self, adopt: int | None) -> None:
        """Watch over the daemon; `adopt` is the pid of one that runs already."""
        pause = _FIRST_PAUSE_S
        while True:
            if adopt:
                self._watch(adopt)
                self._was_ready = True
                adopt = None
            else:
                self._start()
            run_files.write(
                self._run / run_files.PARENT, {"pid": os.getpid(), "daemon": self._daemon}
            )
            self._wait()
            self._note_broken()
            if self._over():
                return
            # The pause grows only while the daemon does not come up at all.
            pause = _FIRST_PAUSE_S if self._is_ready else min(_LONGEST_PAUSE_S, pause * 2)
            self._sleep(pause)
            if self._over():
                return

    def _over(self) -> bool:
        """True when the daemon is not to be started again.

        One that could not even start the first time is left alone, with its reason on file;
        one that was ready once is started until it is ready again.
        """
        outcome = run_files.read(self._run / run_files.OUTCOME).get("outcome")
        failed = outcome == "failed" and not self._was_ready
        return self._stopping or outcome == "down" or failed

    def _note_broken(self) -> None:
        """Leave the reason on file when the daemon cannot even come as far as to leave one.

        A module that is missing, say. One that was killed is another matter: it is started again.
        """
        code = self._child.returncode if self._child is not None else None
        outcome = run_files.read(self._run / run_files.OUTCOME)
        if self._was_ready or self._stopping or outcome or code is None or code <= 0:
            self._broken = 0
            return
        self._broken += 1
        if self._broken < _TRIES:
            return
        node_log = self._home / "logs" / "node.log"
        error = {
            "code": "failed",
            "message": f"the node ends as soon as it starts: {_last_line(node_log)}",
            "where": str(node_log),
            "hint": "is the installation whole? `sparkplug doctor` looks; the log has the rest",
        }
        run_files.write(self._run / run_files.OUTCOME, {"outcome": "failed", "error": error})

    def _start(self) -> None:
        with (self._home / "logs" / "node.log").open("ab") as output:
            self._child = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "sparkplug.node",
                    "--home",
                    str(self._home),
                    "--parent",
                    str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
            )
        self._watch(self._child.pid)

    def _watch(self, pid: int) -> None:
        self._daemon = pid
        self._is_ready = False
        self._daemon_fd = os.pidfd_open(pid)

    def _wait(self) -> None:
        """Until the daemon has ended; meanwhile reap what falls to us."""
        poll = select.poll()
        poll.register(self._daemon_fd, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        if self._until is not None:
            poll.register(self._until, select.POLLIN)
        while True:
            # Nothing to look at while all is well: sleep until something happens.
            waiting = self._stopping or not self._is_ready
            ready = {descriptor for descriptor, _ in poll.poll(_LOOK_EVERY_MS if waiting else None)}
            if not self._is_ready:
                node = run_files.read(self._run / run_files.NODE)
                self._is_ready = node.get("state") == "ready" and node.get("pid") == self._daemon
                self._was_ready = self._was_ready or self._is_ready
            if self._wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            self._reap()
            if self._daemon_fd in ready:
                os.close(self._daemon_fd)
                return
            if self._until is not None and self._until in ready:
                poll.unregister(self._until)
                self._stop()
            if self._stopping and time.monotonic() > self._stop_deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._daemon, signal.SIGKILL)

    def _reap(self) -> None:
        """Record how orphaned agents ended: nobody else can ask for them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._child is not None and pid == self._child.pid:
                self._child.returncode = os.waitstatus_to_exitcode(status)
            else:
                record_status(self._run / "exits", pid, status)

    def _stop(self) -> None:
        """Pass the wish to end on to the daemon."""
        if not self._stopping:
            self._stop_deadline = time.monotonic() + _CLOSE_DEADLINE_S
        self._stopping = True
        if self._daemon:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._daemon, signal.SIGTERM)

    def _sleep(self, seconds: float) -> None:
        """Pause, but not through a signal to end."""
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            select.select([self._wake_read], [], [], left)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            self._reap()


def _last_line(path: Path) -> str:
    """The last thing that was written to a log: of a traceback, what was raised."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TOLD_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")


def main() -> int:
    """`python -m sparkplug.node.parent --home DIR [--adopt PID] [--until PID]`."""
    parser = argparse.ArgumentParser(prog="sparkplug-parent")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--adopt", type=int, help="pid of a daemon that runs already")
    parser.add_argument("--until", type=int, help="pid of a process to end with")
    arguments = parser.parse_args()
    os.umask(0o077)
    held = run_files.lock(arguments.home / "run" / run_files.PARENT_LOCK)
    if held is None:
        return 0
    # Orphans of ours fall to us, not to init: how they ended is then known.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        Parent(arguments.home, arguments.until).run(arguments.adopt)
    finally:
        (arguments.home / "run" / run_files.PARENT).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
