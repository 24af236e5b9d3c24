"""Memory and CPU limits of agent processes: by control group where permitted, else by rlimit.

A control group (cgroup v2) limits what an agent and all it starts really use. Where the daemon may
make none, memory is limited by RLIMIT_DATA (what a process could write to, used or not) and CPUs
by affinity, which knows whole CPUs only. Sources: Linux Documentation/admin-guide/cgroup-v2.rst,
setrlimit(2), sched_setaffinity(2), systemd's CGROUP_DELEGATION.md.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import resource
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sparkplug.schema.agent_spec import Resources
from sparkplug.schema.units import bytes_text

log = logging.getLogger(__name__)

#: The kernel's own default period of cpu.max, in microseconds.
_PERIOD_US = 100_000
_CONTROLLERS = ("memory", "cpu")
#: Where the daemon itself goes when the group it was started in is to hold others.
_OWN = "daemon"


@dataclass(frozen=True, slots=True)
class Given:
    """The limits one process runs under: in words, its control group, the CPUs it was bound to."""

    words: str = ""
    group: str = ""
    cpus: tuple[int, ...] = ()


class ControlGroups:
    """The groups of one node's agents, below a group that is ours to divide."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._numbers = itertools.count(1)
        # What an earlier daemon left empty; the groups of agents that still run stay.
        for folder in base.iterdir():
            if folder.is_dir():
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def make(self, name: str, memory: int | None, cpus: float | None) -> Path:
        """A group of those limits (bytes, CPUs). Raises OSError when the kernel says no."""
        folder = self._base / f"{name}.{os.getpid()}.{next(self._numbers)}"
        folder.mkdir()
        try:
            if memory is not None:
                (folder / "memory.max").write_text(str(memory))
                # An agent and what it started end together, and swap is no way around.
                for file, value in (("memory.oom.group", "1"), ("memory.swap.max", "0")):
                    with contextlib.suppress(FileNotFoundError):
                        _write_existing(folder / file, value)
            if cpus is not None:
                quota = max(1000, round(cpus * _PERIOD_US))
                (folder / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            raise
        return folder


def _write_existing(path: Path, value: str) -> None:
    with path.open("r+") as file:
        file.write(value)


def find_base(
    name: str, own: str = "/proc/self/cgroup", mounts: str = "/proc/self/mounts"
) -> Path | None:
    """The group below which this node may make groups with limits; None where it may not.

    It is a child of the daemon's own group, or of one above it, that we may write to and whose
    memory and CPU controllers can be given to children.
    """
    mount = _mount(mounts)
    path = _own_path(own)
    if mount is None or path is None:
        return None
    folder = mount / path.lstrip("/")
    while folder.is_relative_to(mount) and _ours(folder):
        if _divide(folder):
            base = folder / f"sparkplug-{name}"
            try:
                base.mkdir(exist_ok=True)
                if _enable(base):
                    return base
            except OSError as error:
                log.debug("no control groups below %s: %s", folder, error)
        folder = folder.parent
    return None


def _mount(mounts: str) -> Path | None:
    for line in Path(mounts).read_text(errors="replace").splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[2] == "cgroup2":
            return Path(fields[1])
    return None


def _own_path(own: str) -> str | None:
    for line in Path(own).read_text(errors="replace").splitlines():
        if line.startswith("0::"):
            return line[3:].strip()
    return None


def _ours(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _enable(folder: Path) -> bool:
    """Give the controllers to the children of a group. False when it has none to give."""
    if not set(_CONTROLLERS) <= set(_words(folder / "cgroup.controllers")):
        return False
    control = folder / "cgroup.subtree_control"
    if set(_CONTROLLERS) <= set(_words(control)):
        return True
    try:
        control.write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
    except OSError:
        return False
    return True


def _divide(folder: Path) -> bool:
    """Make a group give its controllers to children, which only one without processes can."""
    if _enable(folder):
        return True
    if not _delegated(folder) or not set(_CONTROLLERS) <= set(
        _words(folder / "cgroup.controllers")
    ):
        return False
    try:
        own = folder / _OWN
        own.mkdir(exist_ok=True)
        for pid in _words(folder / "cgroup.procs"):
            with contextlib.suppress(ProcessLookupError):
                (own / "cgroup.procs").write_text(pid)
    except OSError as error:
        log.debug("%s cannot be divided: %s", folder, error)
        return False
    return _enable(folder)


def _delegated(folder: Path) -> bool:
    """Whether systemd gave a group to whoever runs in it; nothing else in it is moved."""
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


class Limits:
    """Puts the agent processes of one node under their limits."""

    def __init__(self, groups: ControlGroups | None) -> None:
        self._groups = groups
        self._bound: Counter[int] = Counter()

    @classmethod
    def find(cls, node: str) -> Limits:
        """The limits this node can set."""
        try:
            base = find_base(node)
            return cls(ControlGroups(base) if base is not None else None)
        except OSError as error:
            log.info("no control groups: %s", error)
            return cls(None)

    def prepare(self, name: str, resources: Resources) -> Given:
        """The limits a process of those resources is to run under; `release` gives them back."""
        memory, cpus = resources.memory, resources.cpus
        if memory is None and cpus is None:
            return Given()
        if self._groups is not None:
            try:
                group = self._groups.make(name, memory, cpus)
            except OSError as error:
                log.warning("%s is limited without a control group: %s", name, error)
            else:
                said = [f"memory {bytes_text(memory)}"] if memory is not None else []
                said += [f"cpus {cpus:g}"] if cpus is not None else []
                return Given(f"{', '.join(said)} by control group", str(group))
        return self._without_group(memory, cpus)

    def _without_group(self, memory: int | None, cpus: float | None) -> Given:
        said = [f"memory {bytes_text(memory)} by rlimit"] if memory is not None else []
        bound: tuple[int, ...] = ()
        if cpus is not None:
            bound = self._choose(cpus)
            asked = "" if len(bound) == cpus else f" ({cpus:g} asked)"
            by_affinity = f"cpus {len(bound)} by affinity{asked}"
            said.append(by_affinity if bound else f"cpus {cpus:g} is all there are")
        return Given(", ".join(said), cpus=bound)

    def _choose(self, cpus: float) -> tuple[int, ...]:
        """As many whole CPUs, those that fewest others were bound to; none when it is all."""
        there = sorted(os.sched_getaffinity(0))
        count = math.ceil(cpus)
        if count >= len(there):
            return ()
        chosen = tuple(sorted(sorted(there, key=lambda cpu: (self._bound[cpu], cpu))[:count]))
        self._bound.update(chosen)
        return chosen

    def enforce(self, given: Given, pid: int, resources: Resources) -> Given:
        """Put a process that was just started under its limits, and say which are in force."""
        if given.group:
            try:
                (Path(given.group) / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                log.warning("process %d is limited without a control group: %s", pid, error)
                self.release(given)
                given = self._without_group(resources.memory, resources.cpus)
            else:
                return given
        try:
            if resources.memory is not None:
                resource.prlimit(pid, resource.RLIMIT_DATA, (resources.memory, resources.memory))
            if given.cpus:
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(int(thread.name), given.cpus)
        except (ProcessLookupError, FileNotFoundError):
            return given  # it has ended already: how is told by its exit
        except (OSError, ValueError) as error:
            log.warning("process %d keeps no limit: %s", pid, error)
            return Given(f"not all could be set: {error}", cpus=given.cpus)
        return given

    def adopt(self, given: Given) -> None:
        """Count a process that an earlier daemon put under its limits."""
        self._bound.update(given.cpus)

    def out_of_memory(self, given: Given) -> bool:
        """Whether the kernel killed in the process's group for want of memory."""
        words = _words(Path(given.group) / "memory.events") if given.group else []
        pairs = dict(zip(words[::2], words[1::2], strict=False))
        return pairs.get("oom_kill", "0") != "0"

    def release(self, given: Given) -> None:
        """The process is gone: end what is left in its group, and forget the group."""
        self._bound.subtract(given.cpus)
        if not given.group:
            return
        folder = Path(given.group)
        with contextlib.suppress(OSError):
            _write_existing(folder / "cgroup.kill", "1")
        # Where something in it is still ending, the next daemon's start removes the group.
        with contextlib.suppress(OSError):
            folder.rmdir()
