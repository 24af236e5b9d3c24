"""The node of this host's state directory: starting it detached, and taking it down."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from sparkplug.bus.server import read_server
from sparkplug.paths import Paths
from sparkplug.processes import exists, same_process
from sparkplug.schema.errors import DeadlineError, SparkplugError, error_from_json
from sparkplug.schema.node import NodeInfo, NodeState

_UP_DEADLINE_S = 60.0
_DOWN_DEADLINE_S = 60.0
_LOOK_EVERY_S = 0.02
_UP = (NodeState.READY, NodeState.CUT_OFF)


def read_node(paths: Paths) -> NodeInfo | None:
    """The node that runs on this state directory, or None."""
    try:
        info = NodeInfo.model_validate_json((paths.run / "node.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return info if same_process(info.pid, info.started) else None


async def up(paths: Paths, *, until: int | None = None) -> NodeInfo:
    """Start the node detached from this terminal and return once it is ready. Idempotent.

    With `until` the node goes down when the process of that pid ends. Raises what kept the
    node from starting, or DeadlineError.
    """
    paths.ensure()
    running = read_node(paths)
    if running is None:
        (paths.run / "outcome.json").unlink(missing_ok=True)
        (paths.run / "node.json").unlink(missing_ok=True)
        _start_parent(paths, until)
    try:
        async with asyncio.timeout(_UP_DEADLINE_S):
            while True:
                info = read_node(paths)
                if info is not None and info.state in _UP:
                    return info
                outcome = _read(paths.run / "outcome.json")
                if outcome.get("outcome") == "failed":
                    raise error_from_json(outcome.get("error") or {})
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as error:
        raise DeadlineError(
            f"the node was not ready within {_UP_DEADLINE_S:g} s",
            where=str(paths.logs / "node.log"),
            hint="the log's end says what it waits for",
        ) from error


def _start_parent(paths: Paths, until: int | None) -> None:
    """Start the tiny parent in a session of its own, so that it survives this shell."""
    command = [sys.executable, "-m", "sparkplug.node.parent", "--home", str(paths.home)]
    if until is not None:
        command += ["--until", str(until)]
    log = os.open(paths.logs / "node.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(log, "ab") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "SPARKPLUG_HOME": str(paths.home)},
        )


async def down(paths: Paths) -> bool:
    """Take the node down: nothing of it is left. False when nothing ran.

    Agents finish what they have in hand. What an earlier crash left behind is ended too.
    """
    ran = False
    parent = int(_read(paths.run / "parent.json").get("pid") or 0)
    node = read_node(paths)
    first = parent if parent and _is_parent(parent) else (node.pid if node else 0)
    if first:
        ran = True
        _signal(first, signal.SIGTERM)
        await _wait_gone([first, *([node.pid] if node else [])])
    return await _end_leftovers(paths) or ran


async def _wait_gone(pids: list[int]) -> None:
    try:
        async with asyncio.timeout(_DOWN_DEADLINE_S):
            while any(exists(pid) for pid in pids):
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        for pid in pids:
            _signal(pid, signal.SIGKILL)


async def _end_leftovers(paths: Paths) -> bool:
    """End what is still recorded as running: agents first, nats-server last."""
    found = False
    for path in sorted((paths.run / "agents").glob("*.json")):
        record = _read(path)
        pid, started = int(record.get("pid") or 0), float(record.get("started") or 0)
        if pid and same_process(pid, started):
            found = True
            _signal_group(pid)
        path.unlink(missing_ok=True)
    server = read_server(paths.run)
    if server is not None:
        found = True
        _signal(server.pid, signal.SIGTERM)
        await _wait_gone([server.pid])
    for name in ("node.json", "parent.json", "nats.json", "outcome.json"):
        (paths.run / name).unlink(missing_ok=True)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_parent(pid: int) -> bool:
    """True when `pid` is a parent of ours and not a stranger with the number of one."""
    try:
        return "sparkplug.node.parent" in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise SparkplugError(f"process {pid} belongs to another user") from error


def _signal_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
