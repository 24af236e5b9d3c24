"""What is kept of the command line: an interpreter that imported it, and forks for each call."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass

from fakes import kept_call
from fakes.kept_call import NUMBER

#: Variables that make another interpreter.
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_")


@dataclass
class Call:
    """A fork at work, and who asked for it."""

    pid: int
    ended: int
    caller: socket.socket


def import_all() -> None:
    """The modules of every verb; none may leave a thread, for a fork would lack it."""
    import sparkplug.cli
    import sparkplug.client

    for package in (sparkplug.cli, sparkplug.client):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    assert threading.active_count() == 1


def serve(listener: socket.socket) -> bool:
    """Fork for every call. True in the fork, which is the call then; False when all is over."""
    calls: dict[int, Call] = {}
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLIN)
    poll.register(listener, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == sys.stdin.fileno():
                return False
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                call = _fork(connection)
                if call is None:
                    listener.close()
                    return True
                for watched in (call.ended, connection.fileno()):
                    calls[watched] = call
                    poll.register(watched, select.POLLIN)
            elif descriptor in calls:
                call = calls[descriptor]
                if descriptor != call.ended:  # its caller has left
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(call.pid, signal.SIGKILL)
                for watched in (call.ended, call.caller.fileno()):
                    poll.unregister(watched)
                    del calls[watched]
                _end(call)


def _fork(caller: socket.socket) -> Call | None:
    """The fork's call, None in the fork itself."""
    head, descriptors, _, _ = socket.recv_fds(caller, NUMBER.size, 3)
    asked = json.loads(kept_call.read(caller, NUMBER.unpack(head)[0]))
    pid = os.fork()
    if pid == 0:
        caller.close()
        _become(asked["words"], asked["env"], asked["cwd"], descriptors)
        return None
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):
        caller.sendall(NUMBER.pack(pid))
    return Call(pid, os.pidfd_open(pid), caller)


def _end(call: Call) -> None:
    """Tell the caller how it ended."""
    _, status = os.waitpid(call.pid, 0)
    os.close(call.ended)
    with contextlib.suppress(BrokenPipeError), call.caller:
        call.caller.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _become(words: list[str], env: dict[str, str], folder: str, descriptors: list[int]) -> None:
    """Have what a fresh process would have of its caller."""
    differs = any(
        env.get(name) != os.environ.get(name)
        for name in {*env, *os.environ}
        if name.startswith(_OF_THE_INTERPRETER)
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if differs:
        os.execv(sys.executable, [sys.executable, "-m", "sparkplug", *words])
    time.tzset()
    sys.argv = ["sparkplug", *words]
    sys.path[:2] = [folder]  # where ours was found, and the tests
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace", buffering=1)  # noqa: SIM115


def main(path: str, ready: int) -> None:
    """Take calls at a socket, until stdin ends; a byte in the descriptor `ready` says from when.

    In the fork of a call it does what was asked.
    """
    import_all()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        os.write(ready, b"1")
        os.close(ready)
        gc.collect()
        gc.freeze()
        called = serve(listener)
    if called:
        runpy.run_module("sparkplug", run_name="__main__", alter_sys=True)
