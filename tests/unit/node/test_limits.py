"""Limits on a real process where the machine permits them, and on a folder made like cgroup v2."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkplug.node import limits as room
from sparkplug.node.limits import ControlGroups, Given, Limits, find_base
from sparkplug.schema.agent_spec import Resources

MEMORY = 256 << 20


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A Python that runs what it reads, a line at a time."""
    code = "import sys\nfor line in sys.stdin:\n    exec(line)\n    print('done', flush=True)\n"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        yield running
        running.kill()


def run(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def put(limits: Limits, name: str, pid: int, resources: Resources) -> Given:
    """A process under its limits, as a node puts it."""
    return limits.enforce(limits.prepare(name, resources), pid, resources)


def group_folder(folder: Path, controllers: str = "cpu memory", given: str = "") -> Path:
    """A folder with the files the kernel makes in a group."""
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text(controllers)
    (folder / "cgroup.subtree_control").write_text(given)
    (folder / "cgroup.procs").write_text("")
    return folder


def found(tmp_path: Path, path: str) -> Path | None:
    (tmp_path / "own").write_text(f"4:memory:/elsewhere\n0::{path}\n")
    (tmp_path / "mounts").write_text(f"cgroup2 {tmp_path / 'fs'} cgroup2 rw 0 0\n")
    return find_base("gpu-1", str(tmp_path / "own"), str(tmp_path / "mounts"))


def test_memory_without_a_group_is_an_rlimit(process: subprocess.Popen[str]) -> None:
    given = put(Limits(None), "a.0", process.pid, Resources(memory=MEMORY))
    assert given.words == "memory 256MiB by rlimit"
    assert resource.prlimit(process.pid, resource.RLIMIT_DATA) == (MEMORY, MEMORY)
    assert run(process, "held = bytearray(10 << 20)") == "done"
    assert run(process, "held = bytearray(1 << 30)") == ""
    process.wait(20)
    assert process.returncode == 1


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU: nothing to choose from")
def test_cpus_without_a_group_are_whole_ones_and_spread(process: subprocess.Popen[str]) -> None:
    limits = Limits(None)
    first = put(limits, "a.0", process.pid, Resources(cpus=0.5))
    assert first.words == "cpus 1 by affinity (0.5 asked)"
    assert os.sched_getaffinity(process.pid) == set(first.cpus)
    second = put(limits, "a.1", process.pid, Resources(cpus=1))
    assert second.words == "cpus 1 by affinity"
    assert set(first.cpus) != set(second.cpus)
    limits.release(first)
    assert put(limits, "a.2", process.pid, Resources(cpus=1)).cpus == first.cpus


def test_more_cpus_than_there_are_bind_nothing(process: subprocess.Popen[str]) -> None:
    given = put(Limits(None), "a.0", process.pid, Resources(cpus=4096))
    assert (given.words, given.cpus) == ("cpus 4096 is all there are", ())


def test_no_limit_asked_none_given(process: subprocess.Popen[str]) -> None:
    assert put(Limits(None), "a.0", process.pid, Resources()).words == ""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert resource.prlimit(process.pid, resource.RLIMIT_DATA) == unlimited


def test_a_process_that_is_gone_is_no_error() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(20)
    given = put(Limits(None), "a.0", ended.pid, Resources(memory=MEMORY, cpus=1))
    assert given.words.startswith("memory 256MiB")


def test_a_group_is_found_below_one_that_gives_its_controllers(tmp_path: Path) -> None:
    group_folder(tmp_path / "fs" / "app.slice", given="cpu memory")
    own = group_folder(tmp_path / "fs" / "app.slice" / "own")
    (own / "cgroup.subtree_control").chmod(0o400)
    base = tmp_path / "fs" / "app.slice" / "sparkplug-gpu-1"
    group_folder(base)
    if os.geteuid():
        assert found(tmp_path, "/app.slice/own") == base
    assert (found(tmp_path, "/app.slice")) == base
    assert (base / "cgroup.subtree_control").read_text() == "+memory +cpu"


def test_no_group_without_the_controllers_or_the_hierarchy(tmp_path: Path) -> None:
    group_folder(tmp_path / "fs" / "own", controllers="pids")
    assert found(tmp_path, "/own") is None
    (tmp_path / "mounts").write_text("tmpfs /tmp tmpfs rw 0 0\n")
    assert find_base("n", str(tmp_path / "own"), str(tmp_path / "mounts")) is None


def test_a_delegated_group_is_divided_and_its_processes_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gives controllers to the children of a group without processes only."""
    service = group_folder(tmp_path / "fs" / "service")
    (service / "cgroup.procs").write_text("11\n12\n")
    group_folder(service / "sparkplug-gpu-1")
    group_folder(service / "daemon")
    moved: list[str] = []
    write = Path.write_text

    def kernel(path: Path, text: str, *args: object, **kwargs: object) -> int:
        if path == service / "cgroup.subtree_control" and len(moved) < 2:
            raise OSError(16, "Device or resource busy")
        if path == service / "daemon" / "cgroup.procs":
            moved.append(text)
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", kernel)
    assert found(tmp_path, "/service") is None  # not given to us: nothing is moved
    assert moved == []
    monkeypatch.setattr(room, "_delegated", lambda folder: folder == service)
    assert found(tmp_path, "/service") == service / "sparkplug-gpu-1"
    assert moved == ["11", "12"]


def test_limits_of_a_group_and_the_kill_it_tells(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    limits = Limits(ControlGroups(tmp_path))
    assert not (tmp_path / "left").exists()
    given = put(limits, "a.0", os.getpid(), Resources(memory=MEMORY, cpus=1.5))
    group = Path(given.group)
    assert given.words == "memory 256MiB, cpus 1.5 by control group"
    assert (group / "memory.max").read_text() == str(MEMORY)
    assert (group / "cpu.max").read_text() == "150000 100000"
    assert (group / "cgroup.procs").read_text() == str(os.getpid())
    assert not limits.out_of_memory(given)
    (group / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 1\n")
    assert limits.out_of_memory(given)


def test_a_group_the_kernel_refuses_leaves_the_rlimit(
    tmp_path: Path, process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(ControlGroups(tmp_path))

    def refused(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ControlGroups, "make", refused)
    given = put(limits, "a.0", process.pid, Resources(memory=MEMORY))
    assert (given.words, given.group) == ("memory 256MiB by rlimit", "")


def test_a_real_control_group_kills_for_memory(process: subprocess.Popen[str]) -> None:
    base = find_base("sparkplug-test")
    if base is None:
        pytest.skip("no control group (cgroup v2) may be made here")
    limits = Limits(ControlGroups(base))
    given = put(limits, "a.0", process.pid, Resources(memory=64 << 20, cpus=0.5))
    try:
        assert given.group
        assert run(process, "held = bytearray(b'x' * (256 << 20))") == ""
        assert process.wait(20) == -9
        assert limits.out_of_memory(given)
    finally:
        limits.release(given)
        base.rmdir()
    assert not Path(given.group).exists()
