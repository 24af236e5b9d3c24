"""A freshly forked process becomes an agent's own, and what ended it is told."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from sparkplug.agents.cancelling import CodeExitError
from sparkplug.agents.exits import (
    EXIT_MISCONFIGURED,
    EXIT_OUT_OF_MEMORY,
    forget_exit,
    record_reason,
)
from sparkplug.agents.jobs import SpawnJob
from sparkplug.agents.lease_watch import watch_lease
from sparkplug.agents.ownership import take_replica
from sparkplug.agents.process import AgentProcess, gist
from sparkplug.agents.stalls import StallWatch
from sparkplug.processes import start_time
from sparkplug.schema.errors import InvalidError, SparkplugError

log = logging.getLogger("sparkplug.agent")

#: What the process is when it is to hold many agents; it imports this module in its turn.
_SHARED = "sparkplug.agents.shared.process"


def main(job: SpawnJob) -> int:
    """Run one agent in this process, freshly forked, and return its exit code."""
    forget_exit(Path(job.exits), os.getpid())
    _become(job)
    if job.lease:
        watch_lease(Path(job.lease))
    try:
        if job.control:
            importlib.import_module(_SHARED).serve(job)
            return 0
        if job.record:
            hold_replica(job)  # until the process ends
        asyncio.run(_watched(job))
    except SparkplugError as error:
        log.error("%s", error)
        record_reason(Path(job.exits), os.getpid(), str(error))
        return EXIT_MISCONFIGURED if isinstance(error, InvalidError) else 1
    except MemoryError as error:
        log.exception("the agent ends")
        record_reason(Path(job.exits), os.getpid(), gist(error))
        return EXIT_OUT_OF_MEMORY
    except SystemExit as error:
        return _left(job, error)
    except Exception as error:
        log.exception("the agent ends")
        record_reason(Path(job.exits), os.getpid(), gist(error))
        return 1
    return 0


def _left(job: SpawnJob, error: SystemExit) -> int:
    """The exit code with which the agent's own code ended its process, as Python takes it."""
    called = CodeExitError(error.code)
    log.error("%s", called)
    if called.number:
        record_reason(Path(job.exits), os.getpid(), called.message)
    return called.number


def hold_replica(job: SpawnJob) -> int:
    """Be the one that serves the replica of a job, see `ownership`. Raises ConflictError."""
    pid = os.getpid()
    own = {**job.recorded, "pid": pid, "started": start_time(pid) or 0.0}
    return take_replica(Path(job.record), own)


async def _watched(job: SpawnJob) -> None:
    """Run the agent, and tell its node when its event loop does not turn."""
    with contextlib.ExitStack() as stack:
        if job.stalls and job.health.stall:
            stack.enter_context(StallWatch(Path(job.stalls), job.health.stall))
        await AgentProcess(job).run()


def _become(job: SpawnJob) -> None:
    """Make the forked process the agent's own: session, output, environment, randomness."""
    os.setsid()
    output = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.close(null)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    os.environ.update(job.env)
    os.chdir(job.folder or "/")
    log_to(sys.stderr)


def log_to(stream: TextIO) -> None:
    """Write what is logged to a stream, and nowhere else."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=stream,
        force=True,
    )
