"""Whose a process on a GPU is: user, command, container, Slurm job and those it descends from.

Sources: proc(5), cgroups(7); the names of control groups that Docker, Podman, containerd, CRI-O,
LXC, Kubernetes and Slurm (cgroup v1 and v2) give.
"""

from __future__ import annotations

import os
import pwd
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

_ANCESTORS = 8
_COMMAND_BYTES = 300
#: What a process is called may change (exec, setproctitle), so seldom that this is often enough.
_KEEP_SECONDS = 10.0
_CONTAINERS = (
    (re.compile(r"(?:docker[-/])([0-9a-f]{64})"), "docker"),
    (re.compile(r"libpod-(?:conmon-)?([0-9a-f]{64})"), "podman"),
    (re.compile(r"(?:cri-containerd[-:/])([0-9a-f]{64})"), "containerd"),
    (re.compile(r"crio-([0-9a-f]{64})"), "cri-o"),
    (re.compile(r"kubepods.*[/-]([0-9a-f]{64})"), "kubernetes"),
    (re.compile(r"/lxc(?:\.payload)?[./]([\w.-]+)"), "lxc"),
    (re.compile(r"machine-([\w\\.-]+)\.scope"), "machine"),
)
#: The group a node makes for an agent: NAME.REPLICA.PID.NUMBER, below sparkplug-NODE.
_AGENT = re.compile(r"/sparkplug-[^/]+/([a-z0-9-]+)\.([\w-]+)\.\d+\.\d+(?:/|$)", re.MULTILINE)
_SLURM = re.compile(r"/job_(\d+)(?:/step_(\w+))?")


class Holders:
    """Looks processes up, each every ten seconds."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, dict[str, Any]]] = {}

    def of(self, pid: int) -> dict[str, Any]:
        """The fields of schema GpuProcess that tell whose it is; null where we may not see it."""
        now = time.monotonic()
        known = self._known.get(pid)
        if known is not None and now - known[0] < _KEEP_SECONDS:
            return known[1]
        if len(self._known) > 4096:
            self._known.clear()
        found = _look(pid)
        self._known[pid] = (now, found)
        return found


def _look(pid: int) -> dict[str, Any]:
    groups = _read(f"/proc/{pid}/cgroup", 16384).decode(errors="replace")
    command = _read(f"/proc/{pid}/cmdline", _COMMAND_BYTES).rstrip(b"\0").replace(b"\0", b" ")
    return {
        "name": _name(pid),
        "command": command.decode(errors="replace").strip() or None,
        "user": _user(pid),
        "agent": agent_of(groups),
        "container": container_of(groups),
        "slurm_job": slurm_job_of(groups),
        "ancestors": _ancestors(pid),
    }


def container_of(groups: str) -> str | None:
    """The container that a process of these control groups is in, as runtime/short id."""
    for pattern, runtime in _CONTAINERS:
        match = pattern.search(groups)
        if match:
            return f"{runtime}/{match[1][:12] if len(match[1]) == 64 else match[1]}"
    return None


def agent_of(groups: str) -> str | None:
    """The agent in whose control group a process is, whoever its parent is now."""
    match = _AGENT.search(groups)
    return f"{match[1]}/{match[2]}" if match else None


def slurm_job_of(groups: str) -> str | None:
    """The Slurm job (and step) that a process of these control groups belongs to."""
    if "slurm" not in groups:
        return None
    match = max(_SLURM.finditer(groups), key=lambda m: bool(m[2]), default=None)
    if match is None:
        return None
    return f"{match[1]}.{match[2]}" if match[2] else match[1]


def _name(pid: int) -> str | None:
    # Not NVML's own word for it: that one reads the same file, and answers ours with the path.
    import pynvml

    name = _read(f"/proc/{pid}/comm", 64).decode(errors="replace").strip()
    if name:
        return name
    try:
        told = str(pynvml.nvmlSystemGetProcessName(pid))
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None
    return Path(told.split(" ", 1)[0]).name or None


def _ancestors(pid: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _ in range(_ANCESTORS):
        stat = _read(f"/proc/{pid}/stat", 1024)
        end = stat.rfind(b")")
        fields = stat[end + 2 :].split()
        if end < 0 or len(fields) < 2:
            break
        pid = int(fields[1])
        if pid <= 1:
            break
        name = _read(f"/proc/{pid}/comm", 64).decode(errors="replace").strip()
        found.append({"pid": pid, "name": name or "?"})
    return found


def _user(pid: int) -> str | None:
    try:
        return _user_name(os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116 - hot path
    except OSError:
        return None


@cache
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hot path
            return file.read(most) or b""
    except OSError:
        return b""
