"""The zygote: single-threaded, heavy libraries imported, forks agents in milliseconds.

One per interpreter and runtime family. No event loop, no connection, no CUDA and no user
code before the fork. It talks to its node over an inherited socket, one JSON object a
line, and ends when the node is gone: its agents live on.

An agent's credentials are in a pipe that the node hands over on a second socket. The zygote
never reads it: the agent's process does, once, after the fork.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from types import FrameType

from sparkplug.agents import forked
from sparkplug.agents.exits import record_status
from sparkplug.agents.jobs import SpawnJob, ZygoteMessage, take_credentials
from sparkplug.agents.runtimes.port import FAMILIES

_CHUNK = 1 << 20


class Zygote:
    """The loop: fork on request, reap children, tell the node."""

    def __init__(self, connection: socket.socket, pipes: socket.socket) -> None:
        self._connection = connection
        self._pipes = pipes
        self._children: dict[int, str] = {}
        self._buffer = b""
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)

    def run(self) -> None:
        """Serve until the node closes its end."""
        signal.signal(signal.SIGCHLD, self._on_child)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ, "node")
            selector.register(self._wake_read, selectors.EVENT_READ, "child")
            self._tell(ZygoteMessage(kind="ready", pid=os.getpid()))
            while True:
                for key, _ in selector.select():
                    if key.data == "child":
                        with contextlib.suppress(BlockingIOError):
                            os.read(self._wake_read, 4096)
                        self._reap()
                    elif not self._receive():
                        return

    def _on_child(self, _signal: int, _frame: FrameType | None) -> None:
        """Only there so that the wake-up pipe is written to."""

    def _receive(self) -> bool:
        data = self._connection.recv(_CHUNK)
        if not data:
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._spawn(SpawnJob.model_validate_json(line))
        return True

    def _credentials(self, job: SpawnJob) -> int:
        """The pipe with the job's credentials. It was sent before the job was."""
        while True:
            words, pipes, _, _ = socket.recv_fds(
                self._pipes, 64, 1, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
            )
            if pipes and words.decode() == job.id:
                return pipes[0]
            # Of a job that never came: its node gave it up.
            for pipe in pipes:
                os.close(pipe)
            if not words:
                raise ConnectionError("the node has gone")

    def _spawn(self, job: SpawnJob) -> None:
        try:
            pipe = self._credentials(job)
        except OSError as error:
            self._tell(
                ZygoteMessage(kind="failed", id=job.id, error=f"no credentials came: {error}")
            )
            return
        try:
            self._fork(job, pipe)
        finally:
            os.close(pipe)

    def _fork(self, job: SpawnJob, pipe: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(
                ZygoteMessage(kind="failed", id=job.id, error=f"cannot fork: {error.strerror}")
            )
            return
        if pid == 0:
            self._become(job, pipe)
        self._children[pid] = job.exits
        self._tell(ZygoteMessage(kind="spawned", id=job.id, pid=pid))

    def _become(self, job: SpawnJob, pipe: int) -> None:
        """In the child: leave the zygote behind and run the agent; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            self._connection.close()
            self._pipes.close()
            take_credentials(job, pipe)
            os.close(self._wake_read)
            os.close(self._wake_write)
            code = forked.main(job)
        except BaseException:  # noqa: BLE001  the process boundary of the child
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            exits = self._children.pop(pid, None)
            if exits is not None:
                record_status(Path(exits), pid, status)
            self._tell(ZygoteMessage(kind="exited", pid=pid, status=status))

    def _tell(self, message: ZygoteMessage) -> None:
        # The node may be gone: its absence is noticed when reading.
        with contextlib.suppress(OSError):
            self._connection.sendall(message.model_dump_json().encode() + b"\n")


def main() -> None:
    """`python -m sparkplug.agents.zygote JOBS PIPES FAMILY`: two inherited sockets."""
    os.umask(0o077)
    connection = socket.socket(fileno=int(sys.argv[1]))
    pipes = socket.socket(fileno=int(sys.argv[2]))
    for inherited in (connection, pipes):
        os.set_inheritable(inherited.fileno(), False)
    family = FAMILIES[sys.argv[3]]
    try:
        for name in (family.module, *family.packages):
            importlib.import_module(name)
    except ImportError as error:
        extra = f"; pip install 'sparkplug-control[{family.extra}]' for it" if family.extra else ""
        text = f"{sys.executable} cannot import {error.name}{extra}"
        connection.sendall(ZygoteMessage(kind="failed", error=text).model_dump_json().encode())
        sys.exit(1)
    # What is shared must stay shared: the collector would touch every page after the fork.
    gc.collect()
    gc.freeze()
    Zygote(connection, pipes).run()


if __name__ == "__main__":
    main()
