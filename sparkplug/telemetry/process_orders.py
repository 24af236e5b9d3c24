"""Sending signals to processes of this host, and making them more or less urgent.

Sources: kill(2), setpriority(2). The kernel decides who may: a node that runs as a user may do it
to that user's processes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil

from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from sparkplug.schema.host_orders import ProcessOrderReply, ReniceRequest, SignalRequest

#: The table tells when a process began to a hundredth of a second.
_SAME_START_S = 1.5


def send_signal(request: SignalRequest, ours: Callable[[], set[int]]) -> ProcessOrderReply:
    """Send it. `ours` are the processes of this node, which `sparkplug down` ends, not this.

    Raises NotFoundError, ConflictError for another process of that number, RefusedError.
    """
    process = _find(request.pid, request.started)
    if request.pid in (1, *ours()):
        raise RefusedError(
            f"process {request.pid} ({process.name()}) belongs to this host's node or is init",
            hint="`sparkplug down` stops a node, `sparkplug agents stop` an agent",
        )
    number = signal.Signals[f"SIG{request.signal}"]
    name = process.name()
    try:
        # By psutil, which looks again whether it is the same process.
        process.send_signal(number)
    except (psutil.AccessDenied, PermissionError) as error:
        raise RefusedError(
            f"the node may not send a signal to process {request.pid} of {_owner(process)}",
            hint="it runs as another user",
        ) from error
    except psutil.NoSuchProcess as error:
        raise NotFoundError(f"process {request.pid} has ended already") from error
    return ProcessOrderReply(pid=request.pid, name=name, done=f"SIG{request.signal} sent")


def renice(request: ReniceRequest, ours: Callable[[], set[int]]) -> ProcessOrderReply:
    """Set its niceness, and that of its threads, which the kernel keeps apart.

    Raises NotFoundError, ConflictError, RefusedError.
    """
    process = _find(request.pid, request.started)
    if request.pid in (1, *ours()):
        raise RefusedError(f"process {request.pid} belongs to this host's node or is init")
    try:
        before = os.getpriority(os.PRIO_PROCESS, request.pid)
        threads = [int(path.name) for path in Path(f"/proc/{request.pid}/task").iterdir()]
        for thread in threads or [request.pid]:
            os.setpriority(os.PRIO_PROCESS, thread, request.nice)
    except PermissionError as error:
        raise RefusedError(
            f"the node may not make process {request.pid} of {_owner(process)} {request.nice} nice",
            hint="only root may lower a niceness, or change another user's",
        ) from error
    except (ProcessLookupError, FileNotFoundError) as error:
        raise NotFoundError(f"process {request.pid} has ended already") from error
    done = f"niceness {before} → {request.nice}"
    return ProcessOrderReply(pid=request.pid, name=process.name(), done=done)


def _find(pid: int, started: datetime | None) -> psutil.Process:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            raise InvalidError(
                f"process {pid} has ended and waits for its parent, {process.ppid()}, to notice"
            )
        began = process.create_time()
    except psutil.Error as error:
        raise NotFoundError(
            f"no process {pid} on this host", hint="`sparkplug top` shows the busiest"
        ) from error
    if started is not None and abs(began - started.timestamp()) > _SAME_START_S:
        raise ConflictError(f"process {pid} is another one now: {process.name()}")
    return process


def _owner(process: psutil.Process) -> str:
    try:
        return str(process.username())
    except psutil.Error:
        return "somebody"
