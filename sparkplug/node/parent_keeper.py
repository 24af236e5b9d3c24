"""Keeping the parent: when it is killed, the daemon starts another, which takes the daemon over."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from functools import partial
from pathlib import Path

from sparkplug.node.node_record import NodeRecord
from sparkplug.processes import wait_process
from sparkplug.schema.node import NodeState

log = logging.getLogger(__name__)


async def keep_parent(record: NodeRecord, home: Path, stopping: asyncio.Event) -> None:
    """Start another parent whenever ours ends, until this node is stopping."""
    while True:
        parent = record.parent
        assert parent is not None
        await wait_process(parent, partial(_is_parent, parent))
        if stopping.is_set():
            return
        log.warning("the parent process ended; it is started again")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sparkplug.node.parent",
            "--home",
            str(home),
            "--adopt",
            str(os.getpid()),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        record.parent = process.pid
        record.write_info(NodeState.READY)


def _is_parent(pid: int) -> bool:
    return os.getppid() == pid
